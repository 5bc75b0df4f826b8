"""What the code gives to the log arrives there: every field that is named anywhere is let through, every code can be shown."""

import ast
import io
import json
import logging
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest

from functions.common.auth import IssuerFault, Refusal
from functions.common.log import FIELDS, get_logger
from functions.common.storage_faults import StorageFault

ROOT: Final = Path(__file__).parents[3]
LEVELS: Final = {"debug", "info", "warning", "warn", "error", "exception", "critical"}


def fields_given(tree: ast.AST) -> Iterator[str]:
    """The keys of every `extra` of a call that logs, of dictionaries that a name in it stands for included."""
    named: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if isinstance(target, ast.Name):
                    named.setdefault(target.id, []).append(node.value)
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and getattr(call.func, "attr", getattr(call.func, "id", "")) in LEVELS:
            for given in (word.value for word in call.keywords if word.arg == "extra"):
                for part in ast.walk(given):
                    found = [part, *named.get(part.id, ())] if isinstance(part, ast.Name) else [part]
                    for one in found:
                        for inner in ast.walk(one) if one is not part or isinstance(one, ast.Dict) else ():
                            if isinstance(inner, ast.Dict):
                                yield from (str(key.value) for key in inner.keys if isinstance(key, ast.Constant))


FILES: Final = sorted((ROOT / "functions").rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_field_that_is_given_to_the_log_is_one_it_lets_through(path: Path) -> None:
    assert set(fields_given(ast.parse(path.read_text(encoding="utf-8")))) <= FIELDS


def test_the_sweep_finds_the_fields() -> None:
    source = 'about = {"a": 1}\nabout |= {"b": 2}\nlogger.info("x", extra=about | {"c": 3})\nwarn("y", extra={"d": 4})'
    assert set(fields_given(ast.parse(source))) == {"a", "b", "c", "d"}
    assert sum(bool(set(fields_given(ast.parse(path.read_text(encoding="utf-8"))))) for path in FILES) > 8


def shown(field: str, value: object) -> Any:
    logger = get_logger(f"fields-{uuid4()}")
    out = io.StringIO()
    for handler in (logger.registered_handler, *logger._logger.handlers):
        assert isinstance(handler, logging.StreamHandler)
        handler.setStream(out)
    logger.info("x", extra={field: value})
    logger._logger.handlers.clear()
    return json.loads(out.getvalue())[field]


@pytest.mark.parametrize("code", [*Refusal, *IssuerFault, *StorageFault], ids=str)
def test_every_code_of_a_failure_is_shown(code: Enum) -> None:
    assert shown("reason", code) == code.value


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("code", ["InternalError", "KmsThrottled"]),
        ("kind", ["turn_started", "settle_turn"]),
        ("code", "AWS.SimpleQueueService.NonExistentQueue"),
        ("path", "/api/chat/0189f7f0-0000-7000-8000-000000000001"),
        ("model", "deepseek/deepseek-r1:free"),
        ("setting", "CHAT_STAL_S"),
        ("host", "[::1]:8000"),
    ],
)
def test_what_the_code_says_of_itself_is_shown(field: str, value: object) -> None:
    assert shown(field, value) == value


@pytest.mark.parametrize("value", [["fine", "the canary sings"], ["a"] * 100, [["fine"]], [1, "a b"], ("the canary sings",)])
def test_a_list_with_prose_in_it_is_not_shown(value: object) -> None:
    assert shown("code", value) == "(not shown)"

"""GUARANTEES 32: no text of a message, prompt, token or exception can get into a log line."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from aws_lambda_powertools import Logger
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.common.log import FIELDS, get_logger

CANARY = "the canary sings at noon"


class Log:
    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.logger: Logger = get_logger(f"canary-{uuid4()}")
        for handler in self.logger.registered_handler, *self.logger._logger.handlers:
            assert isinstance(handler, logging.StreamHandler)
            handler.setStream(self.stream)

    def line(self) -> dict[str, Any]:
        text = self.stream.getvalue()
        self.stream.seek(0)
        self.stream.truncate()
        assert text.count("\n") == 1
        parsed: dict[str, Any] = json.loads(text)
        return parsed


@pytest.fixture
def log() -> Iterator[Log]:
    opened = Log()
    yield opened
    opened.logger._logger.handlers.clear()


def test_a_line_says_what_its_literal_and_its_named_fields_say(log: Log) -> None:
    log.logger.info("turn ended", extra={"turn_id": "0189f7f0-0000-7000-8000-000000000001", "tokens": 12, "ttft_ms": 3.5})
    line = log.line()
    assert (line["message"], line["level"], line["tokens"], line["ttft_ms"]) == ("turn ended", "INFO", 12, 3.5)
    assert line["turn_id"] == "0189f7f0-0000-7000-8000-000000000001"


def test_a_field_that_is_not_named_is_dropped(log: Log) -> None:
    log.logger.info("turn ended", extra={"content": CANARY, "prompt": CANARY, "authorization": f"Bearer {CANARY}"})
    line = log.line()
    assert {"content", "prompt", "authorization"}.isdisjoint(line)
    assert CANARY not in json.dumps(line)


@pytest.mark.parametrize("name", sorted(FIELDS))
@pytest.mark.parametrize("value", [CANARY, [CANARY], {"a": CANARY}, CANARY.encode(), ValueError(CANARY), "x" * 500])
def test_a_named_field_with_prose_in_it_is_not_shown(log: Log, name: str, value: object) -> None:
    log.logger.info("turn ended", extra={name: value})
    assert log.line()[name] == "(not shown)"


def test_an_exception_leaves_as_its_type_and_its_lines_of_code(log: Log) -> None:
    def failing() -> None:
        try:
            int(CANARY)
        except ValueError as error:
            raise KeyError(CANARY) from error

    try:
        failing()
    except KeyError:
        log.logger.exception("failed")
    line = log.line()
    assert line["error"] == "KeyError"
    assert any(frame.endswith(" failing") for frame in line["frames"])
    assert CANARY not in json.dumps(line)


def test_arguments_of_a_message_are_dropped(log: Log) -> None:
    log.logger.info("it said %s", CANARY)
    assert log.line()["message"] == "it said %s"


def test_an_object_as_the_message_leaves_as_its_type(log: Log) -> None:
    log.logger.info({"content": CANARY})
    assert log.line()["message"] == "dict"
    log.logger.error(ValueError(CANARY))
    assert log.line()["message"] == "ValueError"


def test_keys_appended_to_the_logger_are_held_to_the_same_list(log: Log) -> None:
    log.logger.append_keys(content=CANARY, conversation_id="c-1")
    log.logger.info("turn ended")
    line = log.line()
    assert line["conversation_id"] == "c-1"
    assert CANARY not in json.dumps(line)


def test_keyword_arguments_of_the_call_are_held_to_the_same_list(log: Log) -> None:
    log.logger.info("turn ended", content=CANARY, status=CANARY, tokens=3)
    line = log.line()
    assert (line["status"], line["tokens"]) == ("(not shown)", 3)
    assert CANARY not in json.dumps(line)


PROSE = st.tuples(st.text(min_size=1), st.text(min_size=1)).map(" ".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=PROSE, name=st.text(min_size=1, max_size=12))
def test_no_prose_leaves_under_any_name(log: Log, text: str, name: str) -> None:
    try:
        int(f"not a number: {text}")
    except ValueError:
        log.logger.exception("odd", extra={"status": text, f"x_{name}": text})
    line = log.line()
    assert line["status"] == "(not shown)"
    assert set(line) <= {"level", "location", "message", "timestamp", "service", "status", "error", "frames"}

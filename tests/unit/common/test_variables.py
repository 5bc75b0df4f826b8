"""The names of the settings: one prefix, the names from before it, and a warning for those that are misspelled."""

import ast
import logging
import re
from dataclasses import fields
from pathlib import Path

import pytest

from functions.chat_stream.settings import Limits, Settings, Timing
from functions.common import variables
from functions.common.quotas import Quotas
from functions.common.variables import KNOWN, PREFIX, RENAMED, current, unknown
from functions.conversations.settings import Settings as ConversationsSettings
from functions.persist.entries import Tables
from local.environment import Ports, base
from local.environment import Settings as LocalSettings

ROOT = Path(__file__).parents[3]
LEAST = {
    "CHAT_CONVERSATIONS_TABLE": "conversations", "CHAT_TURNS_TABLE": "turns", "CHAT_QUEUE_URL": "http://q",
    "CHAT_MODEL_KEY_SECRET": "secret",
}  # fmt: skip
TEXTS = {"AUTHORIZATION_HEADER", "CONVERSATIONS_TABLE", "MODEL_KEY_SECRET", "QUEUE_URL", "TURNS_TABLE"}
UNREAD = {"MODEL_KEY_REVISION"}  # no code reads it: a change of it publishes a new version of the function


def readings(env: dict[str, str]) -> list[object]:
    """What every part of the system makes of an environment."""
    return [
        Settings.from_env(env),
        ConversationsSettings.from_env(env),
        Tables.from_env(env),
        Quotas.from_env(env),
        LocalSettings.from_env(env),
        base(env, Ports(1, 2, 3, (4,)))["CHAT_SETTLE_DELAY_S"],
        base(env, Ports(1, 2, 3, (4,))).get("CHAT_EMBEDDED_AWS_FAULTS"),
    ]


@pytest.mark.parametrize("former", sorted(set(RENAMED) - UNREAD))
def test_a_setting_counts_by_the_name_it_had_before_the_prefix(former: str) -> None:
    value = "mine" if former in TEXTS else "7"
    rest = {name: text for name, text in LEAST.items() if name != PREFIX + former}

    by_old, by_new = readings({**rest, former: value}), readings({**rest, PREFIX + former: value})

    assert by_old == by_new
    assert by_new != readings({**LEAST, former: ""})


@pytest.mark.parametrize("former", RENAMED)
def test_the_name_with_the_prefix_wins(former: str) -> None:
    assert current({former: "old", PREFIX + former: "new"})[PREFIX + former] == "new"
    assert current({former: "old", PREFIX + former: ""})[PREFIX + former] == "old"  # an empty variable is not set


def test_every_field_of_the_settings_has_a_known_name() -> None:
    names = {
        *(f"CHAT_{one.name.upper()}" for one in fields(Timing)),
        *(f"CHAT_MAX_{one.name.upper()}" for one in fields(Limits)),
        *(f"CHAT_QUOTA_{one.name.upper()}" for one in fields(Quotas)),
    }
    assert names <= KNOWN


def test_the_code_reads_no_other_names_with_the_prefix() -> None:
    read = {
        node.value
        for folder in ("functions", "local", "infra", "chat_cli")
        for path in (ROOT / folder).rglob("*.py")
        if "node_modules" not in path.parts and path.name != "variables.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(r"CHAT_[A-Z_]+[A-Z]", node.value)
    }
    assert read <= KNOWN


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("CHAT_STAL_S", "CHAT_STALL_S"), ("CHAT_QUOTA_STREAM", "CHAT_QUOTA_STREAMS"), ("CHAT_ZZZ", None)],
)
def test_a_misspelled_setting_is_named_with_the_one_it_resembles(
    name: str, nearest: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    env = {name: "5", "PATH": "/bin", "CHAT_URL": "http://x", "CHAT_STALL_S": "1"}

    with caplog.at_level(logging.WARNING):
        variables.warn_of_unknown(env, logging.getLogger("test").warning)

    assert [(found.name, found.nearest) for found in unknown(env)] == [(name, nearest)]
    assert [(line.message, line.__dict__["setting"], line.__dict__["nearest"]) for line in caplog.records] == [
        ("not a setting", name, nearest)
    ]


def test_the_processes_of_the_local_run_do_not_repeat_its_warning() -> None:
    assert unknown(base({"CHAT_STAL_S": "5"}, Ports(1, 2, 3, (4,)))) == []

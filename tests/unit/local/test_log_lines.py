"""The log of the local run, as a person reads it."""

import io
import json
import re

import pytest

from local.log_lines import Log


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(raw: str) -> str:
    out = io.StringIO()
    Log(out, {}).line("chat_stream", raw)
    return out.getvalue()


def test_a_json_line_becomes_time_source_level_message_and_fields() -> None:
    raw = json.dumps(
        {"level": "INFO", "message": "turn ended", "service": "x", "timestamp": "t", "turn_id": "1", "duration_ms": 812}
    )
    assert re.fullmatch(r"\d\d:\d\d:\d\d chat_stream +INFO +turn ended turn_id=1 duration_ms=812\n", shown(raw))


def test_the_frames_of_an_error_stand_below_it() -> None:
    raw = json.dumps({"level": "ERROR", "message": "broke", "error": "KeyError", "frames": ["a.py:1 f", "b.py:2 g"]})
    assert shown(raw).endswith("broke error=KeyError\n    a.py:1 f\n    b.py:2 g\n")


def test_a_metric_line_shows_its_values() -> None:
    raw = json.dumps(
        {
            "_aws": {"Timestamp": 1, "CloudWatchMetrics": [{"Metrics": [{"Name": "PersistLag"}]}]},
            "service": "p",
            "PersistLag": [0.15],
        }
    )
    assert shown(raw).endswith("metrics PersistLag=0.15\n")
    assert "_aws" not in shown(raw)


@pytest.mark.parametrize(
    ("raw", "level", "text"), [("WARNING:  odd", "WARNING", "odd"), ("just text", "INFO", "just text"), ("{x", "INFO", "{x")]
)
def test_other_lines_are_kept_as_they_are(raw: str, level: str, text: str) -> None:
    assert shown(raw).split(maxsplit=2)[2].split(maxsplit=1) == [level, f"{text}\n"]


def test_an_empty_line_is_left_out() -> None:
    assert shown("  \n") == ""


def test_colour_is_for_terminals_that_want_it() -> None:
    for out, env, coloured in ((Terminal(), {}, True), (Terminal(), {"NO_COLOR": "1"}, False), (io.StringIO(), {}, False)):
        Log(out, env).say("lost", "ERROR")
        assert ("\x1b[" in out.getvalue()) is coloured

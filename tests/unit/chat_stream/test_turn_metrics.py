"""The figures of a turn, as CloudWatch reads them from the log."""

import asyncio
import json
from typing import Any

import pytest

from functions.chat_stream.metrics import NAMES, Figures, Meter, Moment

TURN = Figures("complete", began=10.0, model_sent=10.004, first_token=10.5, input_tokens=48, output_tokens=70)


def written(capsys: pytest.CaptureFixture[str], figures: Figures) -> list[dict[str, Any]]:
    Meter("chat-blue").write(figures)
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def dimensions_of(line: dict[str, Any]) -> dict[str, Any]:
    (group,) = line["_aws"]["CloudWatchMetrics"]
    assert group["Namespace"] == "chat-blue"
    (names,) = group["Dimensions"]
    return {name: line[name] for name in names}


def values_of(line: dict[str, Any]) -> dict[str, float]:
    (group,) = line["_aws"]["CloudWatchMetrics"]
    return {metric["Name"]: line[metric["Name"]][0] for metric in group["Metrics"]}


def test_a_turn_is_counted_by_its_outcome(capsys: pytest.CaptureFixture[str]) -> None:
    count, _ = written(capsys, TURN)
    assert dimensions_of(count) == {"service": "chat_stream", "outcome": "complete"}
    assert values_of(count) == {"Turns": 1}


def test_the_wait_is_told_as_a_whole_and_as_ours_and_the_model_s_part(capsys: pytest.CaptureFixture[str]) -> None:
    _, rest = written(capsys, TURN)
    assert dimensions_of(rest) == {"service": "chat_stream"}
    assert values_of(rest) == pytest.approx(
        {
            "TimeToFirstToken": 500,
            "TimeToFirstTokenAdded": 4,
            "TimeToFirstTokenModel": 496,
            "InputTokens": 48,
            "OutputTokens": 70,
        }
    )


def test_a_turn_without_a_token_tells_no_wait(capsys: pytest.CaptureFixture[str]) -> None:
    count, rest = written(capsys, TURN._replace(outcome="failed", first_token=None, output_tokens=0))
    assert dimensions_of(count)["outcome"] == "failed"
    assert values_of(rest) == {"InputTokens": 48, "OutputTokens": 0}


def model_failed(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    Meter("chat-blue").model_failed("wrong_key")
    line: dict[str, Any] = json.loads(capsys.readouterr().out)
    return line


def test_a_failure_of_the_model_is_counted_by_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    line = model_failed(capsys)
    assert dimensions_of(line) == {"service": "chat_stream", "reason": "wrong_key"}
    assert values_of(line) == {"ModelFailures": 1}


def test_every_metric_that_is_written_has_its_name_in_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [*written(capsys, TURN), model_failed(capsys)]
    assert {name for line in lines for name in values_of(line)} == set(NAMES)


def test_turns_do_not_add_up_in_memory(capsys: pytest.CaptureFixture[str]) -> None:
    written(capsys, TURN)
    _, rest = written(capsys, TURN._replace(input_tokens=1))
    assert values_of(rest)["InputTokens"] == 1
    assert len(rest["InputTokens"]) == 1


async def test_a_moment_remembers_when_it_first_came() -> None:
    moment = Moment()
    assert moment.at is None
    moment.set()
    first = moment.at
    await asyncio.sleep(0)
    moment.set()
    assert moment.is_set()
    assert moment.at == first

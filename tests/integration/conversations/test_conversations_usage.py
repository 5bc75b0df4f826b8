"""`GET /api/usage`: the caller's own turns and tokens of today and of the month, and the limits that apply."""

from datetime import UTC, datetime, timedelta

import pytest

from functions.common import keys
from functions.common.ids import new_id
from functions.conversations import handler as function
from infra.resources import TURNS
from tests.integration.conversations.stage import Stage, refusal

NOTHING = {"turns": 0, "inputTokens": 0, "outputTokens": 0, "totalTokens": 0}


def spend(stage: Stage, day: datetime, turns: int, read: int, written: int, user: str = "alice") -> None:
    """As persist adds it up, in an item of its own."""
    key = keys.usage_key(user, day.date().isoformat(), new_id())
    sums = {"turns": turns, "input_tokens": read, "output_tokens": written}
    stage.db.update_item(
        TableName=TURNS.name,
        Key={"pk": {"S": key.pk}, "sk": {"S": key.sk}},
        UpdateExpression="ADD " + ", ".join(f"{name} :{name}" for name in sums),
        ExpressionAttributeValues={f":{name}": {"N": str(value)} for name, value in sums.items()},
    )


def test_who_has_used_nothing_sees_zeros_and_the_limits(stage: Stage) -> None:
    answer = stage.get("/api/usage")
    assert answer.status == 200
    limits = {"concurrentStreams": 10, "turnsPerMinute": 60, "tokensPerDay": 2_000_000}
    assert answer.json == {"today": NOTHING, "month": NOTHING, "limits": limits}


def test_today_and_the_month_are_summed_over_all_their_items_and_no_others(stage: Stage) -> None:
    now = datetime.now(UTC)
    first = now.replace(day=1)
    for _ in range(40):
        spend(stage, now, 1, 10, 20)
    if now.day > 1:
        spend(stage, first, 2, 100, 200)
    spend(stage, first - timedelta(days=1), 1000, 1000, 1000)
    spend(stage, now, 1000, 1000, 1000, user="bob")

    document = stage.get("/api/usage").json

    assert document["today"] == {"turns": 40, "inputTokens": 400, "outputTokens": 800, "totalTokens": 1200}
    earlier = (2, 300) if now.day > 1 else (0, 0)
    assert (document["month"]["turns"], document["month"]["totalTokens"]) == (40 + earlier[0], 1200 + earlier[1])


def test_the_limits_are_the_settings_and_none_is_null(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_QUOTA_STREAMS", "3")
    monkeypatch.setenv("CHAT_QUOTA_TOKENS_PER_DAY", "0")
    function.gate.cache_clear()

    assert stage.get("/api/usage").json["limits"] == {"concurrentStreams": 3, "turnsPerMinute": 60, "tokensPerDay": None}


def test_storage_that_refuses_is_a_503(stage: Stage) -> None:
    stage.breaks("Query", lambda _: refusal("ProvisionedThroughputExceededException"))
    assert stage.get("/api/usage").status == 503

"""The cost model: a worked example by hand, work that follows the code, and break-evens that can be checked with a pencil."""

from functools import partial

import pytest

from bench.cost import idle, managed, model
from bench.cost.provider import Shape
from bench.cost.tables import Meter, MeteredTables, Usage, size_of
from bench.cost.work import TABLES, Lines, Stored, Work, measure
from functions.chat_stream.settings import Timing
from infra import resources
from infra.config import Config

HALF_MINUTE = Shape(answer_tokens=1450)
about = partial(pytest.approx, rel=1e-6)


def test_a_worked_example_gives_what_the_pencil_gives() -> None:
    chat = Meter(calls=70, usage={TABLES.turns: Usage(read_units=20, write_units=30)})
    stored = Stored(
        body_bytes=70_000,
        meter=Meter(calls=2, usage={TABLES.conversations: Usage(write_units=8, index_write_units=2)}),
        log=Lines(1, 300),
    )
    work = Work(
        shape=HALF_MINUTE,
        duration_s=30.0,
        request_bytes=7_000,
        response_bytes=98_000,
        prompt_bytes=10_000,
        chat=chat,
        log=Lines(4, 1_200),
        sends=(70_000,),
        records={"turn_started": stored},
        batch_calls=2,
    )

    bill = model.per_thousand(work, Config(chat_memory_mb=2048))

    assert bill["Lambda, chat_stream"] == about(1000 * (30 * 2 * 0.0000133334 + 0.0000002))
    persist_s = 2 * 0.010 + 0.00025 * 1769 / 512
    assert bill["Lambda, persist"] == about(1000 * (persist_s * 0.5 * 0.0000133334 + 0.0000002))
    assert bill["Lambda, streamed bytes"] == 0
    assert bill["SnapStart, restores"] == about(1000 * 2 * 0.0001397998 / 20)
    assert bill["DynamoDB"] == about(1000 * (40 * 0.000000625 + 20 * 0.000000125))
    assert bill["SQS"] == about(1000 * 5 * 0.0000004)  # 2 chunks sent, 2 received, 1 delete
    assert bill["CloudFront"] == about(1000 * (0.000001 + 0.0000001) + 0.1 * 0.085 + 0.01 * 0.020)
    assert bill["CloudWatch Logs"] == about((1_500 + 2 * 700 + 9 * 26) / 1e6 * 0.5)
    assert bill["X-Ray"] == about(1000 * 2 * 0.000005)
    assert bill["data to the provider"] == about(0.01 * 0.09)


def test_streamed_bytes_cost_above_six_megabytes() -> None:
    work = measure(HALF_MINUTE)
    long = Work(**{**{name: getattr(work, name) for name in Work.__slots__}, "response_bytes": 8_000_000})

    assert model.per_thousand(long, Config())["Lambda, streamed bytes"] == about(1000 * 0.002 * 0.008)


def test_a_turn_of_half_a_minute_keeps_to_its_budget_of_calls() -> None:
    turns = measure(HALF_MINUTE).chat.of(TABLES.turns)

    assert turns.writes <= 32
    assert turns.reads <= 45


def test_the_model_follows_the_code_and_its_settings() -> None:
    seldom = measure(HALF_MINUTE, Timing(checkpoint_s=2.2, settle_delay_s=resources.SETTLE_DELAY_S))

    saved = measure(HALF_MINUTE).chat.of(TABLES.turns).writes - seldom.chat.of(TABLES.turns).writes
    assert saved == 27 - 13  # checkpoints in 30 s: every 1.1 s, every 2.2 s


def test_a_turn_is_stored_by_three_records_and_its_settling_writes_nothing() -> None:
    records = measure(HALF_MINUTE).records

    assert set(records) == {"turn_started", "turn_finished", "settle_turn"}
    assert not any(usage.writes for usage in records["settle_turn"].meter.usage.values())


def test_a_longer_answer_costs_more_and_so_does_more_memory() -> None:
    cost = {
        (tokens, memory): model.total(model.per_thousand(measure(Shape(tokens)), Config(chat_memory_mb=memory)))
        for tokens in (150, 1450)
        for memory in (512, 1024)
    }

    assert cost[150, 512] < cost[150, 1024] < cost[1450, 512] < cost[1450, 1024]


def test_idle_is_what_operations_says() -> None:
    used_up, at_hand = (idle.monthly(Config(), free_tier=free) for free in (False, True))

    assert used_up["SnapStart's cache of one version"] == about(730 * 3600 * 0.0000015046)
    assert sum(used_up.values()) == pytest.approx(9.32, abs=0.005)
    assert sum(at_hand.values()) == pytest.approx(5.05, abs=0.005)
    assert sum(idle.monthly(Config(snap_start=False), free_tier=True).values()) == pytest.approx(1.10, abs=0.005)


def test_the_break_even_lies_where_the_least_fleet_costs_as_much_as_lambda() -> None:
    fleet_h = 3 * 0.145 * 1.15 + 3 * 0.045
    lambda_h, upstream_h = 3600 * 0.0000133334, 50 * 250 * 3600 / 1e9 * 0.045

    assert managed.break_even(Config(), peak_to_mean=1) == pytest.approx(fleet_h / (lambda_h - upstream_h), abs=0.1)


def test_a_peak_far_above_the_mean_makes_managed_instances_never_pay() -> None:
    assert managed.break_even(Config(), peak_to_mean=30) is None


def test_more_streams_than_the_least_fleet_carries_need_more_instances() -> None:
    fleet = managed.Fleet(streams=64, headroom=2.0)

    assert [fleet.instances(streams) for streams in (1, 288, 289, 9_600)] == [3, 3, 4, 100]


@pytest.mark.parametrize(
    ("item", "size"),
    [({"pk": {"S": "abc"}}, 5), ({"pk": {"S": "é"}}, 4), ({"n": {"N": "1234"}}, 4), ({"b": {"BOOL": True}}, 2)],
)
def test_an_item_is_as_large_as_its_names_and_values(item: dict[str, dict[str, object]], size: int) -> None:
    assert size_of(item) == size


def test_a_transaction_costs_twice_and_a_started_kilobyte_counts_whole() -> None:
    tables = MeteredTables([resources.TURNS])
    item = {"pk": {"S": "p"}, "sk": {"S": "s"}, "text": {"S": "x" * 1500}}

    tables.put_item(TableName="turns", Item=item)
    tables.transact_write_items(TransactItems=[{"Put": {"TableName": "turns", "Item": item}}])

    assert tables.meter.of("turns") == Usage(writes=2, write_units=2 + 4)


def test_what_is_not_metered_is_refused() -> None:
    tables = MeteredTables([resources.TURNS])

    with pytest.raises(ValueError, match="not metered"):
        tables.query(TableName="turns", KeyConditionExpression="pk = :pk AND sk < :x", ExpressionAttributeValues={})
    with pytest.raises(ValueError, match="not metered"):
        tables.transact_write_items(TransactItems=[{"Delete": {}}])

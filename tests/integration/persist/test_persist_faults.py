"""Persist when DynamoDB, the network, the clock or the messages themselves fail: only what must come again comes again."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from functions.common.events import Token
from functions.common.records import Record, TurnHead, encode
from functions.common.session import NotReady
from functions.persist.pace import MAX_ATTEMPTS
from tests.integration.persist.persist_world import (
    CONVERSATION,
    Reply,
    World,
    cancelled,
    finished,
    following,
    head,
    log_lines,
    persist_world,
    reply,
    settling,
    started,
    times_over,
    uid,
)

TRANSACT = "TransactWriteItems"
Logged = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def world() -> Iterator[World]:
    with persist_world() as world:
        yield world


@pytest.fixture
def logged() -> Iterator[Logged]:
    with log_lines() as lines:
        yield lines


def elsewhere(turn: int, **changes: Any) -> TurnHead:
    """The head of a turn that begins a conversation of its own."""
    return head(turn, conversation_id=uid(500 + turn), **changes)


class Killed(BaseException):
    """The process ends here."""


def test_ten_conversations_take_one_read_and_one_transaction(world: World) -> None:
    assert world.deliver(*(started(elsewhere(n)) for n in range(10, 20))) == []
    assert world.calls == ["BatchGetItem", TRANSACT]


def test_a_record_that_is_twice_in_a_batch_is_stored_once_and_both_messages_are_done(world: World) -> None:
    assert world.deliver(started(head(2)), started(head(2))) == []
    assert world.calls == ["BatchGetItem", TRANSACT]


def test_a_batch_too_long_for_one_transaction_takes_two(world: World) -> None:
    world.deliver(*(started(elsewhere(n)) for n in range(10, 31)))  # 5 writes each
    assert world.calls == ["BatchGetItem", TRANSACT, TRANSACT]


def test_a_batch_too_large_for_one_transaction_takes_two(world: World) -> None:
    text = "ü" * 180_000
    assert world.deliver(*(started(elsewhere(n), text) for n in range(10, 20))) == []
    assert world.calls == ["BatchGetItem", TRANSACT, TRANSACT]


def test_more_turns_than_one_read_takes_are_read_in_two(world: World) -> None:
    turn = following(3, parent=30, depth=3)
    world.deliver(*(settling(turn.model_copy(update={"turn_id": uid(1000 + n)})) for n in range(51)))
    assert world.calls[:2] == ["BatchGetItem", "BatchGetItem"]


def test_a_refused_or_repeated_record_does_not_hold_up_the_others_of_its_transaction(world: World) -> None:
    done, foreign = elsewhere(10), head(3, workspace_id="ann")
    world.deliver(finished(done), started(head(2)))
    fresh = [started(elsewhere(n)) for n in range(20, 25)]
    world.calls.clear()
    assert world.deliver(finished(done), started(foreign), *fresh) == []
    # The first is cancelled, what is fresh goes again together, and the refusal by itself.
    assert world.calls == ["BatchGetItem", TRANSACT, TRANSACT, TRANSACT]
    assert all(world.answer(record.turn) for record in fresh)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "ThrottlingException"),
        (400, "ProvisionedThroughputExceededException"),
        (400, "RequestLimitExceeded"),
        (400, "TransactionInProgressException"),
        (500, "InternalServerError"),
        (503, "ServiceUnavailable"),
        (502, "SomethingNew"),
    ],
)
@pytest.mark.parametrize("operation", [TRANSACT, "BatchGetItem", "Query"])
def test_a_busy_database_is_asked_again(world: World, status: int, code: str, operation: str) -> None:
    world.claim(head(2))
    world.log(head(2), 1, Token("Hel"))
    world.fault = times_over(2, lambda: reply(status, code), operation)
    assert world.deliver(settling(head(2))) == []
    assert (world.answer(head(2)) or {})["content"] == "Hel"
    assert len(world.waits) == 2
    assert 0 < world.waits[0] <= 0.05 < world.waits[1] * 2 <= 0.2


def test_a_read_that_leaves_keys_unread_is_asked_again(world: World) -> None:
    body = json.dumps({"Responses": {}, "UnprocessedKeys": {"turns": {"Keys": [{"pk": {"S": "a"}, "sk": {"S": "b"}}]}}})
    world.fault = times_over(1, lambda: reply(200, "-", **json.loads(body)), "BatchGetItem")
    assert world.deliver(started(head(2))) == []
    assert world.calls.count("BatchGetItem") == 2


@pytest.mark.parametrize("reason", ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"])
def test_a_transaction_cancelled_by_another_one_is_tried_again(world: World, reason: str) -> None:
    world.fault = times_over(2, lambda: cancelled("None", reason, *["None"] * 5))
    assert world.deliver(started(head(2))) == []
    assert world.calls.count(TRANSACT) == 3
    assert len(world.waits) == 2


def test_a_conflict_of_one_record_leaves_the_others_together(world: World) -> None:
    reasons = ["None"] * 20 + ["TransactionConflict"]
    world.fault = times_over(1, lambda: cancelled(*reasons))
    assert world.deliver(*(started(elsewhere(n)) for n in range(10, 13))) == []
    assert world.calls.count(TRANSACT) == 3
    assert all(world.receipt(elsewhere(n)) for n in range(10, 13))


def only(turn: TurnHead, answer: Callable[[], Reply]) -> Callable[[str, Any], Reply | None]:
    """A fault that answers every transaction in which the turn stands."""

    def fault(called: str, body: Any) -> Reply | None:
        return answer() if called == TRANSACT and turn.turn_id in json.dumps(body) else None

    return fault


def test_a_record_that_stays_throttled_fails_alone(world: World) -> None:
    bad, good = elsewhere(10), elsewhere(11)

    def fault(called: str, body: Any) -> Reply | None:
        if called != TRANSACT or bad.turn_id not in json.dumps(body):
            return None
        return cancelled(*("ThrottlingError" if bad.turn_id in json.dumps(item) else "None" for item in body["TransactItems"]))

    world.fault = fault
    assert world.deliver(started(bad), started(good)) == [started(bad)]
    assert len(world.waits) == MAX_ATTEMPTS - 1
    assert world.answer(good)
    world.fault = None
    assert world.deliver(started(bad)) == []


def test_a_database_that_stays_down_fails_every_record_and_nothing_is_lost(world: World) -> None:
    records = [started(elsewhere(n)) for n in range(10, 13)]
    world.fault = lambda *_: reply(503, "ServiceUnavailable")
    assert world.deliver(*records) == records
    assert world.calls == ["BatchGetItem"] * MAX_ATTEMPTS
    world.fault = lambda called, _: reply(503, "ServiceUnavailable") if called == TRANSACT else None
    assert world.deliver(*records) == records
    world.fault = None
    assert world.deliver(*records) == []


def test_a_settling_whose_log_cannot_be_read_fails_alone(world: World) -> None:
    world.fault = lambda called, _: reply(500, "InternalServerError") if called == "Query" else None
    assert world.deliver(settling(head(2)), started(elsewhere(10))) == [settling(head(2))]
    assert world.answer(elsewhere(10))


@pytest.mark.parametrize("answer", [lambda: reply(400, "ValidationException"), lambda: reply(400, "AccessDeniedException")])
def test_a_write_that_dynamodb_will_never_take_fails_alone_without_a_second_try(
    world: World, answer: Callable[[], Reply], logged: Logged
) -> None:
    bad, good = elsewhere(10), [started(elsewhere(n)) for n in range(11, 14)]
    world.fault = only(bad, answer)
    assert world.deliver(started(bad), *good) == [started(bad)]
    assert world.calls.count(TRANSACT) == 1 + 4
    assert world.waits == []
    assert [(line["error"], line["turn_id"]) for line in logged()] == [("Rejected", bad.turn_id)]


def test_an_item_too_large_fails_its_record_alone(world: World) -> None:
    bad, good = elsewhere(10), elsewhere(11)
    reasons = ["None"] * 3 + ["ValidationError"] + ["None"] * 10
    world.fault = times_over(1, lambda: cancelled(*reasons))
    assert world.deliver(started(bad), started(good)) == [started(bad)]
    assert world.answer(good)


@pytest.mark.parametrize("error", [httpx2.ReadTimeout("no response"), httpx2.ReadError("cut off")])
@pytest.mark.parametrize("record", [started, finished])
def test_a_lost_reply_is_asked_for_again_and_stores_nothing_twice(
    world: World, error: Exception, record: Callable[[TurnHead], Record]
) -> None:
    world.deliver(record(head(2)))
    expected = world.scan()
    world.clear()
    lost = [error]
    world.lose_reply = lambda called: lost.pop() if called == TRANSACT and lost else None
    assert world.deliver(record(head(2))) == []
    assert world.scan() == expected


def test_missing_credentials_fail_the_records_and_not_the_function(world: World) -> None:
    world.lose_reply = lambda _: NotReady()
    assert world.deliver(started(head(2))) == [started(head(2))]


def test_near_its_deadline_the_function_reports_the_rest_in_time(world: World) -> None:
    left = [30_000]
    records: list[Record] = [
        started(head(2)),
        started(following(3, parent=30, depth=3)),
        started(following(4, parent=40, depth=5)),
    ]

    def fault(called: str, _body: Any) -> None:
        if called == TRANSACT:
            left[0] -= 13_000

    world.fault = fault
    assert world.deliver(*records, remaining_ms=lambda: left[0]) == records[2:]
    assert left[0] == 4_000
    assert world.deliver(*records, remaining_ms=lambda: 4_999) == records
    assert world.deliver(*records[2:]) == []


def test_retries_end_with_the_time(world: World) -> None:
    left = [30_000]

    def fault(called: str, _body: Any) -> Reply | None:
        left[0] -= 9_000
        return reply(400, "ThrottlingException") if called == TRANSACT else None

    world.fault = fault
    assert world.deliver(started(head(2)), remaining_ms=lambda: left[0]) == [started(head(2))]
    assert world.calls == ["BatchGetItem", TRANSACT, TRANSACT]


POISON = [
    "",
    "{}",
    "not json: secret-canary",
    "z1:secret-canary~",
    "z1:" + "0" * 40,
    encode(started(head(2))).replace('"v":1', '"v":2'),
    encode(started(head(2))).replace("turn_started", "turn_invented"),
    encode(started(head(2))).replace('"content":"hi"', '"content":5'),
    encode(started(head(2, started_at="secret-canary"))),
    encode(finished(head(2), finished_at="secret-canary")),
    encode(started(head(2, workspace_id=None))),
]


@pytest.mark.parametrize("body", POISON, ids=range(len(POISON)))  # the bodies hold the time: they cannot name a test
def test_a_poison_message_fails_alone_and_the_log_does_not_quote_it(
    world: World, body: str, logged: Logged, capsys: pytest.CaptureFixture[str]
) -> None:
    good = encode(started(elsewhere(10)))
    assert world.deliver_bodies([body, good, body]) == [0, 2]
    assert world.answer(elsewhere(10))
    assert world.answer(head(2)) is None
    assert [(line["error"], line["receive_count"]) for line in logged()] == [("Poison", 1)] * 2
    assert all(line["record_id"] and line["code"] for line in logged())
    assert "canary" not in json.dumps(logged()) + capsys.readouterr().out


def test_a_batch_of_nothing_but_poison_fails_whole_without_a_call(world: World) -> None:
    assert world.deliver_bodies(["x", "y"]) == [0, 1]
    assert world.calls == []


def test_a_duplicate_and_a_refusal_are_logged_by_their_codes(world: World, logged: Logged) -> None:
    world.deliver(started(head(2)))
    world.deliver(started(head(2, digest="other")), started(following(3, parent=30, depth=3, conversation_id=uid(9))))
    assert [line["code"] for line in logged()] == ["duplicate_turn", "conversation_not_found"]


def test_the_lag_from_the_fact_to_its_storing_is_measured_once(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.deliver(finished(head(2)), *(started(elsewhere(n)) for n in range(10, 110)))
    world.deliver(finished(head(2)))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    lags = [lag for line in lines for lag in line["PersistLag"]]
    assert len(lags) == 101
    assert 3600 - 205 - 1 < lags[0] < 3600 + 3600
    assert {line["_aws"]["CloudWatchMetrics"][0]["Namespace"] for line in lines} == {"streaming-first-chat"}


RECORDS: list[Callable[[TurnHead], Record]] = [started, finished, settling]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("call", range(3))
@pytest.mark.parametrize("record", RECORDS)
def test_a_process_killed_before_or_after_any_call_leaves_what_a_redelivery_completes(
    world: World, record: Callable[[TurnHead], Record], call: int, after: bool
) -> None:
    def prepare() -> None:
        world.clear()
        world.claim(head(2))
        world.log(head(2), 1, Token("Hel"))

    prepare()
    world.deliver(record(head(2)))
    expected, calls = world.scan(), len(world.calls)
    prepare()
    seen = [0]

    def die(*_: Any) -> None:
        seen[0] += 1
        if seen[0] == call + 1:
            raise Killed

    if after:
        world.lose_reply = die
    else:
        world.fault = die
    if call < calls:
        with pytest.raises(Killed):
            world.deliver(record(head(2)))
    assert world.deliver(record(head(2))) == []
    assert world.scan() == expected


def test_a_long_record_cut_off_between_its_transactions_publishes_nothing_and_is_completed(world: World) -> None:
    record = started(head(2, depth=150))
    record = record.model_copy(
        update={"messages": [record.messages[0].model_copy(update={"id": uid(1000 + n), "depth": n}) for n in range(150)]}
    )
    seen = [0]

    def die(called: str, _body: Any) -> None:
        seen[0] += called == TRANSACT
        if seen[0] == 2:
            raise Killed

    world.fault = die
    with pytest.raises(Killed):
        world.deliver(record)
    assert "conversation_id" not in (world.receipt(head(2)) or {})
    world.fault = None
    assert world.deliver(started(head(2, digest="other"))) == []  # another request finds the turn taken
    assert world.deliver(record) == []
    assert (world.receipt(head(2)) or {})["conversation_id"] == CONVERSATION
    assert len(world.scan()["conversations"]) == 1 + 2 * (150 + 1)


@pytest.mark.parametrize(
    "reasons",
    [
        {},
        {"CancellationReasons": []},
        {"CancellationReasons": [{"Code": "None"}]},
        {"CancellationReasons": [{"Code": "None"}] * 7},
    ],
    ids=["no word of reasons", "no reasons", "fewer reasons than writes", "nothing but None"],
)
def test_a_transaction_cancelled_without_a_reason_is_tried_again_with_pauses_and_then_comes_again(
    world: World, reasons: dict[str, Any]
) -> None:
    world.fault = times_over(1, lambda: reply(400, "TransactionCanceledException", **reasons))
    assert world.deliver(started(head(2))) == []
    assert len(world.waits) == 1

    world.fault = times_over(1000, lambda: reply(400, "TransactionCanceledException", **reasons))
    record = started(elsewhere(3))
    assert world.deliver(record) == [record]
    assert len(world.waits) == MAX_ATTEMPTS

"""Plans and packing: what shares a transaction, what must not, and what each cancellation means."""

import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.common import keys
from functions.common.keys import Key
from functions.common.records import Answer, NewMessage, TurnFinished, TurnHead, TurnStarted
from functions.common.times import iso
from functions.persist.entries import Tables, What, Write
from functions.persist.errors import OutOfTime, Reason, Rejected, Unavailable
from functions.persist.job import Job, Outcome
from functions.persist.pace import MAX_ATTEMPTS, RESERVE_S, Pace
from functions.persist.plan import MAX_BYTES, MAX_ENTRIES, Plan, plan_finished, plan_refused, plan_started, split
from functions.persist.waves import packs, wave

TABLES = Tables("conversations", "turns")
MOMENT = "2026-11-22T18:20:20.123Z"


def uid(number: int) -> str:
    return f"00000000-0000-7000-8000-{number:012d}"


def head(turn: int = 1, **changes: Any) -> TurnHead:
    told: dict[str, Any] = {
        "turn_id": uid(turn),
        "user_id": "ann",
        "workspaces": ["acme"],
        "workspace_id": "acme",
        "conversation_id": uid(100 + turn),
        "new": True,
        "bud_id": "default",
        "model": "m",
        "title": None,
        "parent_id": None,
        "depth": 1,
        "digest": "digest",
        "started_at": MOMENT,
    }
    return TurnHead(**(told | changes))


def started(turn: TurnHead, count: int = 1, content: str = "hi") -> Plan:
    messages = [
        NewMessage(id=uid(1000 + n), parent_id=None, depth=n, role="user", content=content, meta={"n": n}) for n in range(count)
    ]
    return plan_started(TABLES, TurnStarted(turn=turn, messages=messages), "acme")


def finished(turn: TurnHead) -> Plan:
    answer = Answer(content="", status="complete", finished_at=MOMENT)
    return plan_finished(TABLES, TurnFinished(turn=turn, answer=answer), "acme", begun=False, claimed=True)


def reasons(job: Job, **failed: str | dict[str, Any]) -> list[Reason]:
    """One reason for each write of the job: `meta={…}` is its condition failing over that item, a text is another code."""

    def reason(write: Write) -> Reason:
        told = failed.get(write.what.value, "None")
        return Reason(told, {}) if isinstance(told, str) else Reason("ConditionalCheckFailed", told)

    return [reason(write) for write in job.writes]


def kinds(writes: Sequence[Write]) -> list[What]:
    return [write.what for write in writes]


def test_a_first_turn_asks_for_the_tombstone_and_a_later_one_has_no_need_to() -> None:
    assert kinds(started(head()).transaction(0, stale=False)) == [
        What.TOMBSTONE,
        What.META,
        What.MESSAGE_ID,
        What.MESSAGE,
        What.MESSAGE_ID,
        What.MESSAGE,
        What.RECEIPT,
    ]
    assert kinds(finished(head(new=False)).transaction(0, stale=False)) == [
        What.META,
        What.MESSAGE_ID,
        What.ANSWER,
        What.USAGE,
        What.RECEIPT,
    ]


@pytest.mark.parametrize(("count", "parts"), [(0, 1), (47, 1), (48, 2), (96, 2), (97, 3), (500, 11)])
def test_a_long_branch_is_cut_into_transactions_that_dynamodb_takes(count: int, parts: int) -> None:
    plan = started(head(depth=count), count)
    transactions = [plan.transaction(part, stale=False) for part in range(len(plan.parts))]
    assert len(transactions) == parts
    assert all(len(writes) <= MAX_ENTRIES for writes in transactions)
    assert all(len({write.key for write in writes}) == len(writes) for writes in transactions)
    assert sum(write.what is What.MESSAGE for writes in transactions for write in writes) == count + 1


def test_only_the_last_part_publishes_and_only_the_first_touches_the_conversation() -> None:
    plan = started(head(depth=100), 100)
    first, second, third = (plan.transaction(part, stale=False) for part in range(3))
    assert ["Update" in writes[1].entry for writes in (first, second, third)] == [True, False, False]
    assert [":conversation_id" in str(writes[-1].entry) for writes in (first, second, third)] == [False, False, True]
    assert all("#digest" in str(writes[-1].entry) for writes in (first, second, third))


def test_no_write_uses_a_name_or_a_value_it_does_not_define_nor_defines_one_it_does_not_use() -> None:
    plans = [
        started(head()),
        started(head(new=False, title="t", parent_id=uid(9)), 120),
        finished(head()),
        finished(head(new=False)),
    ]
    transactions = [plan.transaction(part, stale) for plan in plans for stale in (False, True) for part in range(len(plan.parts))]
    transactions.append(plan_refused(TABLES, head()).refusal("conversation_not_found"))
    for write in [write for writes in transactions for write in writes]:
        entry: Any = next(iter(write.entry.values()))
        text = entry.get("UpdateExpression", "") + " " + entry.get("ConditionExpression", "")
        used = {word.strip("(),") for word in text.replace("(", " ").replace(")", " ").replace(",", " ").split()}
        defined = {*entry.get("ExpressionAttributeNames", {}), *entry.get("ExpressionAttributeValues", {})}
        assert {word for word in used if word.startswith(("#", ":"))} == defined


def test_the_size_of_a_write_counts_bytes_and_not_characters() -> None:
    plain, wide = (started(head(), content=text).transaction(0, stale=False)[3].size for text in ("a" * 1000, "ü" * 1000))
    assert wide - plain == 1000


def write_of(size: int) -> Write:
    return Write(What.MESSAGE, Key("pk", "sk"), {}, size)


@given(st.lists(st.integers(1, 120), max_size=60))
def test_runs_keep_the_order_and_both_limits(sizes: list[int]) -> None:
    runs = split([write_of(size) for size in sizes], 7, 100)
    assert [write.size for run in runs for write in run] == sizes
    assert all(len(run) <= 7 and (len(run) == 1 or sum(write.size for write in run) <= 100) for run in runs if run)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(0, 60)), max_size=12))
def test_a_pack_keeps_the_limits_and_no_item_is_in_it_twice(told: list[tuple[int, bool, int]]) -> None:
    jobs = []
    for turn, alone, count in told:
        job = Job(started(head(turn, depth=count), count))
        job.alone = alone
        jobs.append(job)
    chosen = list(wave(jobs))
    groups = list(packs(chosen))
    assert sorted(id(job) for group in groups for job in group) == sorted(id(job) for job in chosen)
    assert {job.plan.turn.turn_id for job in chosen} == {job.plan.turn.turn_id for job in jobs}
    assert all(len(group) == 1 or not any(job.alone for job in group) for group in groups)
    for group in groups:
        writes = [write for job in group for write in job.writes]
        assert len(writes) <= MAX_ENTRIES
        assert len({write.key for write in writes}) == len(writes)


def test_large_records_do_not_share_a_transaction_they_do_not_fit() -> None:
    jobs = [Job(started(head(turn), content="x" * (MAX_BYTES // 3))) for turn in range(5)]
    assert [len(pack) for pack in packs(jobs)] == [2, 2, 1]


def test_of_two_records_of_a_conversation_the_earlier_goes_first() -> None:
    turn = head()
    first, second, other = Job(started(turn)), Job(finished(turn)), Job(started(head(2)))
    assert list(wave([first, second, other])) == [first, other]
    first.outcome = Outcome.STORED
    assert list(wave([second])) == [second]


OWN_ANSWER = {"role": {"S": "assistant"}, "user_id": {"S": "ann"}, "status": {"S": "complete"}}
OURS = {"workspace_id": {"S": "acme"}, "activity": {"S": "z"}}


@pytest.mark.parametrize(
    ("failed", "outcome"),
    [
        ({"receipt": {"digest": {"S": "other"}}}, Outcome.DUPLICATE),
        ({"receipt": {"digest": {"S": "digest"}, "refused": {"S": "conversation_not_found"}}}, Outcome.REFUSED),
        ({"receipt": {"digest": {"S": "digest"}, "refused": {"S": "duplicate_turn"}}}, Outcome.DUPLICATE),
        ({"receipt": {"digest": {"S": "digest"}, "answer_status": {"S": "complete"}}}, Outcome.REPEATED),
        ({"answer": OWN_ANSWER}, Outcome.REPEATED),
        ({"answer": OWN_ANSWER, "meta": OURS}, Outcome.REPEATED),
        ({"answer": OWN_ANSWER | {"digest": {"S": "digest"}}}, Outcome.REPEATED),
        ({"receipt": {"digest": {"S": "other"}}, "meta": {}}, Outcome.DUPLICATE),
        ({"receipt": {"digest": {"S": "other"}}, "tombstone": {}}, Outcome.DUPLICATE),
    ],
)
def test_a_cancellation_that_ends_the_record(failed: dict[str, Any], outcome: Outcome) -> None:
    job = Job(finished(head()))
    job.cancelled(reasons(job, **failed))
    assert job.result is outcome


@pytest.mark.parametrize(
    "failed",
    [
        {"tombstone": {}},
        {"meta": {}},
        {"meta": OURS | {"workspace_id": {"S": "others"}}},
        {"meta": OURS | {"deleted_at": {"S": "-"}}},
        {"meta": {}, "answer": {}},
        {"meta": {}, "message": "TransactionConflict"},
    ],
)
def test_a_conversation_that_is_not_there_for_the_turn_is_refused(failed: dict[str, Any]) -> None:
    job = Job(finished(head()))
    job.cancelled(reasons(job, **failed))
    assert (job.over, kinds(job.writes)) == (False, [What.RECEIPT])
    job.stored()
    assert job.result is Outcome.REFUSED


@pytest.mark.parametrize(
    "failed",
    [
        {"answer": OWN_ANSWER | {"user_id": {"S": "bob"}}},
        {"answer": OWN_ANSWER | {"user_id": {"S": "bob"}}, "meta": OURS},
        {"answer": OWN_ANSWER | {"role": {"S": "user"}}},
        {"answer": {"role": {"S": "user"}}},
        {"answer": OWN_ANSWER | {"digest": {"S": "other"}}},
    ],
)
def test_an_answer_under_the_id_of_what_is_not_its_own_is_refused(failed: dict[str, Any]) -> None:
    job = Job(finished(head()))
    job.cancelled(reasons(job, **failed))
    assert (job.over, kinds(job.writes)) == (False, [What.RECEIPT])
    job.stored()
    assert job.result is Outcome.DUPLICATE


def test_a_conversation_that_moved_on_is_asked_and_not_touched() -> None:
    job = Job(started(head()))
    job.cancelled(reasons(job, meta=OURS))
    assert "ConditionCheck" in job.writes[1].entry
    job.stored()
    assert job.result is Outcome.STORED


def test_conflicts_are_borne_a_bounded_number_of_times() -> None:
    job = Job(started(head()))
    for _ in range(MAX_ATTEMPTS - 1):
        job.cancelled(reasons(job, message="TransactionConflict"))
        assert (job.over, job.waits, job.alone) == (False, True, True)
    job.cancelled(reasons(job, message="ThrottlingError"))
    assert isinstance(job.result, Unavailable)


def test_a_write_that_is_not_valid_ends_its_record() -> None:
    job = Job(started(head()))
    job.cancelled(reasons(job, message="ValidationError"))
    assert isinstance(job.result, Rejected)


def test_a_record_cancelled_by_anothers_fault_is_as_it_was() -> None:
    job = Job(started(head()))
    job.cancelled(reasons(job))
    assert (job.over, job.alone, job.attempts) == (False, False, 0)


def test_a_receipt_expires_a_day_after_the_turn_began() -> None:
    begun = int(time.time()) - 600
    assert expires_at(head(started_at=iso(begun))) == begun + 24 * 3600


def test_the_receipt_of_a_late_record_counts_for_an_hour() -> None:
    assert expires_at(head(started_at=iso(time.time() - 5 * 24 * 3600))) == pytest.approx(time.time() + 3600, abs=5)


def expires_at(turn: TurnHead) -> int:
    write = started(turn).transaction(0, stale=False)[-1]
    values: dict[str, Any] = dict(write.entry["Update"]["ExpressionAttributeValues"])
    return int(values[f":{keys.EXPIRES}"]["N"])


def test_an_expired_receipt_is_emptied_and_then_the_record_is_stored() -> None:
    job = Job(started(head()))
    stored = kinds(job.writes)
    job.cancelled(reasons(job, receipt={"digest": {"S": "other"}, keys.EXPIRES: {"N": str(int(time.time()))}}))
    assert (job.over, kinds(job.writes)) == (False, [What.RECEIPT])
    job.stored()
    assert (job.over, kinds(job.writes)) == (False, stored)


def test_an_expired_receipt_that_another_record_has_replaced_is_met_again() -> None:
    job = Job(started(head()))
    job.cancelled(reasons(job, receipt={"digest": {"S": "other"}, keys.EXPIRES: {"N": str(int(time.time()))}}))
    live = {"digest": {"S": "other"}, keys.EXPIRES: {"N": str(int(time.time()) + 60)}}
    job.cancelled(reasons(job, receipt=live))
    job.cancelled(reasons(job, receipt=live))
    assert job.result is Outcome.DUPLICATE


def test_the_pace_asks_again_until_the_time_is_up() -> None:
    left = iter([RESERVE_S, RESERVE_S, RESERVE_S - 0.1])
    pauses: list[float] = []
    calls: list[int] = []

    def call() -> None:
        calls.append(1)
        raise Unavailable("ThrottlingException")

    with pytest.raises(OutOfTime):
        Pace(lambda: next(left), pauses.append).patiently(call)
    assert (len(calls), len(pauses)) == (2, 2)


def test_the_pauses_grow_and_never_exceed_a_second() -> None:
    pauses: list[float] = []
    pace = Pace(lambda: 30.0, pauses.append)
    for attempt in range(1, 12):
        pace.pause(attempt)
    assert all(0.025 * 2**n <= pause <= 0.05 * 2**n for n, pause in enumerate(pauses[:5]))
    assert all(0.5 <= pause <= 1.0 for pause in pauses[5:])

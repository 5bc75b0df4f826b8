"""What must hold when the traffic is over and the queue is empty, whatever went wrong meanwhile."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from functions.common.keys import EXPIRES
from local.system import LocalSystem
from tests.soak.traffic import Begun, Ledger

Violations = list[str]
Row = dict[str, Any]

_REFUSED = {"conversation_not_found", "duplicate_turn", "quota_exceeded", "not_saved"}
_CHECKPOINT_S = 1.5


@dataclass(frozen=True, slots=True)
class Stored:
    """What is there when the traffic is over: the rows of both tables, and how many letters are dead."""

    conversations: list[Row]
    turns: list[Row]
    dead_letters: int


def look(system: LocalSystem) -> Stored:
    dead = system.sqs.get_queue_attributes(QueueUrl=system.dead_letter_url, AttributeNames=["ApproximateNumberOfMessages"])
    letters = int(dead["Attributes"]["ApproximateNumberOfMessages"])
    return Stored(scan(system, system.conversations_table), scan(system, system.turns_table), letters)


def check(stored: Stored, ledger: Ledger) -> Violations:
    """Each violation as a sentence; none is the wish."""
    rows = stored.conversations
    metas = {row["pk"] for row in rows if row["sk"] == "META"}
    answers, questions = by(rows, "id"), by(rows, "content")
    deleted = {f"CONV#{conversation_id}" for conversation_id in ledger.deleted}
    found = [f"orphan item {row['pk']} {row['sk']}" for row in rows if row["pk"] not in metas]
    found += [f"deleted, but there: {row['pk']} {row['sk']}" for row in rows if row["pk"] in deleted]
    found += [f"still streaming: {row['id']}" for row in rows if row.get("status") == "streaming"]
    found += [f"not final in {EXPIRES}" for row in rows if EXPIRES in row]
    for turn in ledger.turns:
        if f"CONV#{turn.conversation_id}" not in deleted:
            found += of_turn(turn, answers, questions, ledger.kills)
    found += of_usage(stored.turns)
    if stored.dead_letters:
        found.append(f"dead letters: {stored.dead_letters}")
    return found


def by(rows: list[Row], attribute: str) -> dict[str, list[Row]]:
    """The messages by one of their attributes."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row["sk"].startswith("MSG#"):
            found.setdefault(str(row.get(attribute)), []).append(row)
    return found


def of_usage(turns: list[Row]) -> Violations:
    """Each answer that a turn sent itself is in its user's sums exactly once, though the conversation be deleted since."""
    counted = sum(int(row.get("turns", 0)) for row in turns if row["sk"].startswith("USAGE#"))
    receipts = [row for row in turns if row["sk"] == "RECEIPT"]
    answered = sum(row.get("answer_status", "interrupted") != "interrupted" for row in receipts)
    return [] if counted == answered else [f"{counted} turns counted, {answered} answers stored"]


def of_turn(turn: Begun, answers: dict[str, list[Row]], questions: dict[str, list[Row]], kills: list[float]) -> Violations:
    """An accepted turn is stored exactly once, with at least what was shown up to 1.5 s before a worker was killed."""
    stored = answers.get(turn.turn_id, [])
    if turn.last.get("code") in _REFUSED:
        return [f"refused as {turn.last['code']}, but stored twice: {turn.turn_id}"] if len(stored) > 1 else []
    if len(stored) != 1:
        # What a worker said in the 1.5 s before it was killed may be lost, and with it a turn that had only just begun.
        just_begun = not stored and any(0 < kill - turn.began_at < _CHECKPOINT_S for kill in kills)
        return [] if just_begun else [f"stored {len(stored)} times: {turn}"]
    (answer,) = stored
    until = min((kill - _CHECKPOINT_S for kill in kills if kill > turn.began_at), default=float("inf"))
    kept = "".join(text for _, (text, at) in sorted(turn.shown.items()) if at < until)
    wrong = (
        []
        if str(answer.get("content", "")).startswith(kept)
        else [f"shown, but not stored: {kept!r} of {turn}, stored is {answer}"]
    )
    if (asked := len(questions.get(turn.question, []))) != 1 and answer["status"] != "interrupted":
        wrong.append(f"its question is stored {asked} times: {turn.turn_id}")
    if turn.last.get("type") == "complete" and answer["status"] != turn.last["status"]:
        wrong.append(f"ended as {turn.last['status']}, stored as {answer['status']}: {turn.turn_id}")
    return wrong


def scan(system: LocalSystem, table: str) -> list[Row]:
    rows: list[Row] = []
    for page in system.dynamodb.get_paginator("scan").paginate(TableName=table):
        rows += [{name: next(iter(value.values())) for name, value in item.items()} for item in page["Items"]]
    return rows


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a process holds: resident megabytes, threads, open files and sockets."""

    megabytes: float
    threads: int
    files: int


# The pools of threads and connections grow with the largest number of calls at once, which chance decides.
_SLACK = Footprint(megabytes=12, threads=30, files=16)


def grown(before: Mapping[int, Footprint], after: Mapping[int, Footprint]) -> Violations:
    """Processes, by id, that hold more after some traffic than they did at rest before it."""
    found = []
    for pid in before.keys() & after.keys():
        for name in ("megabytes", "threads", "files"):
            was, is_now, slack = (getattr(one, name) for one in (before[pid], after[pid], _SLACK))
            if is_now > was + slack:
                found.append(f"process {pid} grew: {name} {was:g} → {is_now:g}")
    return found

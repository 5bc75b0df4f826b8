"""What must hold when the traffic is over and the queue is empty, whatever went wrong meanwhile."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from functions.common.keys import EXPIRES, QUEUED
from local.system import LocalSystem
from tests.soak.traffic import Begun, Ledger

Violations = list[str]
Row = dict[str, Any]

_REFUSED = {"conversation_not_found", "duplicate_turn", "quota_exceeded", "not_saved"}
# Within so long after its beginning the queue has a turn, on a machine that is busy with the soak alone or with others, too.
_QUEUED_WITHIN_S = 10
# A checkpoint is begun 1.1 s after the one before it was written, and a write takes 3 s at the most before it is given up.
_MOST_LOST_S = 4.1
_LATE_S = 3


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
    kept = Kept(
        by(rows, "id"),
        {text: len(those) for text, those in by(rows, "content").items()},
        log_ends(stored.turns),
        in_queue(stored.turns),
    )
    deleted = {f"CONV#{conversation_id}" for conversation_id in ledger.deleted}
    found = [f"orphan item {row['pk']} {row['sk']}" for row in rows if row["pk"] not in metas]
    found += [f"deleted, but there: {row['pk']} {row['sk']}" for row in rows if row["pk"] in deleted]
    found += [f"still streaming: {row['id']}" for row in rows if row.get("status") == "streaming"]
    found += [f"not final in {EXPIRES}" for row in rows if EXPIRES in row]
    for turn in ledger.turns:
        if f"CONV#{turn.conversation_id}" not in deleted:
            found += of_turn(turn, kept, ledger.kills)
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


@dataclass(frozen=True, slots=True)
class Kept:
    """Answers by their id, how often each text is stored, the number of the last event in each turn's log, and the turns of which
    the queue is known to have had something.
    """

    answers: dict[str, list[Row]]
    questions: dict[str, int]
    logs: dict[str, int]
    queued: set[str]


def log_ends(turns: list[Row]) -> dict[str, int]:
    ends: dict[str, int] = {}
    for row in turns:
        if row["sk"].startswith("EVENTS#"):
            turn_id = row["pk"].split("#")[1]
            ends[turn_id] = max(ends.get(turn_id, 0), int(row["last"]))
    return ends


def in_queue(turns: list[Row]) -> set[str]:
    """The turns with a receipt, or a checkpoint or claim that says so."""
    known = (row for row in turns if row["pk"].startswith("TURN#") and (row.get(QUEUED) is True or row["sk"] == "RECEIPT"))
    return {row["pk"].split("#")[1] for row in known}


def of_usage(turns: list[Row]) -> Violations:
    """Each answer that a turn sent itself is in its user's sums exactly once, though the conversation be deleted since."""
    counted = sum(int(row.get("turns", 0)) for row in turns if row["sk"].startswith("USAGE#"))
    receipts = [row for row in turns if row["sk"] == "RECEIPT"]
    answered = sum(row.get("answer_status", "interrupted") != "interrupted" for row in receipts)
    return [] if counted == answered else [f"{counted} turns counted, {answered} answers stored"]


def of_turn(turn: Begun, stored: "Kept", kills: list[float]) -> Violations:
    """An accepted turn is stored exactly once, with what was shown of it; of a killed one, up to its last checkpoint."""
    answers, told = stored.answers.get(turn.turn_id, []), outcome(turn)
    about = f"{turn.turn_id}, which ended as {told or 'nothing seen'}, {len(turn.shown)} tokens shown"
    if turn.last.get("code") in _REFUSED:
        return [f"refused, but stored {len(answers)} times: {about}"] if len(answers) > 1 else []
    if len(answers) != 1:
        # A worker may be killed before the queue has anything of a turn. Nobody is told then that it is kept.
        just_begun = any(0 < kill - turn.began_at < _QUEUED_WITHIN_S for kill in kills)
        never_queued = not answers and not turn.last and just_begun and turn.turn_id not in stored.queued
        return [] if never_queued else [f"stored {len(answers)} times: {about}"]
    (answer,) = answers
    if turn.twice and not (turn.last.get("durable") or turn.last.get("partial")):
        return []  # another run of it may be the one that is stored, and nothing else was said
    content, status = str(answer.get("content", "")), answer["status"]
    until = stored.logs.get(turn.turn_id, 0) if status == "interrupted" else float("inf")
    kept = "".join(text for number, (text, _) in sorted(turn.shown.items()) if number <= until)
    wrong = []
    if not content.startswith(kept):
        pairs = enumerate(zip(kept, content, strict=False))
        same = next((index for index, (one, other) in pairs if one != other), min(len(kept), len(content)))
        wrong.append(f"{len(kept)} characters shown, {len(content)} stored as {status}, the same up to {same}: {about}")
    if (asked := stored.questions.get(turn.question, 0)) != 1 and status != "interrupted":
        wrong.append(f"its question is stored {asked} times: {about}")
    if turn.last.get("type") == "complete" and status != turn.last["status"]:
        wrong.append(f"stored as {status}: {about}")
    if (lost := lost_s(turn, until, kills)) > _MOST_LOST_S:
        wrong.append(f"a kill lost {lost:.2f} s, more than {_MOST_LOST_S} s: {about}")
    return wrong


def outcome(turn: Begun) -> str:
    """How the turn ended for its reader, in a word; empty when that was not seen."""
    return str(turn.last.get("code") or turn.last.get("status") or "")


def lost_s(turn: Begun, until: float, kills: list[float]) -> float:
    """How long before the kill the first token came that the log, which ends at number `until`, does not hold.

    Its reader may have had it a moment after the kill was noted.
    """
    first = min((at for number, (_, at) in turn.shown.items() if number > until), default=None)
    return 0.0 if first is None else max(0.0, min((kill - first for kill in kills if kill > first - _LATE_S), default=0.0))


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

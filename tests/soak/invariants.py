"""What must hold when the traffic is over and the queue is empty, whatever went wrong meanwhile."""

from typing import Any

from functions.common.keys import EXPIRES
from local.system import LocalSystem
from tests.soak.traffic import Begun, Ledger

Violations = list[str]
Row = dict[str, Any]

_REFUSED = {"conversation_not_found", "duplicate_turn", "quota_exceeded", "not_saved"}
_CHECKPOINT_S = 1.5


def check(system: LocalSystem, ledger: Ledger) -> Violations:
    """Each violation as a sentence; none is the wish."""
    rows = scan(system, system.conversations_table)
    metas = {row["pk"] for row in rows if row["sk"] == "META"}
    messages: dict[str, list[Row]] = {}
    for row in rows:
        if row["sk"].startswith("MSG#"):
            messages.setdefault(row["id"], []).append(row)
    deleted = {f"CONV#{conversation_id}" for conversation_id in ledger.deleted}
    found = [f"orphan item {row['pk']} {row['sk']}" for row in rows if row["pk"] not in metas]
    found += [f"deleted, but there: {row['pk']} {row['sk']}" for row in rows if row["pk"] in deleted]
    found += [f"still streaming: {row['id']}" for row in rows if row.get("status") == "streaming"]
    found += [f"not final in {EXPIRES}" for row in rows if EXPIRES in row]
    for turn in ledger.turns:
        if f"CONV#{turn.conversation_id}" not in deleted:
            found += of_turn(turn, messages, ledger.kills)
    dead = system.sqs.get_queue_attributes(QueueUrl=system.dead_letter_url, AttributeNames=["ApproximateNumberOfMessages"])
    if int(dead["Attributes"]["ApproximateNumberOfMessages"]):
        found.append(f"dead letters: {dead['Attributes']['ApproximateNumberOfMessages']}")
    return found


def of_turn(turn: Begun, messages: dict[str, list[Row]], kills: list[float]) -> Violations:
    """An accepted turn is stored exactly once, with at least what was shown up to 1.5 s before a worker was killed."""
    stored = messages.get(turn.turn_id, [])
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
    if turn.last.get("type") == "complete" and answer["status"] != turn.last["status"]:
        wrong.append(f"ended as {turn.last['status']}, stored as {answer['status']}: {turn.turn_id}")
    return wrong


def scan(system: LocalSystem, table: str) -> list[Row]:
    rows: list[Row] = []
    for page in system.dynamodb.get_paginator("scan").paginate(TableName=table):
        rows += [{name: next(iter(value.values())) for name, value in item.items()} for item in page["Items"]]
    return rows

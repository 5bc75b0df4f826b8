"""From a record to the transactions that store it: pure, and the same for every delivery of the record."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final

from functions.common import times
from functions.common.records import SQS_MAX_DELAY_S, Answer, TurnFinished, TurnHead, TurnStarted
from functions.common.turns import INTERRUPTED
from functions.persist.entries import Tables, Write
from functions.persist.receipts import CONVERSATION_NOT_FOUND, claim, claimed_with_answer, receipt, refusal
from functions.persist.usage import counted
from functions.persist.writes import (
    answer,
    answer_id,
    message,
    message_id,
    meta_owned,
    meta_touched,
    placeholder,
    tombstone_absent,
)

# TransactWriteItems: "up to 100 action requests", "the aggregate size of the items in the transaction cannot exceed 4 MB".
MAX_ENTRIES: Final = 100
MAX_BYTES: Final = 3_500_000
_GUARDS: Final = 3  # tombstone, META and receipt stand in every transaction of a record


@dataclass(frozen=True)
class Plan:
    """What one record writes. Most fit one transaction; one of hundreds of messages takes several, its receipt in the last.

    `refused` is the code of what is known to be in the way. `final` is false for the settling of a turn that still lives: another
    settling has to follow.
    """

    tables: Tables
    turn: TurnHead
    workspace_id: str
    updated_at: str
    writes: Sequence[Write]
    answer: Answer | None = None
    settling: bool = False
    final: bool = True
    refused: str | None = None

    @cached_property
    def parts(self) -> list[list[Write]]:
        return split(self.writes, MAX_ENTRIES - _GUARDS, MAX_BYTES)

    def transaction(self, part: int, stale: bool) -> list[Write]:
        """The writes of one part. `stale`: the conversation has seen a later activity, so META is only asked, not touched.

        Only the first part touches META; the others ask whether the conversation is still there.
        """
        turn, tables = self.turn, self.tables
        guards = [tombstone_absent(tables, turn)] if turn.new else []
        if stale or part > 0:
            guards.append(meta_owned(tables, turn, self.workspace_id))
        else:
            guards.append(meta_touched(tables, turn, self.workspace_id, self.updated_at))
        if part < len(self.parts) - 1:
            last = claim(tables, turn)
        else:
            last = receipt(tables, turn, self.workspace_id, self.answer if self.final else None, self.settling)
        return [*guards, *self.parts[part], last]

    def refusal(self, code: str) -> list[Write]:
        """The transaction that says no instead."""
        return [refusal(self.tables, self.turn, code)]


def plan_refused(tables: Tables, turn: TurnHead) -> Plan:
    """Nothing to store: the turn's conversation is known not to be there for it."""
    return Plan(tables, turn, "", turn.started_at, [], refused=CONVERSATION_NOT_FOUND)


def plan_started(tables: Tables, record: TurnStarted, workspace_id: str) -> Plan:
    turn = record.turn
    writes: list[Write] = []
    for new in record.messages:
        # Its id first: where a record takes several transactions, no message is stored before its id is known to be free.
        writes += [message_id(tables, turn, new.depth, new.id), message(tables, turn, new)]
    writes += [answer_id(tables, turn), placeholder(tables, turn)]
    return Plan(tables, turn, workspace_id, turn.started_at, writes)


def plan_finished(tables: Tables, record: TurnFinished, workspace_id: str, begun: bool, claimed: bool) -> Plan:
    """`begun`: the turn's beginning is stored, and with it the answer's id. `claimed`: the run holds the turn's claim.

    A turn that could write no claim gets it with its answer, so that no other run of it is answered, or stored, afterwards.
    """
    turn, ended = record.turn, record.answer
    first = [] if begun else [answer_id(tables, turn)]
    writes = [*first, answer(tables, turn, ended), *counted(tables, turn, ended)]
    if turn.owner is not None and not claimed:
        writes.append(claimed_with_answer(tables, turn, workspace_id, ended))
    return Plan(tables, turn, workspace_id, ended.finished_at, writes, ended)


def plan_settled(tables: Tables, turn: TurnHead, workspace_id: str, text: tuple[str, str] | None, alive: bool) -> Plan:
    """The answer of a turn whose own never came: `text` is the answer and the reasoning of its log, None when there is no log.

    It counts as activity of the moment the turn began: a later one could overtake the turn's own answer, still on its way.
    """
    content, reasoning = text or ("", "")
    ended = Answer(content=content, reasoning=reasoning, status=INTERRUPTED, finished_at=turn.started_at)
    # When it was settled, about: a reader that asks what has changed since the turn began gets this, too.
    updated_at = times.iso(datetime.fromisoformat(turn.started_at).timestamp() + SQS_MAX_DELAY_S)
    writes = [answer_id(tables, turn), answer(tables, turn, ended, placeholder_only=text is None, updated_at=updated_at)]
    return Plan(tables, turn, workspace_id, ended.finished_at, writes, ended, settling=True, final=not alive)


def split(writes: Iterable[Write], max_entries: int, max_bytes: int) -> list[list[Write]]:
    """Writes in their order, in runs that keep both limits; a single write above the limit on bytes stands alone."""
    runs: list[list[Write]] = [[]]
    size = 0
    for write in writes:
        if runs[-1] and (len(runs[-1]) == max_entries or size + write.size > max_bytes):
            runs.append([])
            size = 0
        runs[-1].append(write)
        size += write.size
    return runs

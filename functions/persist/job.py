"""One record on its way into the tables: which transaction comes next, and what a cancelled one means."""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from functions.persist.entries import What, Write
from functions.persist.errors import (
    CONDITION_FAILED,
    NO_REASON,
    RETRYABLE_REASONS,
    PersistError,
    Reason,
    Rejected,
    StillStreaming,
    Unavailable,
)
from functions.persist.pace import MAX_ATTEMPTS
from functions.persist.plan import Plan
from functions.persist.receipts import CONVERSATION_NOT_FOUND, DUPLICATE_TURN, emptied, is_expired, other_run
from functions.persist.writes import is_own_answer


class Outcome(Enum):
    """How a record ended that needs no second delivery."""

    STORED = "stored"
    REPEATED = "repeated"
    REFUSED = "refused"
    DUPLICATE = "duplicate"
    OTHER_RUN = "other_run"


def outcome_of_refusal(code: str) -> Outcome:
    """How a record ended whose turn is refused with this code."""
    return Outcome.DUPLICATE if code == DUPLICATE_TURN else Outcome.REFUSED


class Job:
    """The one place where a record's storing is decided. It is over when it has an `outcome` or an `error`."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.outcome: Outcome | None = None
        self.error: PersistError | None = None
        self.alone = False  # after a cancellation it was part of: it must not cancel others again
        self.attempts = 0
        self.waits = False  # DynamoDB was busy: a pause before the next attempt
        self._part = 0
        self._stale = False
        self._refused = plan.refused
        self._empties = False  # the current transaction only empties an expired receipt
        self.writes: Sequence[Write] = self._next()

    @property
    def over(self) -> bool:
        return self.outcome is not None or self.error is not None

    @property
    def result(self) -> Outcome | PersistError:
        """How it ended; only for a job that is over."""
        if self.error is not None:
            return self.error
        assert self.outcome is not None, "asked before the end"  # noqa: S101 - a mistake of the caller
        return self.outcome

    def stored(self) -> None:
        """The current transaction went through."""
        if self._empties:
            self._empties = False
            self.writes = self._next()
        elif self._refused is not None:
            self.outcome = outcome_of_refusal(self._refused)
        elif self._part < len(self.plan.parts) - 1:
            self._part += 1
            self.writes = self._next()
        elif self.plan.final:
            self.outcome = Outcome.STORED
        else:
            self.error = StillStreaming()

    def failed(self, error: PersistError) -> None:
        """The current transaction failed as a whole; nothing of it was written, or all, when only the reply was lost."""
        if not error.retryable:
            self.error = error
            return
        self.attempts += 1
        self.waits = True
        if self.attempts >= MAX_ATTEMPTS:
            self.error = error

    def cancelled(self, reasons: Sequence[Reason]) -> None:
        """The current transaction was cancelled and wrote nothing; `reasons` are its writes' own. Decides what comes next.

        The order matters: which request, and which run of it, owns the turn's id comes before all, then whether the conversation
        is there, then whose the ids of the messages and of the answer are, then the rest.
        """
        codes = {reason.code for reason in reasons} - {NO_REASON}
        if not codes:
            return  # another record of the same transaction was the cause (waves.py sees to it that one was)
        self.alone = True
        failed = {
            write.what: reason.item for write, reason in zip(self.writes, reasons, strict=True) if reason.code == CONDITION_FAILED
        }
        if What.RECEIPT in failed and (self._empties or is_expired(failed[What.RECEIPT])):
            self._empties = not self._empties  # failing at that, it met a receipt that another record has just written
            self.writes = [emptied(self.plan.tables, self.plan.turn)] if self._empties else self._next()
        elif What.RECEIPT in failed:
            self.outcome = self._outcome_of(failed[What.RECEIPT])
        elif What.CLAIM in failed:
            self.outcome = Outcome.OTHER_RUN
        elif What.TOMBSTONE in failed or (What.META in failed and not self._owned(failed[What.META])):
            self._refused = CONVERSATION_NOT_FOUND
            self.writes = self._next()
        elif self._meets_others(failed):
            self._refused = DUPLICATE_TURN
            self.writes = self._next()
        elif What.ANSWER in failed:
            self.outcome = Outcome.REPEATED
        elif What.META in failed:
            self._stale = True
            self.writes = self._next()
        elif codes & RETRYABLE_REASONS:
            self.failed(Unavailable(min(codes & RETRYABLE_REASONS)))
        else:
            self.failed(Rejected(min(codes)))

    def _next(self) -> Sequence[Write]:
        return self.plan.refusal(self._refused) if self._refused is not None else self.plan.transaction(self._part, self._stale)

    def _meets_others(self, failed: Mapping[What, Mapping[str, Any]]) -> bool:
        """Whether an id of the record's names something else in the conversation already."""
        if What.MESSAGE_ID in failed or What.MESSAGE in failed:
            return True
        return What.ANSWER in failed and not is_own_answer(failed[What.ANSWER], self.plan.turn)

    def _owned(self, meta: Mapping[str, Any]) -> bool:
        return "deleted_at" not in meta and meta.get("workspace_id") == {"S": self.plan.workspace_id}

    def _outcome_of(self, receipt: Mapping[str, Any]) -> Outcome:
        if receipt["digest"]["S"] != self.plan.turn.digest:
            return Outcome.DUPLICATE
        if "refused" in receipt:
            return outcome_of_refusal(receipt["refused"]["S"])
        return Outcome.OTHER_RUN if other_run(receipt, self.plan.turn) else Outcome.REPEATED

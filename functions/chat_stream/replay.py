"""Replaying a turn from its checkpoints, and following it live, from any instance."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Final

from functions.chat_stream import errors
from functions.chat_stream.turns_table import TurnsTable
from functions.common.aws import StorageUnavailable
from functions.common.events import Complete, Event, Failed, is_terminal
from functions.common.log import get_logger
from functions.common.turns import INTERRUPTED, TurnView

logger = get_logger("chat_stream")
_QUICK_S: Final = 0.25
_SLOW_S: Final = 0.5
_GIVE_UP_S: Final = 30.0

# Sent when the log ends without a terminal event: its run was killed, or its end could not be written.
_LEFT_OFF: Final = Failed("internal", "This answer was interrupted. What had arrived is kept in the conversation.", True, True)
_STORED: Final = Failed("internal", "The answer is saved, but its end cannot be shown here: open the conversation.", True, True)
# For a reader that comes back after a turn was answered anew: it may have seen events of the lost run under the same numbers.
_ANEW: Final = Failed("duplicate_turn", "This answer was begun anew: read its stream from the beginning.", True, False)
_START: Final = 1  # the event that all runs of a turn begin with
_NOT_SAVED: Final = Failed(errors.NotSaved.code, errors.NotSaved.sentence, errors.NotSaved.retryable, False)
_GONE: Final = Failed("conversation_not_found", "This answer is gone: its conversation was deleted.", False, False)
# Its claim has expired, or was taken back, or could never be written: then its answer may be on its way all the same.
_UNKNOWN: Final = Failed(
    "internal",
    "There is nothing to show of this turn: it is more than a day old, or it was not recorded. If its answer was saved, the"
    " conversation has it.",
    True,
    False,
)
_UNREADABLE: Final = Failed("internal", "The answer cannot be read right now. It goes on, and is being saved.", True, True)


async def follow(table: TurnsTable, turn_id: str, user_id: str, after: int) -> AsyncGenerator[Sequence[Event], None]:
    """The turn's events from number `after + 1` on, as runs, up to and with the terminal one. Ends by itself."""
    log = _Reader(after)
    owner: str | None = None
    pause, failing_s, looked_again = _QUICK_S, 0.0, False
    while True:
        try:
            view = await table.read(turn_id, user_id, log.read_from)
        except StorageUnavailable as error:
            failing_s += pause
            logger.warning("a replay waits for the turns table", extra={"turn_id": turn_id, "error": type(error).__name__})
            if failing_s > _GIVE_UP_S:
                yield [_UNREADABLE]
                return
            await asyncio.sleep(pause)
            continue
        failing_s = 0.0
        if view is not None:
            if owner not in (None, view.owner):  # the run followed so far was lost, and the turn was sent again
                yield [_NOT_SAVED]
                return
            if view.anew and owner is None and after > _START:
                yield [_ANEW]
                return
            owner = view.owner
        fresh = log.take(view)
        if fresh:
            yield fresh
        if log.ended:
            return
        if log.torn:
            continue
        if view is None:
            yield [await _absent(table, turn_id, user_id)]
            return
        if view.log_over and not fresh:
            if looked_again:
                yield [_left_off(turn_id, view)]
                return
            looked_again, log.read_from = True, 0  # whole: the seal may have come between two pages of this read
            continue
        looked_again = False
        pause = _QUICK_S if fresh else min(pause * 1.5, _SLOW_S)
        await asyncio.sleep(pause)


async def _absent(table: TurnsTable, turn_id: str, user_id: str) -> Event:
    """What is known of a turn that is not there."""
    try:
        return _GONE if await table.deleted(turn_id, user_id) else _UNKNOWN
    except StorageUnavailable:
        return _UNREADABLE


def _left_off(turn_id: str, view: TurnView) -> Event:
    """What is known of a turn whose log has no end: persist's word on the answer, if there is one."""
    if view.lost:
        return _NOT_SAVED
    if (stored := view.answer) is None or stored.status == INTERRUPTED:
        return _LEFT_OFF
    if stored.chars != sum(map(len, view.text)):  # the reader lacks a part, so `complete` would be a false word
        return _STORED
    if stored.status == "failed":
        return errors.stored(stored.error or errors.Broken.code)
    return Complete(turn_id, view.conversation_id, stored.finish_reason, stored.status, stored.usage, durable=True)


class _Reader:
    """What of the log was read, and what of that was passed on.

    Each read begins with the last run read before: its time is the turn's newest sign of life, and it may have been rewritten,
    longer, under the key it had.
    """

    def __init__(self, after: int) -> None:
        self.read_from = 0
        self.ended = False
        self.torn = False
        self._passed = after

    def take(self, view: TurnView | None) -> Sequence[Event]:
        """The events of `view` not passed on before. `torn` is set at a hole between two runs; all is read again then."""
        fresh: list[Event] = []
        self.torn = False
        for checkpoint in view.checkpoints if view else ():
            if checkpoint.first > self._passed + 1 and self.read_from:
                self.torn, self.read_from = True, 0
                break
            fresh += checkpoint.events[max(0, self._passed + 1 - checkpoint.first) :]
            self._passed = max(self._passed, checkpoint.last)
            self.read_from = checkpoint.first
            self.ended = is_terminal(checkpoint.events[-1])
        return fresh

"""What a turn does about storage while it streams: claims itself, asks for a place within its user's quotas, announces itself,
writes checkpoints, watches for news.

None of it is in the tokens' way: every call runs beside them, and a call that fails is tried again later or given up, aloud.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from functions.chat_stream import errors
from functions.chat_stream.deadline import Deadline
from functions.chat_stream.event_log import EventLog
from functions.chat_stream.outbox import Outbox
from functions.chat_stream.quota import QuotaTable, new_lease
from functions.chat_stream.turns_table import Ended, News, Sealed, TurnsTable
from functions.common.aws import StorageUnavailable
from functions.common.events import Event
from functions.common.log import get_logger
from functions.common.records import Record, SettleTurn, TurnFinished, TurnStarted
from functions.common.turns import HEARTBEAT_S

logger = get_logger("chat_stream")
T = TypeVar("T")

# The model's request goes first. When it cannot be sent (a provider that does not accept connections), storage does not wait.
_MODEL_FIRST_S: Final = 0.25
# Seconds between looks at the table: quick while a receipt is due, then slow enough for 45 reads in a turn of 30 s and quick
# enough for a stop within a second.
_QUICK_S: Final = (0.03, 0.05, 0.08, 0.12, 0.2, 0.3, 0.45)
_SLOW_S: Final = 0.8
# Within so long a call at the turn's end is tried again: for two tries at a table that does not answer, one may take 3 s.
_LAST_WORDS_S: Final = 7.0
_CLAIM_S: Final = 2.0  # within so long a claim that failed is tried again before the turn goes on without one
_ADMIT_S: Final = 1.0  # within so long the quota is asked, again and again, before the turn is let in unasked
_FIRST_PAUSE_S: Final = 0.1
# A claim is trusted for so long after the turn's last sign of life was written. Others may take a turn for dead after 15 s
# (turns.DEAD_AFTER_S); what lies between is for clocks that differ.
_TRUSTED_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Listeners:
    """Whom the recorder tells: the turn is another run's (of the same request?), a quota refuses it, persist has answered, a stop
    was asked for.
    """

    on_claimed_elsewhere: Callable[[bool], None]
    on_refused: Callable[[errors.QuotaExceeded], None]
    on_receipt: Callable[[News], None]
    on_stop: Callable[[], None]


class Recorder:
    """The storage side of one turn."""

    def __init__(
        self,
        started: TurnStarted,
        log: EventLog,
        table: TurnsTable,
        outbox: Outbox,
        quota: QuotaTable,
        listeners: Listeners,
        checkpoint_s: float,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._head = started.turn
        self._log = log
        self._table = table
        self._outbox = outbox
        self._quota = quota
        self._tell = listeners
        self._checkpoint_s = checkpoint_s
        self._started = started
        self._begun = asyncio.Event()  # the queue has the turn's beginning
        self._settling = False  # … and its settling
        self._claimed = False
        self._elsewhere = False
        self._lease: str | None = None
        self._checkpoints: asyncio.Task[None] | None = None
        self._verdict: asyncio.Future[errors.QuotaExceeded | None] = self._loop.create_future()
        self._saved = 0  # events in checkpoints
        self._wrote_at = 0.0
        self._nudged = False
        self._pausing: asyncio.Future[None] | None = None
        self._received: asyncio.Future[News] = self._loop.create_future()
        self.no_time: asyncio.Future[None] = self._loop.create_future()
        self._complained = False

    async def run(self, model_sent: asyncio.Event | None, deadline: Deadline) -> None:
        """Works until cancelled. Begins once the model's request is on the wire, or at once where that waits for the quota."""
        if model_sent is not None:
            try:
                await asyncio.wait_for(model_sent.wait(), _MODEL_FIRST_S)
            except TimeoutError:
                logger.warning("the model's request is not out yet", extra={"turn_id": self._head.turn_id})
        self._wrote_at = self._loop.time()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._enter(deadline))
            if await self._verdict or self._elsewhere:
                return
            tasks.create_task(self._announce(deadline))
            tasks.create_task(self._watch())
            self._checkpoints = tasks.create_task(self._keep_checkpoints())

    async def _enter(self, deadline: Deadline) -> None:
        """Claims the turn and asks for its place. The turn's end waits for that only so long, and may let it pass before."""
        try:
            await self._insist(self._claim, Deadline.after(_CLAIM_S), deadline)
            if self._claimed:
                await self._admit(deadline)
        finally:
            self._decide(None)

    async def verdict(self, seconds: float) -> errors.QuotaExceeded | None:
        """Which quota refuses the turn. None lets it pass, for good: so does a table that does not answer, within `seconds`."""
        await asyncio.wait({self._verdict}, timeout=seconds)
        self._decide(None)
        return self._verdict.result()

    async def asked(self, seconds: float) -> None:
        """Until the quota has said its word, at most so long."""
        await asyncio.wait({self._verdict}, timeout=seconds)

    async def save(self, finished: TurnFinished, deadline: Deadline) -> bool:
        """Queues the answer, once the queue has the turn's beginning; whether it has both by the deadline.

        Never the answer first: should the beginning be refused for good, an answer without its question would be stored.
        """
        try:
            async with asyncio.timeout(deadline.left()):
                await self._begun.wait()
        except TimeoutError:
            return False
        return await self._outbox.send([finished], deadline)

    @property
    def holds_claim(self) -> bool:
        """Whether the turn's claim is surely this run's: it was, and no other run can have taken this one for dead since."""
        return self._claimed and self._loop.time() - self._wrote_at < _TRUSTED_S

    async def receipt(self, seconds: float) -> News | None:
        """What persist said of the turn, if it says so within `seconds` and before the process must go."""
        self._nudge()
        either: set[asyncio.Future[Any]] = {self._received, self.no_time}
        await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return self._received.result() if self._received.done() else None

    def hurry(self) -> None:
        """Waits for no receipt from here on."""
        if not self.no_time.done():
            self.no_time.set_result(None)

    async def seal(self, terminal: Event, ended: Ended, deadline: Deadline) -> Sealed | None:
        """Writes the last checkpoint and the final status, and tells what became of them; None when the table did not do it in
        time: the answer itself is in the queue.
        """
        if self._checkpoints is not None:
            await cancel_and_wait(self._checkpoints)  # else both would write the same events
        deadline = Deadline.after(min(_LAST_WORDS_S, deadline.left()))
        if not self._claimed:
            await self._insist(self._claim, deadline, deadline)
        if self._elsewhere:
            return Sealed.TAKEN
        if not self._claimed:
            return None
        seal = self._table.seal(self._head, self._saved + 1, [*self._log.unsaved, terminal], ended)
        return await self._insist(lambda: self._table.carry_out(seal), deadline, deadline)

    async def release(self, tokens: int, deadline: Deadline) -> None:
        """Gives the turn's place among its user's streams back. One that could not be is found by the next turn that needs it."""
        if (lease := self._lease) is not None:
            deadline = Deadline.after(min(_LAST_WORDS_S / 2, deadline.left()))
            await self._insist(lambda: self._quota.release(self._head.user_id, lease, tokens), deadline, deadline)

    async def withdraw(self, deadline: Deadline) -> None:
        """Leaves nothing of a refused turn, so that it can be sent again."""
        deadline = Deadline.after(min(_LAST_WORDS_S, deadline.left()))
        await self._insist(lambda: self._table.withdraw(self._head), deadline, deadline)

    async def _claim(self) -> None:
        claimed = await self._table.claim(self._head)
        self._claimed, self._elsewhere = claimed.mine, not claimed.mine
        if self._elsewhere:
            self._tell.on_claimed_elsewhere(claimed.same)
        else:
            self._wrote_at = self._loop.time()

    async def _admit(self, deadline: Deadline) -> None:
        """Asks for a place. The lease counts as ours even when the reply was lost: it may have been given."""
        lease = self._lease = new_lease(self._head, deadline.left())
        refusal = await self._insist(lambda: self._quota.admit(self._head.user_id, lease), Deadline.after(_ADMIT_S), deadline)
        if refusal is not None and self._decide(refusal):
            self._lease = None
            self._tell.on_refused(refusal)

    def _decide(self, refusal: errors.QuotaExceeded | None) -> bool:
        """Whether the quota's word counts: the first does, and the turn's end has waited for it only so long."""
        if self._verdict.done():
            return False
        self._verdict.set_result(refusal)
        return True

    async def _insist(self, call: Callable[[], Awaitable[T]], patience: Deadline, deadline: Deadline) -> T | None:
        """The call's result; None when it failed each time it was made. It is made once at least, not again when `patience` is
        over, and is cut off at the deadline.
        """
        pause = _FIRST_PAUSE_S
        while True:
            try:
                async with asyncio.timeout(deadline.left()):
                    return await call()
            except Exception as error:  # noqa: BLE001 - no storage error of any class ends a stream
                self._complain(error)
            if patience.left() <= pause or not deadline.left():
                return None
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
            pause *= 2

    async def _announce(self, deadline: Deadline) -> None:
        """Queues the turn's beginning, and the delayed record that settles it should it have no end."""

        def accepted(record: Record) -> None:
            if record is self._started:
                self._begun.set()
                self._nudge()
            else:
                self._settling = True

        await self._outbox.send([self._started, SettleTurn(turn=self._head)], deadline, accepted)

    async def _watch(self) -> None:
        pauses = self._pauses()
        while True:
            await self._pause(next(pauses))
            if self._nudged:
                self._nudged = False
                pauses = self._pauses()
                continue
            try:
                news = await self._table.news(self._head)
                # The news may be a moment old, older even than this run's claim.
                taken = news.taken and self._claimed and not await self._table.holds(self._head)
            except Exception as error:  # noqa: BLE001 - no storage error of any class ends a stream
                self._complain(error)
                continue
            if taken:
                self._claimed, self._elsewhere = False, True
                self._tell.on_claimed_elsewhere(True)
            else:
                self._pass_on(news)

    def _pass_on(self, news: News) -> None:
        if not self._received.done() and (news.conversation_id or news.refused):
            self._received.set_result(news)
            self._tell.on_receipt(news)
        if news.stop_requested:
            self._tell.on_stop()

    def _pauses(self) -> Iterator[float]:
        """Quick ones while a receipt is due, slow ones after."""
        for pause in _QUICK_S:
            yield _SLOW_S if self._received.done() else pause
        while True:
            yield _SLOW_S

    def _nudge(self) -> None:
        """Has the watcher look often again: something is due."""
        self._nudged = True
        self._end_pause()

    async def _pause(self, seconds: float) -> None:
        """So long, or until a nudge."""
        if not self._nudged:
            self._pausing = self._loop.create_future()
            timer = self._loop.call_later(seconds, self._end_pause)
            try:
                await self._pausing
            finally:
                timer.cancel()

    def _end_pause(self) -> None:
        if self._pausing is not None and not self._pausing.done():
            self._pausing.set_result(None)

    async def _keep_checkpoints(self) -> None:
        while not self._elsewhere:
            await asyncio.sleep(self._checkpoint_s)
            try:
                if not self._claimed:
                    await self._claim()
                else:
                    await self._checkpoint()
            except Exception as error:  # noqa: BLE001 - no storage error of any class ends a stream
                self._complain(error)

    async def _checkpoint(self) -> None:
        """Writes what is new; with nothing new for a while, a sign of life. What could not be written goes with the next one."""
        now, queued = self._loop.time(), self._begun.is_set() and self._settling
        if fresh := list(self._log.unsaved):
            await self._table.checkpoint(self._head, self._saved + 1, fresh, queued)
            del self._log.unsaved[: len(fresh)]
            self._saved += len(fresh)
            self._log.stored(self._saved)
        elif now - self._wrote_at >= HEARTBEAT_S:
            await self._table.heartbeat(self._head, queued)
        else:
            return
        self._wrote_at = now

    def _complain(self, error: Exception) -> None:
        """Once a turn: a table that is down would fill the log."""
        if not self._complained:
            self._complained = True
            cause = type(error.__cause__ or error).__name__
            known = isinstance(error, StorageUnavailable | TimeoutError)
            log = logger.warning if known else logger.exception
            log("the turns table does not answer", extra={"turn_id": self._head.turn_id, "error": cause})


async def cancel_and_wait(task: "asyncio.Task[None]") -> None:
    """Cancels the task and waits until it has ended. What it raised is not raised here."""
    task.cancel()
    await asyncio.wait({task})

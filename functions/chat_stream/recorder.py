"""What a turn does about storage while it streams: claims itself, asks for a place within its user's quotas, announces itself,
writes checkpoints, watches for news.

None of it is in the tokens' way: every call runs beside them, and a call that fails is tried again later or given up, aloud.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from functions.chat_stream import errors
from functions.chat_stream.deadline import Deadline
from functions.chat_stream.event_log import EventLog
from functions.chat_stream.outbox import Outbox
from functions.chat_stream.quota import QuotaTable, new_lease
from functions.chat_stream.turns_table import News, TurnsTable, new_owner
from functions.common.aws import StorageUnavailable
from functions.common.events import Event
from functions.common.log import get_logger
from functions.common.records import Record, SettleTurn, TurnFinished, TurnStarted
from functions.common.turns import HEARTBEAT_S

logger = get_logger("chat_stream")

# The model's request goes first. When it cannot be sent (a provider that does not accept connections), storage does not wait.
_MODEL_FIRST_S: Final = 0.25
# Seconds between looks at the table: quick while a receipt is due, then slow enough for 45 reads in a turn of 30 s and quick
# enough for a stop within a second.
_QUICK_S: Final = (0.03, 0.05, 0.08, 0.12, 0.2, 0.3, 0.45)
_SLOW_S: Final = 0.8
_SEAL_S: Final = 3.5  # longer than the table may take for one call


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
        self._announced = asyncio.Event()
        self._owner = new_owner()
        self._claimed = False
        self._elsewhere = False
        self._lease: str | None = None
        self._verdict: asyncio.Future[errors.QuotaExceeded | None] = self._loop.create_future()
        self._saved = 0  # events in checkpoints
        self._wrote_at = 0.0
        self._nudged = False
        self._pausing: asyncio.Future[None] | None = None
        self._received: asyncio.Future[News] = self._loop.create_future()
        self.no_time: asyncio.Future[None] = self._loop.create_future()
        self._complained = False

    async def run(self, model_sent: asyncio.Event, deadline: Deadline) -> None:
        """Works until cancelled. Begins once the model's request is on the wire."""
        try:
            await asyncio.wait_for(model_sent.wait(), _MODEL_FIRST_S)
        except TimeoutError:
            logger.warning("the model's request is not out yet", extra={"turn_id": self._head.turn_id})
        self._wrote_at = self._loop.time()
        try:
            await self._claim()
            refusal = await self._admit(deadline) if self._claimed else None
            self._verdict.set_result(refusal)
        finally:
            if not self._verdict.done():
                self._verdict.set_result(None)
        if self._elsewhere or refusal:
            return
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._announce(deadline))
            tasks.create_task(self._watch())
            tasks.create_task(self._keep_checkpoints())

    async def verdict(self, seconds: float) -> errors.QuotaExceeded | None:
        """Which quota refuses the turn. None lets it pass: so does a table that does not answer, within `seconds` or at all."""
        await asyncio.wait({self._verdict}, timeout=seconds)
        return self._verdict.result() if self._verdict.done() else None

    async def save(self, finished: TurnFinished, deadline: Deadline) -> bool:
        """Queues the answer; whether all that the turn said, its beginning included, is in the queue by the deadline."""
        if not await self._outbox.send([finished], deadline):
            return False
        try:
            async with asyncio.timeout(deadline.left()):
                await self._announced.wait()
        except TimeoutError:
            return False
        return True

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

    async def seal(self, terminal: Event, status: str, durable: bool, deadline: Deadline) -> None:
        """Writes the last checkpoint and the final status. A failure is logged: the answer itself is in the queue."""
        try:
            async with asyncio.timeout(min(_SEAL_S, deadline.left())):
                if not self._claimed:
                    await self._claim_now()
                if not self._elsewhere:
                    await self._table.seal(self._head, self._saved + 1, [*self._log.unsaved, terminal], status, durable)
        except (StorageUnavailable, TimeoutError) as error:
            self._complain(error)

    async def release(self, tokens: int, deadline: Deadline) -> None:
        """Gives the turn's place among its user's streams back. One that could not be is found by the next turn that needs it."""
        if self._lease is None:
            return
        try:
            async with asyncio.timeout(min(_SEAL_S, deadline.left())):
                await self._quota.release(self._head.user_id, self._lease, tokens)
        except (StorageUnavailable, TimeoutError) as error:
            self._complain(error)

    async def withdraw(self, deadline: Deadline) -> None:
        """Leaves nothing of a refused turn, so that it can be sent again."""
        try:
            async with asyncio.timeout(min(_SEAL_S, deadline.left())):
                await self._table.withdraw(self._head, self._owner)
        except (StorageUnavailable, TimeoutError) as error:
            self._complain(error)

    async def _claim(self) -> None:
        try:
            await self._claim_now()
        except StorageUnavailable as error:
            self._complain(error)

    async def _claim_now(self) -> None:
        claimed = await self._table.claim(self._head, self._owner)
        self._claimed, self._elsewhere = claimed.mine, not claimed.mine
        if self._elsewhere:
            self._tell.on_claimed_elsewhere(claimed.same)

    async def _admit(self, deadline: Deadline) -> errors.QuotaExceeded | None:
        """Asks for a place. The lease counts as ours even when the reply was lost: it may have been given."""
        self._lease = new_lease(self._head.turn_id, deadline.left())
        try:
            refusal = await self._quota.admit(self._head.user_id, self._lease)
        except StorageUnavailable as error:
            self._complain(error)
            return None
        if refusal is not None:
            self._lease = None
            self._tell.on_refused(refusal)
        return refusal

    async def _announce(self, deadline: Deadline) -> None:
        """Queues the turn's beginning, and the delayed record that settles it should it have no end."""

        def accepted(record: Record) -> None:
            if record is self._started:
                self._announced.set()
                self._nudge()

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
            except StorageUnavailable as error:
                self._complain(error)
                continue
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
                    await self._claim_now()
                else:
                    await self._checkpoint()
            except StorageUnavailable as error:
                self._complain(error)

    async def _checkpoint(self) -> None:
        """Writes what is new; with nothing new for a while, a sign of life. What could not be written goes with the next one."""
        now = self._loop.time()
        if fresh := list(self._log.unsaved):
            await self._table.checkpoint(self._head, self._saved + 1, fresh)
            del self._log.unsaved[: len(fresh)]
            self._saved += len(fresh)
            self._log.stored(self._saved)
        elif now - self._wrote_at >= HEARTBEAT_S:
            await self._table.heartbeat(self._head)
        else:
            return
        self._wrote_at = now

    def _complain(self, error: Exception) -> None:
        """Once a turn: a table that is down would fill the log."""
        if not self._complained:
            self._complained = True
            cause = type(error.__cause__ or error).__name__
            logger.warning("the turns table does not answer", extra={"turn_id": self._head.turn_id, "error": cause})

"""A turn: the model is asked first, its tokens are relayed as they come, and every ending passes one gate.

The gate, `Turn._close`, is the single place where a turn ends. It queues the answer before the last event is shown, because
Lambda may freeze the process right after the last byte.
"""

import asyncio
import time
from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import dataclass
from io import StringIO
from typing import Final

from functions.chat_stream import errors
from functions.chat_stream.deadline import Deadline
from functions.chat_stream.event_log import EventLog
from functions.chat_stream.metrics import Figures, Meter, Moment
from functions.chat_stream.model import Completion, Model, Piece
from functions.chat_stream.outbox import Outbox
from functions.chat_stream.quota import QuotaTable, resume_lease
from functions.chat_stream.recorder import Listeners, Recorder, cancel_and_wait
from functions.chat_stream.replay import follow
from functions.chat_stream.request import TurnRequest
from functions.chat_stream.settings import Limits, Timing
from functions.chat_stream.transport import Asked
from functions.chat_stream.turns_table import MOST_CHARS, Ended, News, Sealed, TurnsTable
from functions.common.events import Complete, ConversationCreated, Event, Failed, PersistPending, Start, Token
from functions.common.log import get_logger
from functions.common.records import Answer, FinalStatus, TurnFinished, Usage
from functions.common.times import iso

logger = get_logger("chat_stream")
_ASKED_S: Final = 2.0
_AFTER_START: Final = 2  # the number of the event behind `start`


@dataclass(frozen=True, slots=True)
class Ports:
    model: Model
    table: TurnsTable
    outbox: Outbox
    quota: QuotaTable
    meter: Meter


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a turn is over. `replay`: it runs elsewhere, and this response shows that run instead."""

    status: FinalStatus = "failed"
    finish_reason: str | None = None
    error: errors.TurnFailed | None = None
    replay: bool = False


class Turn:
    """One turn, from its first event to its last. `log` is what responses drain; `run` is its own task.

    `ask_first`: the model is asked only once the user's quotas have been; for a prompt that costs money, or a likely refusal.
    """

    def __init__(
        self, request: TurnRequest, ports: Ports, timing: Timing, limits: Limits, deadline: Deadline, ask_first: bool = False
    ) -> None:
        self.head = request.head
        self.log = EventLog()
        self._request = request
        self._ports = ports
        self._timing = timing
        self._limits = limits
        self._deadline = deadline
        self._ask_first = ask_first
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[Ending] = self._loop.create_future()
        self._recorder = Recorder(
            request.started,
            self.log,
            ports.table,
            ports.outbox,
            ports.quota,
            Listeners(self._on_claimed_elsewhere, self._on_refused, self._on_receipt, self.stop),
            timing.checkpoint_s,
        )
        self._model_sent = Moment()
        self._completion: Completion | None = None
        self._content = StringIO()
        self._reasoning = StringIO()
        self._room = limits.answer_bytes
        self._began = self._loop.time()
        self._first_piece: float | None = None
        self._last_piece: float | None = None
        self._pace: asyncio.TimerHandle | None = None
        self.refusal: errors.QuotaExceeded | None = None
        self.lost = False  # the answer was not saved: the same turn may be sent again
        self._overruled: errors.TurnFailed | None = None
        self._takes_receipts = True  # no `conversationCreated` may come behind the terminal event, or into another run's log

    async def run(self) -> None:
        """Runs the turn to its end; never raises."""
        self.log.append(Start(self.head.turn_id, self.head.model))
        relay = self._loop.create_task(self._relay())
        storage = self._loop.create_task(self._recorder.run(None if self._ask_first else self._model_sent, self._deadline))
        for task in (relay, storage):
            task.add_done_callback(self._on_task_done)
        deadline = self._loop.call_later(self._deadline.left(self._timing.reserve_s), self.end, _failed(errors.DeadlineReached()))
        self._check_pace()
        try:
            ending = await self._ended
            deadline.cancel()
            await cancel_and_wait(relay)
            await self._close(ending)
        except Exception:  # a fault of ours still ends the stream with its one terminal event
            logger.exception("the turn broke", extra={"turn_id": self.head.turn_id})
            self.log.append(_failure(errors.Broken(), partial=False))
        finally:
            if self._pace is not None:
                self._pace.cancel()  # it would keep the whole answer in memory for as long as a first token may take
            self.log.close()
            await cancel_and_wait(storage)

    @property
    def is_stream(self) -> bool:
        """Whether it counts among its user's streams: not when it only shows another run, or a quota refused it."""
        return self.refusal is None and not (self._ended.done() and self._ended.result().replay)

    def end(self, ending: Ending) -> None:
        """Ends the turn, unless it has ended."""
        if not self._ended.done():
            self._ended.set_result(ending)

    def stop(self) -> None:
        """Ends the turn because its user asked for that; what was said is saved."""
        self.end(Ending("stopped", "stopped"))

    def leave(self) -> None:
        """Ends the turn because the process must go: what was said is saved, and nothing else is waited for.

        A turn that shows another run ends without a terminal event, as that run goes on: its reader comes back elsewhere.
        """
        self.end(_failed(errors.DeadlineReached()))
        self._recorder.hurry()

    async def _relay(self) -> None:
        """The model's pieces, into the log, as they come."""
        request = self._request
        if self._ask_first:  # a table that does not answer holds the turn up only so long
            await self._recorder.asked(_ASKED_S)
            if self._ended.done():
                return
        patience = Deadline.after(min(self._timing.first_token_s, self._deadline.left(self._timing.reserve_s)))
        completion = self._completion = self._ports.model.ask(
            request.head.model, request.prompt, request.parameters, Asked(self._model_sent, patience)
        )
        try:
            await completion.relay(self._take)
        except errors.ModelFailed as error:
            cause = error.__cause__
            logger.warning(
                "the model failed",
                extra={
                    "turn_id": self.head.turn_id,
                    "code": error.code,
                    "reason": error.reason,
                    "error": type(cause or error).__name__,
                    "upstream_status": getattr(cause, "status_code", None),
                },
            )
            self.end(_failed(error))
        else:
            status: FinalStatus = "truncated" if completion.finish_reason == "length" else "complete"
            self.end(Ending(status, completion.finish_reason))

    def _take(self, pieces: list[Piece]) -> None:
        if self._ended.done():  # and about to be closed
            return
        self._last_piece = self._loop.time()
        if self._first_piece is None:
            self._first_piece = self._last_piece
        for piece in pieces:
            size = len(piece.content) if piece.content.isascii() else len(piece.content.encode())
            if size > self._room:
                self._add(type(piece)(piece.content.encode()[: self._room].decode(errors="ignore")))
                self.end(Ending("truncated", "length"))
                return
            self._room -= size
            self._add(piece)

    def _add(self, piece: Piece) -> None:
        if piece.content:
            (self._content if isinstance(piece, Token) else self._reasoning).write(piece.content)
            for part in (piece,) if len(piece.content) <= MOST_CHARS else _parts(piece):
                self.log.append(part)

    def _check_pace(self) -> None:
        """Ends a turn whose model is silent too long. One timer, moved on when it fires: nothing is done per token."""
        if self._ended.done():
            return
        waiting = self._last_piece is None
        since = self._began if self._last_piece is None else self._last_piece
        until = since + (self._timing.first_token_s if waiting else self._timing.stall_s)
        if self._loop.time() >= until:
            self.end(_failed(errors.ModelTimeout() if waiting else errors.ModelStalled()))
        else:
            self._pace = self._loop.call_at(until, self._check_pace)

    async def _close(self, ending: Ending) -> None:
        """The gate. Saves the answer, waits a little for persist to say where, and shows the one terminal event."""
        if ending.replay:
            await self._replay()
            return
        if refusal := await self._recorder.verdict(self._save_s()):
            await self._refuse(refusal)
            return
        error, news, durable = self._overruled or ending.error, None, False
        if error is None or error.kept:
            durable = await self._save(ending)
            news = await self._recorder.receipt(self._receipt_wait()) if durable else None
            if not durable:
                error, self.lost = errors.NotSaved(), True
            elif news is None:
                self.log.append(PersistPending(self.head.turn_id))
            elif news.refused:
                error, durable = errors.refused(news.refused), False
        self._takes_receipts = False
        terminal, status = self._terminal(ending, error, news, durable)
        sealed, _ = await asyncio.gather(
            self._recorder.seal(terminal, Ended(status, durable, self.lost), self._deadline),
            self._recorder.release(self._spent().total_tokens, self._deadline),
        )
        if sealed is Sealed.TAKEN:  # persist stores that run's answer, and not this one's
            error = self._overruled or errors.AlreadyRunning()
            terminal, status = self._terminal(ending, error, None, durable=False)
        elif sealed is None and durable and not self._recorder.holds_claim:  # another run's answer may be stored instead
            if news is not None:
                self.log.append(PersistPending(self.head.turn_id))
            terminal, status = self._terminal(ending, error, news, durable=False)
        self._report(status, error)
        self.log.append(terminal)

    async def _refuse(self, refusal: errors.QuotaExceeded) -> None:
        """The end of a turn its user's quotas do not allow: nothing of it stays."""
        await self._recorder.withdraw(self._deadline)
        self._report("failed", refusal)
        self.log.append(_failure(refusal, partial=False))

    async def _save(self, ending: Ending) -> bool:
        answer = Answer(
            content=self._content.getvalue(),
            reasoning=self._reasoning.getvalue(),
            status=ending.status,
            finish_reason=ending.finish_reason,
            usage=self._completion.usage if self._completion else None,
            spent=self._spent(),
            error=ending.error.code if ending.error else None,
            finished_at=iso(time.time()),
        )
        return await self._recorder.save(TurnFinished(turn=self.head, answer=answer), Deadline.after(self._save_s()))

    def _save_s(self) -> float:
        return min(self._timing.save_s, self._deadline.left(reserve=2.0))

    def _spent(self) -> Usage:
        """What the turn cost: the provider's count, or an estimate when the stream ended before it; nothing before a token."""
        if self._completion and self._completion.usage:
            return self._completion.usage
        if self._last_piece is None:
            return Usage(input_tokens=0, output_tokens=0, total_tokens=0)
        asked = _estimate(message["content"] for message in self._request.prompt)
        answered = _estimate((self._content.getvalue(), self._reasoning.getvalue()))
        return Usage(input_tokens=asked, output_tokens=answered, total_tokens=asked + answered)

    def _receipt_wait(self) -> float:
        return min(self._timing.receipt_wait_s, self._deadline.left(reserve=3.0))

    def _terminal(
        self, ending: Ending, error: errors.TurnFailed | None, news: News | None, durable: bool
    ) -> tuple[Event, FinalStatus]:
        """The turn's last event, and its final status."""
        if error is not None:
            partial = durable and self._content.tell() > 0
            return _failure(error, partial), ending.status if error is ending.error else "failed"
        end = Complete(
            turn_id=self.head.turn_id,
            conversation_id=(news.conversation_id if news else None) if self.head.new else self.head.conversation_id,
            finish_reason=ending.finish_reason,
            status=ending.status,
            usage=self._completion.usage if self._completion else None,
            durable=durable,
        )
        return end, ending.status

    async def _replay(self) -> None:
        """Shows the other run of this turn, for as long as the process stays."""
        showing = self._loop.create_task(self._show_other_run())
        either: set[asyncio.Future[None]] = {showing, self._recorder.no_time}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if showing.done():
            showing.result()
        await cancel_and_wait(showing)

    async def _show_other_run(self) -> None:
        """From its second event on: the first is what this response began with too."""
        user_id, lease = self.head.user_id, resume_lease()
        if (refusal := await self._ports.quota.enter(user_id, lease)) is not None:
            self.log.append(_failure(refusal, partial=False))
            return
        try:
            await self._follow_other_run()
        finally:
            await asyncio.shield(self._ports.quota.leave(user_id, lease))

    async def _follow_other_run(self) -> None:
        async with aclosing(follow(self._ports.table, self.head.turn_id, self.head.user_id, after=_AFTER_START - 1)) as runs:
            async for events in runs:
                self.log.extend(events)

    def _on_claimed_elsewhere(self, same: bool) -> None:
        if same and self.log.next_id == _AFTER_START and not self._ended.done():
            self._takes_receipts = False
            self.end(Ending(replay=True))
        else:
            # A short answer may be over by now, or stopped; it is not this run's to save all the same.
            self._overruled = errors.AlreadyRunning() if same else errors.OtherContent()
            self.end(_failed(self._overruled))

    def _on_refused(self, refusal: errors.QuotaExceeded) -> None:
        self.refusal = refusal
        self.end(_failed(refusal))

    def _on_receipt(self, news: News) -> None:
        if news.refused:
            self.end(_failed(errors.refused(news.refused)))
        elif self.head.new and news.conversation_id and self._takes_receipts:
            self.log.append(ConversationCreated(news.conversation_id))

    def _on_task_done(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()):
            logger.error("a part of the turn broke", exc_info=error, extra={"turn_id": self.head.turn_id})
            self.end(_failed(errors.Broken()))

    def _report(self, status: str, error: errors.TurnFailed | None) -> None:
        usage = self._completion.usage if self._completion else None
        logger.info(
            "turn ended",
            extra={
                "turn_id": self.head.turn_id,
                "status": status,
                "code": error.code if error else None,
                "duration_ms": round((self._loop.time() - self._began) * 1000),
                "ttft_ms": None if self._first_piece is None else round((self._first_piece - self._began) * 1000, 1),
                "output_tokens": usage.output_tokens if usage else None,
            },
        )
        sent, first, spent = self._model_sent.at, self._first_piece, self._spent()
        if isinstance(error, errors.ModelFailed):
            self._ports.meter.model_failed(error.reason or error.code)
        self._ports.meter.write(Figures(status, self._began, sent, first, spent.input_tokens, spent.output_tokens))


def _parts(piece: Piece) -> Iterable[Piece]:
    """A piece that no checkpoint could hold, in several."""
    for begin in range(0, len(piece.content), MOST_CHARS):
        yield type(piece)(piece.content[begin : begin + MOST_CHARS])


def _estimate(texts: Iterable[str]) -> int:
    """Tokens of the texts, about: one per 4 bytes of UTF-8, OpenAI's rule of thumb for English, and safely high for the rest."""
    return sum(len(text.encode()) for text in texts) // 4


def _failed(error: errors.TurnFailed) -> Ending:
    return Ending("failed", error=error)


def _failure(error: errors.TurnFailed, partial: bool) -> Failed:
    return Failed(error.code, error.sentence, error.retryable, partial)

"""The response that drains an event log: one write for all the frames that are ready, a comment when there is silence.

A plain ASGI callable, because Starlette's StreamingResponse cancels its source when the client leaves, and a turn must not end
with its client.
"""

import asyncio
from collections.abc import Generator
from contextlib import suppress
from typing import Any, Final

from starlette.types import Message, Receive, Scope, Send

from functions.chat_stream import sse
from functions.chat_stream.event_log import EventLog

# In the scope: the server's own `send`. The head goes through every middleware; frames, which may be thousands, need not.
SERVER_SEND: Final = "chat_stream.send"


class EventStreamResponse:
    """Drains `log` from its first frame to its close; of what it has not sent, nothing leaves the log.

    `source` is a task that fills the log for this response alone (a replay): it ends when the client leaves. A running turn is
    no such task and is never passed here.
    """

    sent = 0

    def __init__(self, log: EventLog, keepalive_s: float, source: "asyncio.Task[None] | None" = None) -> None:
        self._log = log
        self._keepalive_s = keepalive_s
        self._source = source
        log.listen(self)

    def on_change(self) -> None:
        """Nothing is sent yet."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": list(sse.HEADERS)})
            drain = _Drain(self._log, scope.get(SERVER_SEND, send), self._keepalive_s)
        finally:
            self._log.unlisten(self)
        if self._source is None:
            await drain.run()
            return
        leaving = asyncio.create_task(_left(receive))
        draining = asyncio.create_task(drain.run())
        try:
            await asyncio.wait({leaving, draining}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (leaving, draining, self._source):
                task.cancel()
            with suppress(asyncio.CancelledError):
                await self._source


class _Drain:
    """Writes the log's frames in the loop's next round: those that all streams had to read first, then those to write.

    Readers are woken once for several writes then, and one kind of work at a time is quicker: a tenth less CPU a token with 50
    streams. A callback does it, a task would cost more. `run` is there for what cannot be done at once: a write that waits for a
    slow reader, and the end.
    """

    def __init__(self, log: EventLog, send: Send, keepalive_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._log = log
        self._send = send
        self._keepalive_s = keepalive_s
        self.sent = 0
        self._wrote_at = self._loop.time()
        self._keepalive_due = False
        self._scheduled = False
        self._waiting: _Begun | None = None
        self._error: Exception | None = None
        self._idle: asyncio.Future[None] | None = None
        self._timer = self._loop.call_later(keepalive_s, self._watch)
        log.listen(self)

    async def run(self) -> None:
        """Returns when the log is closed and all of it is written. Raises what the server's `send` raised."""
        try:
            while True:
                self._write()
                if self._error is not None:
                    raise self._error
                if self._waiting is not None:
                    await self._waiting
                    self._waiting = None
                elif self._over:
                    break
                else:
                    self._idle = self._loop.create_future()
                    await self._idle
        finally:
            self._timer.cancel()
            self._log.unlisten(self)
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    @property
    def _over(self) -> bool:
        return self._log.closed and not self._log.after(self.sent)

    def on_change(self) -> None:
        """Called by the log."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """While `run` has something in hand, what is new goes with what it does next."""
        self._scheduled = False
        if self._idle is not None and not self._idle.done():
            self._write()
            if self._over or self._waiting is not None or self._error is not None:
                self._idle.set_result(None)

    def _write(self) -> None:
        """All that is ready, unless a write waits. Never raises: `run` does."""
        if self._waiting is not None or self._error is not None or not (body := self._next()):
            return
        message: Message = {"type": "http.response.body", "body": body, "more_body": True}
        steps = self._send(message).__await__()
        try:
            waited_for = next(steps)
        except StopIteration:
            return
        except Exception as error:  # noqa: BLE001 - raised by `run`
            self._error = error
        else:
            self._waiting = _Begun(steps, waited_for)

    def _next(self) -> bytes:
        due, self._keepalive_due = self._keepalive_due, False
        if frames := self._log.after(self.sent):
            self.sent += len(frames)
            self._wrote_at = self._loop.time()
            return frames[0] if len(frames) == 1 else b"".join(frames)
        return sse.KEEPALIVE if due else b""

    def _watch(self) -> None:
        """Sees to the keep-alive. One timer, moved on when it fires: nothing is done per token."""
        now = self._loop.time()
        if now >= self._wrote_at + self._keepalive_s:
            self._keepalive_due, self._wrote_at = True, now
            self.on_change()
        self._timer = self._loop.call_at(self._wrote_at + self._keepalive_s, self._watch)


class _Begun:
    """The rest of a coroutine that was begun outside of a task and waits for a future: awaited, it goes on from there."""

    def __init__(self, steps: Generator[Any, Any, Any], waited_for: Any) -> None:
        self._steps = steps
        self._waited_for = waited_for

    def __await__(self) -> Generator[Any, Any, None]:
        try:
            yield self._waited_for
            yield from self._steps
        finally:
            self._steps.close()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

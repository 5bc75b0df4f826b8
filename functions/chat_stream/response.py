"""The response that drains an event log: one write for all the frames that are ready, a comment when there is silence.

A plain ASGI callable, because Starlette's StreamingResponse cancels its source when the client leaves, and a turn must not end
with its client.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from starlette.types import Message, Receive, Scope, Send

from functions.chat_stream import sse
from functions.chat_stream.event_log import EventLog


class EventStreamResponse:
    """Drains `log` from its first frame to its close.

    `source` is a task that fills the log for this response alone (a replay): it ends when the client leaves. A running turn is
    no such task and is never passed here.
    """

    def __init__(self, log: EventLog, keepalive_s: float, source: "asyncio.Task[None] | None" = None) -> None:
        self._log = log
        self._keepalive_s = keepalive_s
        self._source = source

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": list(sse.HEADERS)})
        if self._source is None:
            await self._drain(send)
            return
        leaving = asyncio.create_task(_left(receive))
        draining = asyncio.create_task(self._drain(send))
        try:
            await asyncio.wait({leaving, draining}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (leaving, draining, self._source):
                task.cancel()
            with suppress(asyncio.CancelledError):
                await self._source

    async def _drain(self, send: Send) -> None:
        log, frames = self._log, self._log.frames
        silence = _Silence(self._keepalive_s, log.wake)
        sent = 0
        try:
            while True:
                ready = len(frames)
                if ready > sent:
                    body = frames[sent] if ready == sent + 1 else b"".join(frames[sent:ready])
                    sent = ready
                    silence.broken()
                    await send(_chunk(body))
                elif log.closed:
                    break
                elif silence.long():
                    await send(_chunk(sse.KEEPALIVE))
                else:
                    await log.changed()
        finally:
            silence.end()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class _Silence:
    """Calls `on_long` each time that nothing was written for `seconds`. One timer, moved on when it fires: nothing a token."""

    def __init__(self, seconds: float, on_long: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._on_long = on_long
        self._since = self._loop.time()
        self._long = False
        self._timer = self._loop.call_later(seconds, self._look)

    def broken(self) -> None:
        self._since = self._loop.time()

    def long(self) -> bool:
        """Whether it has been so long, since it was asked."""
        was, self._long = self._long, False
        return was

    def end(self) -> None:
        self._timer.cancel()

    def _look(self) -> None:
        now = self._loop.time()
        if now >= self._since + self._seconds:
            self._long, self._since = True, now
            self._on_long()
        self._timer = self._loop.call_at(self._since + self._seconds, self._look)


def _chunk(body: bytes) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": True}


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

"""The response that drains an event log: one write for all the frames that are ready, a comment when there is silence.

A plain ASGI callable, because Starlette's StreamingResponse cancels its source when the client leaves, and a turn must not end
with its client.
"""

import asyncio
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
        frames = self._log.frames
        sent = 0
        while True:
            ready = len(frames)
            if ready > sent:
                body = frames[sent] if ready == sent + 1 else b"".join(frames[sent:ready])
                sent = ready
                await send(_chunk(body))
            elif self._log.closed:
                break
            elif not await self._log.wait(sent, self._keepalive_s):
                await send(_chunk(sse.KEEPALIVE))
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _chunk(body: bytes) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": True}


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

"""What a scripted model can do, one step after the other: `model.plays(token("Hel"), token("lo"), finish("stop"), done())`.

A step before the headers have left decides about them; the first step that writes sends `200 text/event-stream`. A script that
ends without `cut()` ends its HTTP response properly, with `[DONE]` only if it says so.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from local.model import wire
from local.model.http import Reply

_LOOK_EVERY_S = 0.002


class Stage:
    """The reply a script plays on, and what its chunks share."""

    def __init__(self, reply: Reply, completion: wire.Completion) -> None:
        self.reply = reply
        self.completion = completion
        self.spoke = False

    async def write(self, data: bytes) -> None:
        if not self.reply.started:
            await self.reply.start(200, [("content-type", "text/event-stream; charset=utf-8"), ("transfer-encoding", "chunked")])
        await self.reply.body(data)

    async def chunk(self, delta: wire.Json, finish_reason: str | None = None) -> None:
        """One chunk of the answer; a chunk that only names the role goes before the first, as OpenAI's servers do."""
        if not self.spoke:
            self.spoke = True
            await self.write(wire.event(self.completion.chunk({"role": "assistant", "content": "", "refusal": None})))
        await self.write(wire.event(self.completion.chunk(delta, finish_reason)))


Step = Callable[[Stage], Awaitable[None]]


def token(content: str) -> Step:
    return lambda stage: stage.chunk({"content": content})


def reasoning(content: str) -> Step:
    """A piece of reasoning, in the field that DeepSeek, vLLM and others use."""
    return lambda stage: stage.chunk({"reasoning_content": content})


def finish(reason: str = "stop") -> Step:
    return lambda stage: stage.chunk({}, reason)


def usage(prompt_tokens: int, completion_tokens: int) -> Step:
    return lambda stage: stage.write(wire.event(stage.completion.usage_chunk(prompt_tokens, completion_tokens)))


def done() -> Step:
    return lambda stage: stage.write(wire.DONE)


def tokens(*contents: str, delay_s: float = 0) -> Step:
    """Several tokens, `delay_s` between them: a slow drip when that is long."""

    async def play(stage: Stage) -> None:
        for number, content in enumerate(contents):
            await asyncio.sleep(delay_s if number else 0)
            await stage.chunk({"content": content})

    return play


def endless(content: str = "and on ", delay_s: float = 0) -> Step:
    """The same token until the client leaves."""

    async def play(stage: Stage) -> None:
        while True:
            await stage.chunk({"content": content})
            await asyncio.sleep(delay_s)

    return play


def raw(data: bytes) -> Step:
    """Bytes of the body as they are: comments, CRLF, half a character, JSON that is none."""
    return lambda stage: stage.write(data)


def drip(data: bytes, delay_s: float = 0) -> Step:
    """The same, each byte in a chunk of its own."""

    async def play(stage: Stage) -> None:
        for number in range(len(data)):
            await stage.write(data[number : number + 1])
            await asyncio.sleep(delay_s)

    return play


def error_object(code: str, message: str = "", kind: str = "server_error") -> Step:
    """An error inside a response that began as 200."""
    return lambda stage: stage.write(wire.event(wire.error(code, message, kind)))


def status(number: int, headers: Mapping[str, str] | None = None, body: Any = None) -> Step:
    """Another status than 200, with a JSON body; OpenAI's error shape when none is given."""
    document = wire.error(f"status_{number}", kind="server_error") if body is None else body
    return lambda stage: stage.reply.json(number, document, list((headers or {}).items()))


def headers_now() -> Step:
    """The response's headers, before any token."""
    return lambda stage: stage.write(b"")


def pause(seconds: float) -> Step:
    return lambda _: asyncio.sleep(seconds)


def wait_for(event: threading.Event, at_most_s: float = 3600) -> Step:
    """Goes on once a test sets the event; breaks the answer off when it does not."""

    async def play(_: Stage) -> None:
        async with asyncio.timeout(at_most_s):
            while not event.is_set():  # noqa: ASYNC110 - the event is another thread's
                await asyncio.sleep(_LOOK_EVERY_S)

    return play


def stall() -> Step:
    """Nothing more, ever; the connection stays open until the client leaves."""

    async def play(_: Stage) -> None:
        await asyncio.Event().wait()

    return play


def cut() -> Step:
    """Ends the connection in the middle of a chunk."""
    return lambda stage: stage.reply.break_chunk()


def cut_after(body_bytes: int) -> Step:
    """Ends the connection once that many bytes of the body have left; goes before what it cuts."""

    async def play(stage: Stage) -> None:
        await stage.write(b"")
        stage.reply.cut_after = body_bytes
        if not body_bytes:
            await stage.write(b"")

    return play

"""The load: streams over raw sockets, each watched for its first token, its tokens, and its end.

A connection is open before its clock starts, for the relays and for the upstream alike: keep-alive is what a browser and the
Lambda Web Adapter have. The client is an asyncio.Protocol, so that on its own core it can drive what saturates another.
"""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bench.servers.upstream import MARK

_STREAM_S = 600.0  # a peer that falls behind its streams is slow, not broken
CREATED = b'"conversationCreated"'


@dataclass(frozen=True, slots=True)
class Target:
    """Where streams are asked for, and how."""

    port: int
    path: str = "/api/chat"
    headers: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, object] = field(default_factory=dict)

    def asking(self, **more: object) -> "Target":
        """The same, with more in the body."""
        return replace(self, more={**self.more, **more})

    def request(self) -> bytes:
        document = {"messages": [{"role": "user", "content": "How does a stream reach its reader?"}], **self.more}
        body = json.dumps(document).encode()
        lines = [
            f"POST {self.path} HTTP/1.1",
            "host: 127.0.0.1",
            "content-type: application/json",
            f"content-length: {len(body)}",
        ]
        lines += ["connection: close", *(f"{name}: {value}" for name, value in self.headers.items())]
        return "\r\n".join([*lines, "", ""]).encode() + body


class StreamFailed(Exception):
    """A stream that was no stream of tokens; the text is the beginning of what came instead."""


class Stream(asyncio.Protocol):
    """One stream. Times are of time.monotonic, which processes of one machine share."""

    def __init__(self) -> None:
        self.asked_at = 0.0
        self.first_at: float | None = None
        self.created_at: float | None = None
        self.ended_at = 0.0
        self.tokens = 0
        self._seen = b""
        self._transport: asyncio.Transport | None = None
        self.started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def ttft_s(self) -> float:
        if self.first_at is None:
            raise StreamFailed(self._seen.decode(errors="replace"))
        return self.first_at - self.asked_at

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a stream socket's
        self._transport = transport

    def ask(self, request: bytes) -> None:
        assert self._transport is not None  # noqa: S101 - asked only once connected
        self.asked_at = time.monotonic()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if tokens := data.count(MARK):
            if self.first_at is None:
                self.first_at = time.monotonic()
                self.started.set_result(None)
            self.tokens += tokens
        elif len(self._seen) < 2_000:
            self._seen += data
        if self.created_at is None and CREATED in data:
            self.created_at = time.monotonic()
        if data.endswith(b"0\r\n\r\n"):
            self.leave()

    def connection_lost(self, _error: Exception | None) -> None:
        self.ended_at = time.monotonic()
        if not self.ended.done():
            self.ended.set_result(None)
        if not self.started.done():
            self.started.set_exception(StreamFailed(self._seen.decode(errors="replace")))
            self.started.exception()  # whoever did not wait for it is told by `ttft_s`

    def leave(self) -> None:
        """Closes the connection, as a reader does who has gone."""
        if self._transport is not None:
            self._transport.close()


async def connect(target: Target) -> Stream:
    """A stream not asked for yet."""
    _, stream = await asyncio.get_running_loop().create_connection(Stream, "127.0.0.1", target.port)
    return stream


async def stream_once(target: Target, until_first: bool = False) -> Stream:
    """A stream read to its end, or left at its first token. Raises StreamFailed."""
    stream = await connect(target)
    stream.ask(target.request())
    async with asyncio.timeout(_STREAM_S):
        await stream.started
        if until_first:
            stream.leave()
        await stream.ended
    return stream


async def stream_many(target: Target, count: int, over_s: float) -> list[Stream]:
    """Streams side by side, begun evenly over `over_s` seconds, all read to their ends. Raises StreamFailed."""

    async def one(index: int) -> Stream:
        await asyncio.sleep(over_s * index / count)
        return await stream_once(target)

    return await asyncio.gather(*(one(index) for index in range(count)))


async def control(port: int, path: str, document: Mapping[str, object] | None = None) -> dict[str, float]:
    """Sets a stub's behaviour, or asks what it has seen."""
    answer: dict[str, float] = json.loads(
        await _exchange(port, path, None if document is None else json.dumps(document).encode())
    )
    return answer


async def post(port: int, path: str) -> None:
    """An empty POST, answered without a body."""
    await _exchange(port, path, b"")


async def _exchange(port: int, path: str, body: bytes | None) -> bytes:
    """One request on a connection of its own. Raises StreamFailed for anything but success."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    method = b"GET" if body is None else b"POST"
    head = b"%s %s HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n" % (method, path.encode())
    writer.write(head + b"content-length: %d\r\n\r\n" % len(body or b"") + (body or b""))
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 2"):
        raise StreamFailed(head.decode(errors="replace"))
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
    answer = await reader.readexactly(length)
    writer.close()
    return answer

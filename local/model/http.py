"""Just enough of an HTTP/1.1 server to answer rightly and to break off wrongly, at a chosen byte. h11 does the protocol."""

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import h11

_READ = 65_536
Headers = Iterable[tuple[str, str]]


class Cut(Exception):
    """The script ends the connection here, in the middle of whatever was being sent."""


@dataclass(slots=True)
class Request:
    """A request as it came in, and what became of its connection. Times are of time.monotonic."""

    method: str
    path: str
    headers: dict[str, str]
    raw: bytes
    arrived: float = field(default_factory=time.monotonic)
    sent_at: list[float] = field(default_factory=list)  # one for each piece of the body
    answered: threading.Event = field(default_factory=threading.Event)  # the reply ended as its script wanted
    closed: threading.Event = field(default_factory=threading.Event)  # the client left before that

    @property
    def body(self) -> Any:
        """The body as JSON, None when it is none."""
        try:
            return json.loads(self.raw)
        except ValueError:
            return None


class Reply:
    """The response being written. `cut_after` is how many more bytes of the body leave before the connection breaks."""

    def __init__(self, request: Request, connection: h11.Connection, writer: asyncio.StreamWriter) -> None:
        self.request = request
        self.started = False
        self.cut_after: int | None = None
        self._connection = connection
        self._writer = writer

    async def start(self, status: int, headers: Headers) -> None:
        self.started = True
        self._writer.write(self._connection.send(h11.Response(status_code=status, headers=list(headers))) or b"")
        await self._writer.drain()

    async def body(self, data: bytes) -> None:
        """One chunk, on its way at once; raises Cut when the script wanted no more bytes than these."""
        cut = self.cut_after is not None and self.cut_after <= len(data)
        data = data[: self.cut_after] if cut else data
        if self.cut_after is not None:
            self.cut_after -= len(data)
        if data:
            self._writer.write(self._connection.send(h11.Data(data=data)) or b"")
            self.request.sent_at.append(time.monotonic())
            await self._writer.drain()
        if cut:
            raise Cut

    async def json(self, status: int, document: Any, headers: Headers = ()) -> None:
        data = json.dumps(document).encode()
        length = ("content-length", str(len(data)))
        await self.start(status, [("content-type", "application/json"), length, *headers])
        await self.body(data)

    async def break_chunk(self) -> None:
        """Announces a chunk that never comes, and ends the connection."""
        self._writer.write(b"40\r\nda")
        await self._writer.drain()
        raise Cut

    def end(self) -> None:
        self._writer.write(self._connection.send(h11.EndOfMessage()) or b"")


Handler = Callable[[Request, Reply], Awaitable[None]]


async def serve_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: Handler) -> None:
    """Answers the requests of one connection, one after the other, until either side ends it."""
    connection = h11.Connection(h11.SERVER)
    try:
        while (request := await _next_request(connection, reader)) is not None:
            if not await _answer(request, connection, reader, writer, handler):
                break
            if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                break
            connection.start_next_cycle()
        writer.close()  # after what was written, but without the ending that HTTP asks for if that is missing
    except (ConnectionError, h11.RemoteProtocolError):
        writer.transport.abort()  # the client left or speaks no HTTP: there is nobody to tell
    except asyncio.CancelledError:
        writer.transport.abort()
        raise


async def _answer(
    request: Request, connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: Handler
) -> bool:
    """Plays the handler while watching for the client to leave; says whether the connection can go on."""
    reply = Reply(request, connection, writer)
    playing = asyncio.ensure_future(handler(request, reply))
    watching = asyncio.ensure_future(_client_leaves(connection, reader))
    try:
        await asyncio.wait({playing, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not playing.done():
            request.closed.set()
            return False
        playing.result()
        reply.end()
        await writer.drain()
        request.answered.set()
    except Cut:
        request.answered.set()
        return False
    except ConnectionError:
        request.closed.set()
        raise
    finally:
        for task in (playing, watching):
            task.cancel()
        await asyncio.gather(playing, watching, return_exceptions=True)
    return True


async def _client_leaves(connection: h11.Connection, reader: asyncio.StreamReader) -> None:
    try:
        while data := await reader.read(_READ):
            connection.receive_data(data)  # the next request, early
    except ConnectionError:
        return  # left without saying goodbye


async def _next_request(connection: h11.Connection, reader: asyncio.StreamReader) -> Request | None:
    head: h11.Request | None = None
    parts: list[bytes] = []
    while True:
        match connection.next_event():
            case h11.NEED_DATA:
                connection.receive_data(await reader.read(_READ))
            case h11.Request() as head:
                pass
            case h11.Data(data=data):
                parts.append(bytes(data))
            case h11.EndOfMessage() if head is not None:
                headers = {name.decode().lower(): value.decode("latin-1") for name, value in head.headers}
                return Request(head.method.decode(), head.target.decode(), headers, b"".join(parts))
            case _:
                return None

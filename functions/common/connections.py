"""HTTP/1.1 connections on asyncio, kept between requests, read without an object per chunk. For one event loop.

AWS is asked through them (aws.py), and the model (chat_stream's direct.py), where no proxy is configured for it.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections import defaultdict
from collections.abc import Callable
from typing import Final, NamedTuple

import httpx2

from functions.common.http_body import Head, ResponseParser
from functions.common.staggered import addresses, connected_socket
from functions.common.trust import tls_context

_KEPT_S: Final = 60.0  # an idle connection
_MOST_IDLE: Final = 100
_MOST_UNREAD: Final = 1024 * 1024  # bytes of a body nobody has taken yet, before the socket is left alone
Sink = Callable[[bytes], bool]


class Origin(NamedTuple):
    secure: bool
    host: str
    port: int

    @classmethod
    def of(cls, url: httpx2.URL) -> "Origin":
        secure = url.scheme == "https"
        return cls(secure, url.raw_host.decode("ascii"), url.port or (443 if secure else 80))


class Connections:
    """The connections to any number of origins. What fails raises one of httpx2's TransportErrors."""

    def __init__(self, ca_bundle: str | None = None) -> None:
        """`ca_bundle` is a file of certificates to trust in place of the machine's; it may be set until the first connection."""
        self.ca_bundle = ca_bundle
        self._idle: defaultdict[Origin, list[Connection]] = defaultdict(list)
        self._open: set[Connection] = set()
        self._context: ssl.SSLContext | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    def warm(self) -> None:
        """Makes now what the first TLS connection would have to make: reading the machine's certificates takes 20 ms."""
        self._tls()

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = tls_context(self.ca_bundle)
        return self._context

    async def exchange(self, origin: Origin, head: bytes, body: bytes, connect_s: float, read_s: float) -> tuple[Head, bytes]:
        """A request and its response, whole.

        For a request that may be repeated: it is, when it met a kept connection that the other side had closed.
        """
        while True:
            kept = self.kept(origin)
            connection = kept or await self.connect(origin, connect_s)
            connection.expire_after(read_s)
            try:
                await connection.send(head, body)
                answered = await connection.head()
                content = await connection.rest()
            except httpx2.TransportError as error:
                connection.close()
                if kept is None or isinstance(error, httpx2.ReadTimeout):
                    raise
            except BaseException:
                connection.close()
                raise
            else:
                self.keep(origin, connection)
                return answered, content

    def kept(self, origin: Origin) -> "Connection | None":
        """The one used last that is still open."""
        connections = self._idle[origin]
        while connections:
            connection = connections.pop()
            if connection.reusable and connection.idle_since > asyncio.get_running_loop().time() - _KEPT_S:
                return connection
            connection.close()
        return None

    def keep(self, origin: Origin, connection: "Connection") -> None:
        connections = self._idle[origin]
        connection.expire_after(None)
        if connection.reusable and len(connections) < _MOST_IDLE:
            connections.append(connection)
            loop = asyncio.get_running_loop()
            connection.idle_since = loop.time()
            if self._sweeper is None:
                self._sweeper = loop.call_later(_KEPT_S, self._sweep)
        else:
            connection.close()

    def _sweep(self) -> None:
        """Closes those that lay idle too long. One timer for all: a call to AWS keeps a connection each time."""
        loop = asyncio.get_running_loop()
        for connections in self._idle.values():  # each in the order in which they were kept
            while connections and connections[0].idle_since <= loop.time() - _KEPT_S:
                connections.pop(0).close()
        oldest = min((connections[0].idle_since for connections in self._idle.values() if connections), default=None)
        self._sweeper = None if oldest is None else loop.call_at(oldest + _KEPT_S, self._sweep)

    async def connect(self, origin: Origin, seconds: float | None) -> "Connection":
        loop = asyncio.get_running_loop()
        tls = self._tls() if origin.secure else None
        try:
            async with asyncio.timeout(seconds):
                made = await _way_in(origin)
                name = origin.host if origin.secure else None
                _, connection = await loop.create_connection(
                    lambda: Connection(loop, self._open), sock=made, ssl=tls, server_hostname=name
                )
        except TimeoutError as error:
            raise httpx2.ConnectTimeout("no connection") from error
        except OSError as error:
            raise httpx2.ConnectError("no connection") from error
        return connection

    async def close(self) -> None:
        """Closes every connection; returns when they are closed."""
        self._idle.clear()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for connection in tuple(self._open):
            connection.close()
            await connection.lost.wait()


async def _way_in(origin: Origin) -> socket.socket:
    """A socket that is connected to one of the origin's addresses."""
    host = origin.host
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return await connected_socket(await addresses(host, origin.port))
    family = socket.AF_INET6 if ":" in host else socket.AF_INET  # an address needs no thread that looks it up
    return await connected_socket([(family, socket.SOCK_STREAM, 0, "", (host, origin.port))])


class Connection(asyncio.Protocol):
    """One connection, one exchange at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, open_ones: "set[Connection]") -> None:
        self.lost = asyncio.Event()
        self.idle_since = 0.0
        self._loop = loop
        self._open_ones = open_ones
        self._transport: asyncio.Transport | None = None
        self._parser = ResponseParser()
        self._unread: list[bytes] = []
        self._size = 0
        self._sink: Sink | None = None
        self._paused = False
        self._full = False  # the kernel takes no more of what is written
        self._error: httpx2.TransportError | None = None
        self._sunk: Exception | None = None  # what the sink raised
        self._waiter: asyncio.Future[None] | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._at_end: Callable[[], None] | None = None

    # --- what asyncio calls -------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a stream socket's
        self._transport = transport
        self._open_ones.add(self)

    def data_received(self, data: bytes) -> None:
        body = self._parser.feed(data)
        if body and self._sink is not None:
            self._pour(body)
            if not (self._parser.done or self._parser.malformed):
                return
        elif body:
            self._unread.append(body)
            self._size += len(body)
            if self._size > _MOST_UNREAD and not self._paused and self._transport is not None:
                self._paused = True
                self._transport.pause_reading()
        if self._parser.malformed:
            self._error = httpx2.RemoteProtocolError("not HTTP/1.1")
            self.close()
        if self._at_end is not None:
            self._linger_on(self._at_end, said_more=bool(body))
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        self._open_ones.discard(self)
        self.lost.set()
        self.expire_after(None)
        if self._error is None and not self._parser.eof():
            kind = httpx2.ReadError if error else httpx2.RemoteProtocolError
            self._error = kind("the connection ended before the response did")
        self._parser.reusable = False
        self._transport = None
        self._wake()

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self._wake()

    # --- what the exchange calls --------------------------------------------------------------------------------------------

    async def send(self, head: bytes, body: bytes) -> None:
        """Returns once nothing of it waits here, or there is an answer to what was read of it. Raises a TransportError."""
        self._parser = ResponseParser()
        if self._transport is None or self._transport.is_closing():
            raise httpx2.WriteError("the connection is closed")
        self._transport.write(head + body)
        while self._full and self._error is None and self._parser.head is None and self._transport is not None:
            await self._wait()

    async def head(self) -> Head:
        """Raises a TransportError."""
        while (head := self._parser.head) is None:
            if self._error is not None:
                raise self._error
            await self._wait()
        return head

    async def read(self) -> bytes:
        """What of the body came since the last read, waiting for some; empty at its end. Raises a TransportError."""
        while not self._unread:
            if self._parser.done:
                return b""
            if self._error is not None:
                raise self._error
            await self._wait()
        data = self._unread[0] if len(self._unread) == 1 else b"".join(self._unread)
        self._unread.clear()
        self._size = 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return data

    async def rest(self) -> bytes:
        """All that is left of the body. Raises a TransportError."""
        parts: list[bytes] = []
        while data := await self.read():
            parts.append(data)
        return b"".join(parts)

    async def pour(self, sink: Sink) -> None:
        """Gives `sink` what is there and all that comes, until it has enough or the body ends.

        Raises a TransportError, or what `sink` raised.
        """
        self._sink, self._sunk = sink, None
        try:
            if self._unread:
                self._pour(await self.read())
            while self._sink is not None and not self._parser.done:
                if self._error is not None:
                    raise self._error
                await self._wait()
            if self._sunk is not None:
                raise self._sunk
        finally:
            self._sink = None

    def _pour(self, data: bytes) -> None:
        """Within the read that brought the data: a task that waited for it would cost a round of the loop for each token."""
        try:
            enough = self._sink is None or self._sink(data)
        except Exception as error:  # noqa: BLE001 - raised where the sink came from
            self._sunk, enough = error, True
        if enough:
            self._sink = None
            self._wake()

    @property
    def reusable(self) -> bool:
        """Whether another exchange may follow: this one is over on both sides."""
        over = self._parser.done and self._parser.reusable and not (self._unread or self._full)
        return over and self._transport is not None and not self._transport.is_closing()

    def linger(self, seconds: float, at_end: Callable[[], None]) -> None:
        """Closes after so long, or when anything but the body's end comes; calls `at_end` when that does."""
        self._at_end = at_end
        self.expire_after(seconds)

    def _linger_on(self, at_end: Callable[[], None], said_more: bool) -> None:
        if said_more or (self._parser.done and not self.reusable):
            self.close()
        elif self._parser.done:
            self._at_end = None
            at_end()

    def expire_after(self, seconds: float | None) -> None:
        """Closes after so long, so that whoever waits for the other side meets a ReadTimeout; None: no more of that."""
        if self._expiry is not None:
            self._expiry.cancel()
        self._expiry = None if seconds is None else self._loop.call_later(seconds, self._expire)

    def _expire(self) -> None:
        self._error = self._error or httpx2.ReadTimeout("no response")
        self.close()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

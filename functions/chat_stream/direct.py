"""The way to the provider: HTTP/1.1 over asyncio, as a transport of httpx2's client.

httpx2's own goes through anyio, httpcore2 and h11 and hands on one chunk at a time: half of what a paced token costs, most of
what a burst does, and a part of every cold start. This one hands on what a read brought. What is above it (the SDK's requests,
its retries and errors) is unchanged; it speaks HTTP/1.1 without proxies, which is what the function uses.
"""

import asyncio
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import Final

import httpx2
import truststore

from functions.chat_stream.http_body import Head, ResponseParser

_KEPT_S: Final = 60.0  # an idle connection
_LINGER_S: Final = 1.0  # for the end of a body in which all was said: it comes behind the last event, in a packet of its own
_MOST_IDLE: Final = 100
_MOST_UNREAD: Final = 1024 * 1024  # bytes of a body nobody has taken yet, before the socket is left alone
_Origin = tuple[bool, str, int]
Sink = Callable[[bytes], bool]


class DirectTransport(httpx2.AsyncBaseTransport):
    """Connections are kept between requests, by origin. For one event loop.

    A request's extension `sent`, a function, is called once its last byte is on the wire. `said_all`, another, is asked when a
    response is closed before its end: whether all was said, so that only the end is missing, and worth a moment's wait.
    """

    def __init__(self) -> None:
        self._tls: ssl.SSLContext = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the machine's certificates
        self._idle: defaultdict[_Origin, list[_Connection]] = defaultdict(list)
        self._open: set[_Connection] = set()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        secure = url.scheme == "https"
        origin = (secure, url.raw_host.decode("ascii"), url.port or (443 if secure else 80))
        body = b"".join([part async for part in request.stream])  # type: ignore[union-attr]
        timeouts = request.extensions.get("timeout", {})
        connection = self._kept(origin) or await self._connect(origin, timeouts.get("connect"))
        try:
            await connection.send(_head_of(request), body)
            if (on_sent := request.extensions.get("sent")) is not None:
                on_sent()
            async with asyncio.timeout(timeouts.get("read")):
                head = await connection.head()
        except TimeoutError as error:
            connection.close()
            raise httpx2.ReadTimeout("no response") from error
        except BaseException:
            connection.close()
            raise
        said_all = request.extensions.get("said_all") or (lambda: False)
        answer = Body(connection, lambda: self._keep(origin, connection), said_all)
        return httpx2.Response(head.status, headers=head.headers, stream=answer)

    async def aclose(self) -> None:
        """Closes every connection; returns when they are closed."""
        self._idle.clear()
        for connection in tuple(self._open):
            connection.close()
            await connection.lost.wait()

    def _kept(self, origin: _Origin) -> "_Connection | None":
        """The one used last that is still open."""
        connections = self._idle[origin]
        while connections:
            if (connection := connections.pop()).take():
                return connection
        return None

    def _keep(self, origin: _Origin, connection: "_Connection") -> None:
        connections = self._idle[origin]
        if len(connections) < _MOST_IDLE:
            connections.append(connection)
            connection.keep(_KEPT_S)
        else:
            connection.close()

    async def _connect(self, origin: _Origin, seconds: float | None) -> "_Connection":
        secure, host, port = origin
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(seconds):
                # Address after address: asyncio's race of them loses the winner's socket when it is cancelled at its end.
                _, connection = await loop.create_connection(
                    lambda: _Connection(loop, self._open), host, port, ssl=self._tls if secure else None
                )
        except TimeoutError as error:
            raise httpx2.ConnectTimeout("no connection") from error
        except OSError as error:
            raise httpx2.ConnectError("no connection") from error
        return connection


class _Connection(asyncio.Protocol):
    """One connection, one exchange at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, open_ones: "set[_Connection]") -> None:
        self.lost = asyncio.Event()
        self._loop = loop
        self._open_ones = open_ones
        self._transport: asyncio.Transport | None = None
        self._parser = ResponseParser()
        self._unread: list[bytes] = []
        self._size = 0
        self._sink: Sink | None = None
        self._paused = False
        self._full = False  # the kernel takes no more of what is written
        self._error: Exception | None = None
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
        if self._expiry is not None:
            self._expiry.cancel()
        if not self._parser.eof():
            kind = httpx2.ReadError if error else httpx2.RemoteProtocolError
            self._error = self._error or kind("the connection ended before the response did")
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
        """Returns once nothing of it waits here. Raises a TransportError."""
        self._parser = ResponseParser()
        if self._transport is None or self._transport.is_closing():
            raise httpx2.WriteError("the connection is closed")
        self._transport.write(head + body)
        while self._full and self._error is None:
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

    async def pour(self, sink: Sink) -> None:
        """Gives `sink` what is there and all that comes, until it has enough or the body ends.

        Raises a TransportError, or what `sink` raised.
        """
        self._sink = sink
        try:
            if self._unread:
                self._pour(await self.read())
            while self._sink is not None and not self._parser.done:
                if self._error is not None:
                    raise self._error
                await self._wait()
        finally:
            self._sink = None
        if self._error is not None and not self._parser.done:
            raise self._error

    def _pour(self, data: bytes) -> None:
        """Within the read that brought the data: a task that waited for it would cost a round of the loop for each token."""
        try:
            enough = self._sink is None or self._sink(data)
        except Exception as error:  # noqa: BLE001 - raised where the sink came from
            self._error, enough = error, True
        if enough:
            self._sink = None
            self._wake()

    @property
    def reusable(self) -> bool:
        return self._parser.done and self._parser.reusable and self._transport is not None and not self._unread

    def linger(self, seconds: float, at_end: Callable[[], None]) -> None:
        """Closes after so long, or when anything but the body's end comes; calls `at_end` when that does."""
        self._at_end = at_end
        self._expiry = self._loop.call_later(seconds, self.close)

    def _linger_on(self, at_end: Callable[[], None], said_more: bool) -> None:
        if said_more or (self._parser.done and not self.reusable):
            self.close()
        elif self._parser.done:
            self._at_end = None
            if self._expiry is not None:
                self._expiry.cancel()
            at_end()

    def keep(self, seconds: float) -> None:
        self._expiry = self._loop.call_later(seconds, self.close)

    def take(self) -> bool:
        """Out of the kept ones; whether it can be used."""
        if self._expiry is not None:
            self._expiry.cancel()
        return self.reusable and self._transport is not None and not self._transport.is_closing()

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


class Body(httpx2.AsyncByteStream):
    """A response's body, a read at a time. Closing it before its end closes the connection, unless all was said."""

    def __init__(self, connection: _Connection, keep: Callable[[], None], said_all: Callable[[], bool]) -> None:
        self._connection = connection
        self._keep = keep
        self._said_all = said_all
        self._closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while data := await self._connection.read():
            yield data

    async def pour(self, sink: Sink) -> None:
        """The same, into a function: called within the read itself, until it says that it has enough."""
        await self._connection.pour(sink)

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            if self._connection.reusable:
                self._keep()
            elif self._said_all():
                self._connection.linger(_LINGER_S, self._keep)
            else:
                self._connection.close()


def _head_of(request: httpx2.Request) -> bytes:
    lines = [b"%s %s HTTP/1.1" % (request.method.encode("ascii"), request.url.raw_path)]
    lines += [b"%s: %s" % header for header in request.headers.raw]
    return b"\r\n".join([*lines, b"", b""])

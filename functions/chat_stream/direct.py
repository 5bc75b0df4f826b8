"""The way to the provider: HTTP/1.1 over asyncio, as a transport of httpx2's client.

httpx2's own goes through anyio, httpcore2 and h11 and hands on one chunk at a time: half of what a paced token costs, most of
what a burst does, and a part of every cold start. This one hands on what a read brought. What is above it (the SDK's requests,
its retries and errors) is unchanged; it speaks HTTP/1.1 without proxies: where one is configured, httpx2's own is taken.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import httpx2

from functions.common.connections import Connection, Connections, Origin

POUR: Final = "pour"
_FRAMING: Final = frozenset({"host", "content-length", "transfer-encoding"})  # headers that httpx2 writes unless they are given
_LINGER_S: Final = 1.0  # for the end of a body in which all was said: it comes behind the last event, in a packet of its own


class DirectTransport(httpx2.AsyncBaseTransport):
    """Connections are kept between requests, by origin. For one event loop.

    A response's extension `pour` is `Connection.pour`: the body as it is read, without httpx2's and asyncio's rounds between.

    A request's extension `sent`, a function, is called once its last byte is on the wire. `said_all`, another, is asked when a
    response is closed before its end: whether all was said, so that only the end is missing, and worth a moment's wait.
    """

    def __init__(self, ca_bundle: str | None = None) -> None:
        self._connections = Connections(ca_bundle)
        self._connections.warm()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        origin = Origin.of(request.url)
        body = b"".join([part async for part in request.stream])  # type: ignore[union-attr]
        timeouts = request.extensions.get("timeout", {})
        connection = self._connections.kept(origin) or await self._connections.connect(origin, timeouts.get("connect"))
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
        answer = _Body(connection, lambda: self._connections.keep(origin, connection), said_all)
        return httpx2.Response(head.status, headers=head.headers, stream=answer, extensions={POUR: connection.pour})

    async def aclose(self) -> None:
        """Closes every connection; returns when they are closed."""
        await self._connections.close()


class DirectClient(httpx2.AsyncClient):
    """Sends the SDK's requests as they are: merges nothing of its own into them, keeps no cookie, follows no redirect.

    httpx2's client parses the address and writes every header anew several times, which is half of what is done before a request
    leaves.
    """

    def __init__(self, transport: httpx2.AsyncBaseTransport) -> None:
        super().__init__(transport=transport)
        self._way = transport
        self._addresses: dict[str, httpx2.URL] = {}

    def build_request(self, method: str, url: httpx2.URL | str, **given: Any) -> httpx2.Request:
        """A request of a list of headers (no host, no length), bytes and a timeout; anything else is httpx2's to make."""
        match given:
            case {"content": bytes(content), "headers": list(headers), "timeout": httpx2.Timeout() as timeout, **others}:
                if not any(others.values()) and _FRAMING.isdisjoint(name.lower() for name, _ in headers):
                    return self._request(method, str(url), headers, content, timeout)
        return super().build_request(method, url, **given)

    def _request(
        self, method: str, url: str, headers: list[tuple[str, str]], content: bytes, timeout: httpx2.Timeout
    ) -> httpx2.Request:
        if (address := self._addresses.get(url)) is None:
            self._addresses = {url: (address := httpx2.URL(url))}
        lines = [("host", address.netloc.decode("ascii")), *headers, ("content-length", str(len(content)))]
        request = httpx2.Request(
            method,
            address,
            headers=httpx2.Headers(lines),
            stream=httpx2.ByteStream(content),
            extensions={"timeout": timeout.as_dict()},
        )
        request.headers.encoding = "ascii"  # as they were written: httpx2 would find out by trying each
        return request

    async def send(self, request: httpx2.Request, *, stream: bool = False, **_given: Any) -> httpx2.Response:
        """The response to it; raises what the transport raises."""
        if self.is_closed:
            raise RuntimeError("the client is closed")
        if request.url.userinfo:  # of a gateway before the provider: HTTP's own way to sign in takes the place of the key
            next(httpx2.BasicAuth(request.url.username, request.url.password).auth_flow(request))
        response = await self._way.handle_async_request(request)
        response.request = request
        if not stream:
            await response.aread()
        return response


class _Body(httpx2.AsyncByteStream):
    """A response's body, a read at a time. Closing it before its end closes the connection, unless all was said."""

    def __init__(self, connection: Connection, keep: Callable[[], None], said_all: Callable[[], bool]) -> None:
        self._connection = connection
        self._keep = keep
        self._said_all = said_all
        self._closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while data := await self._connection.read():
            yield data

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

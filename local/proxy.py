"""A reverse proxy for streams: nothing is buffered, and a client that leaves ends the request behind it.

It works on httpx2's transport, below its client: no cookies kept between visitors, no redirects followed, no proxy of the
environment, no header added.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from typing import Any, Final

import httpx2

from functions.chat_stream.settings import Limits
from functions.common.problems import InvalidRequest, RequestTimeout, TooLarge

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

# RFC 9110 section 7.6.1, and what belongs to one connection only.
_HOP: Final = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding upgrade".split()
)
_NOT_FORWARDED: Final = _HOP | {b"expect", b"forwarded"}
_INFRASTRUCTURE: Final = (b"x-amzn-", b"x-amz-cf-", b"x-forwarded-")
_BODY: Final = Limits()
_URL_BYTES: Final = 8192  # CloudFront: "maximum length of a URL, including query string"
_LIMITS: Final = httpx2.Limits(max_connections=None, max_keepalive_connections=64, keepalive_expiry=4)  # uvicorn's is 5
_TIMEOUT: Final = {"connect": 2.0, "pool": None, "read": None, "write": None}


class Unreachable(Exception):
    """No process behind this route answers, and nothing of the answer has been sent."""


class Silent(Unreachable):
    """The process answered nothing for as long as is waited for, and nothing of the answer has been sent."""


class _ClientLeft(Exception):
    """The visitor's connection ended."""


class Upstream:
    """An ASGI application that forwards to `bases`, one after the other; the next one when a connection is refused.

    `passes` names headers that are passed on though only the platform may set them: whoever calls this one has set them.
    `silence_s` ends an answer that is silent for longer.
    """

    def __init__(self, bases: Sequence[str], passes: Collection[bytes] = (), silence_s: float | None = None) -> None:
        self._passes = frozenset(passes)
        self._timeout = {**_TIMEOUT, "read": silence_s}
        self._bases = [httpx2.URL(base) for base in bases]
        self._turn = 0
        self._transport = httpx2.AsyncHTTPTransport(limits=_LIMITS, trust_env=False)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Raises Unreachable, or a Problem for a request that CloudFront and Lambda would not let through to a function."""
        _check(scope)
        visitor = _Visitor(receive)
        leaving = asyncio.ensure_future(visitor.left.wait())
        forwarding = asyncio.ensure_future(self._forward(scope, visitor, send))
        try:
            await asyncio.wait({leaving, forwarding}, return_when=asyncio.FIRST_COMPLETED)
            if forwarding.done():
                forwarding.result()
        finally:
            visitor.stop()
            for task in (leaving, forwarding):
                task.cancel()
            await asyncio.gather(leaving, forwarding, return_exceptions=True)

    async def close(self) -> None:
        await self._transport.aclose()

    async def _forward(self, scope: Any, visitor: "_Visitor", send: Send) -> None:
        try:
            response = await self._ask(scope, visitor)
        except _ClientLeft:
            return
        except httpx2.ReadTimeout as error:
            raise Silent from error
        except httpx2.TransportError as error:
            raise Unreachable from error
        try:
            headers = [(name, value) for name, value in response.headers.raw if name.lower() not in _HOP]
            await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
            async for chunk in response.stream:  # type: ignore[union-attr]  # the transport's streams are asynchronous
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        except httpx2.TransportError:
            return  # broken off behind us; uvicorn ends the visitor's connection without a proper ending, too
        finally:
            await response.aclose()

    async def _ask(self, scope: Any, visitor: "_Visitor") -> httpx2.Response:
        """The head of the response. A refused connection means that no byte was sent, so the next process may be asked."""
        self._turn += 1
        for number in range(len(self._bases)):
            base = self._bases[(self._turn + number) % len(self._bases)]
            try:
                return await self._transport.handle_async_request(self._request(scope, base, visitor))
            except httpx2.ConnectError:
                if number == len(self._bases) - 1:
                    raise
        raise Unreachable

    def _request(self, scope: Any, base: httpx2.URL, visitor: "_Visitor") -> httpx2.Request:
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        has_body = any(name in {b"content-length", b"transfer-encoding"} for name, _ in scope["headers"])
        headers = [(name, value) for name, value in scope["headers"] if name in self._passes or _passes(name)]
        if not has_body:
            visitor.watch()
        return httpx2.Request(
            scope["method"],
            base.copy_with(raw_path=scope["raw_path"] + query),
            headers=headers,
            content=visitor.body() if has_body else None,
            extensions={"timeout": self._timeout},
        )


def _passes(name: bytes) -> bool:
    return name not in _NOT_FORWARDED and not name.startswith(_INFRASTRUCTURE)


def _check(scope: Any) -> None:
    headers = dict(scope["headers"])
    if b"content-length" in headers and b"transfer-encoding" in headers:
        raise InvalidRequest("content-length and transfer-encoding: send one of them")  # RFC 9112 section 6.1: smuggling
    if len(scope["raw_path"]) + len(scope["query_string"]) > _URL_BYTES:
        raise InvalidRequest(f"the URL may have at most {_URL_BYTES} bytes")
    if int(headers.get(b"content-length", 0)) > _BODY.body_bytes:
        raise _too_large()


def _too_large() -> TooLarge:
    return TooLarge(f"the body may have at most {_BODY.body_bytes} bytes")


class _Visitor:
    """The visitor's side of a request: the body as it comes in, then `left` when the connection ends."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._watching: asyncio.Task[None] | None = None
        self.left = asyncio.Event()

    async def body(self) -> AsyncIterator[bytes]:
        """Within the limits that the functions set, too: what they answer is not heard before the body's end."""
        more, room, ends = True, _BODY.body_bytes, asyncio.get_running_loop().time() + _BODY.body_timeout_s
        while more:
            try:
                async with asyncio.timeout_at(ends):
                    message = await self._receive()
            except TimeoutError:
                raise RequestTimeout(f"the body took longer than {_BODY.body_timeout_s:g} s") from None
            if message["type"] == "http.disconnect":
                self.left.set()
                raise _ClientLeft
            more = message.get("more_body", False)
            if chunk := message.get("body"):
                room -= len(chunk)
                if room < 0:
                    raise _too_large()
                yield chunk
        self.watch()

    def watch(self) -> None:
        """From here on nothing but the end of the connection is awaited."""
        if self._watching is None:
            self._watching = asyncio.ensure_future(self._wait_until_left())

    def stop(self) -> None:
        if self._watching is not None:
            self._watching.cancel()

    async def _wait_until_left(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            while (await self._receive())["type"] != "http.disconnect":
                pass
            self.left.set()

"""HTTP/1.1 on an asyncio.Protocol: the least that a server needs to answer a client that sends Content-Length."""

import asyncio
import json
import socket
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

_REASON = {200: b"OK", 404: b"Not Found"}


class Request(NamedTuple):
    method: bytes
    path: bytes
    headers: dict[bytes, bytes]
    body: bytes


Handler = Callable[[Request, asyncio.Transport], None]


class HttpProtocol(asyncio.Protocol):
    """Calls `handler` with each request, whole; the handler writes the response to the transport when it likes."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a stream socket's
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (request := self._next()) is not None:
            assert self._transport is not None  # noqa: S101 - bytes come after connection_made
            self._handler(request, self._transport)

    def _next(self) -> Request | None:
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return None
        first, *lines = head.split(b"\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        length = int(headers.get(b"content-length", 0))
        if len(rest) < length:
            return None
        self._buffer = rest[length:]
        method, path, _ = first.split(b" ", 2)
        return Request(method, path, headers, rest[:length])


def respond(transport: asyncio.Transport, document: Any, status: int = 200, kind: bytes = b"application/json") -> None:
    """Writes a whole JSON response."""
    body = json.dumps(document, separators=(",", ":")).encode()
    head = b"HTTP/1.1 %d %s\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n" % (status, _REASON[status], kind, len(body))
    transport.write(head + body)


def chunk(data: bytes) -> bytes:
    """`data` as one chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"


def serve(handler: Handler) -> None:
    """Serves on loopback, at the port of the first argument, until the process is ended."""
    asyncio.run(_serve(handler, int(sys.argv[1])))


async def _serve(handler: Handler, port: int) -> None:
    loop = asyncio.get_running_loop()
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    server = await loop.create_server(lambda: HttpProtocol(handler), sock=listener)
    async with server:
        await server.serve_forever()

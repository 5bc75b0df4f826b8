"""The floor: a hand-written asyncio.Protocol that moves the upstream's bytes and knows nothing of them."""

import asyncio
import os
import sys
from urllib.parse import urlsplit

from bench.servers.http import LAST_CHUNK, HttpProtocol, Request

UPSTREAM = urlsplit(os.environ["UPSTREAM"])
_ASK = b"POST /v1/chat/completions HTTP/1.1\r\nhost: up\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"


class _Pipe(asyncio.Protocol):
    """A connection to the upstream: what it says goes to the client of the moment, unread."""

    def __init__(self, idle: list["_Pipe"]) -> None:
        self._idle = idle
        self._transport: asyncio.Transport | None = None
        self._client: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a stream socket's
        self._transport = transport

    def ask(self, body: bytes, client: asyncio.Transport) -> None:
        self._client = client
        assert self._transport is not None  # noqa: S101 - asked only once connected
        self._transport.write(_ASK % len(body) + body)

    def data_received(self, data: bytes) -> None:
        assert self._client is not None  # noqa: S101 - the upstream speaks only when asked
        self._client.write(data)
        if data.endswith(LAST_CHUNK):
            self._client.close()
            self._idle.append(self)


async def main() -> None:
    loop = asyncio.get_running_loop()
    idle: list[_Pipe] = []
    opening: set[asyncio.Task[None]] = set()

    async def relay(body: bytes, client: asyncio.Transport) -> None:
        _, pipe = await loop.create_connection(lambda: _Pipe(idle), UPSTREAM.hostname or "", UPSTREAM.port or 80)
        pipe.ask(body, client)

    def handle(request: Request, client: asyncio.Transport) -> None:
        if idle:
            idle.pop().ask(request.body, client)
        else:
            task = loop.create_task(relay(request.body, client))
            opening.add(task)
            task.add_done_callback(opening.discard)

    server = await loop.create_server(lambda: HttpProtocol(handle), "127.0.0.1", int(sys.argv[1]), backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())

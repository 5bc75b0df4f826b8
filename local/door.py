"""The front, served by uvicorn on a socket that is already listening."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Self

import httpx2
import uvicorn

from local.front import Front
from local.strict_edge import origins_of

_SITE: Final = Path(__file__).parent.parent / "web" / "dist"
_LOOK_S: Final = 0.02
_LAST_BYTES_S: Final = 2  # for what is still being sent when the system ends


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the supervisor decides when it ends."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Door:
    """Serves from `open` to `close`."""

    def __init__(self, front: Front, listener: socket.socket) -> None:
        self._front = front
        config = uvicorn.Config(
            front, lifespan="off", access_log=False, log_config=None, log_level="warning", http="h11", ws="none",
            timeout_graceful_shutdown=_LAST_BYTES_S, server_header=False, date_header=False,
        )  # fmt: skip
        self._server = _Server(config)
        self._serving = asyncio.ensure_future(self._server.serve(sockets=[listener]))

    @classmethod
    def open(cls, listener: socket.socket, chat: Sequence[str], conversations: str, *, strict: bool, issuer: str | None) -> Self:
        """`strict` is for a front that refuses what the deployment's edge refuses; browsers sign in at `issuer`."""
        return cls(Front(chat, conversations, _SITE, strict=strict, sign_in_origins=origins_of(issuer)), listener)

    async def close(self) -> None:
        self._server.should_exit = True
        await self._serving
        await self._front.close()


async def until_healthy(urls: Sequence[str]) -> None:
    """Returns once `GET /api/health` of each base URL has answered 200."""
    async with httpx2.AsyncClient(trust_env=False, timeout=2) as client:
        await asyncio.gather(*(_healthy(client, f"{url}/api/health") for url in urls))


async def _healthy(client: httpx2.AsyncClient, url: str) -> None:
    while True:
        with contextlib.suppress(httpx2.TransportError):
            if (await client.get(url)).status_code == 200:
                return
        await asyncio.sleep(_LOOK_S)

"""Servers of the local run, in a thread of the test: a front, a function URL, and a plain upstream that does as it is told."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from local.door import Door
from local.front import Front
from local.model.http import Handler, Reply, Request, serve_connection
from tests.support.prompt_server import PromptServer

Started = Callable[[socket.socket], Awaitable[Callable[[], Awaitable[None]]]]


@contextmanager
def _served(start: Started) -> Iterator[str]:
    """The base URL of what `start` serves on a fresh socket, until the block ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    loop, end, ready = asyncio.new_event_loop(), asyncio.Event(), threading.Event()

    async def serve() -> None:
        stop = await start(listener)
        ready.set()
        await end.wait()
        await stop()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(10)
    try:
        yield url
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join()


@contextmanager
def front(
    chat: list[str], conversations: str = "http://127.0.0.1:9", site: Path = Path("/nonexistent"), **options: Any
) -> Iterator[str]:
    async def start(listener: socket.socket) -> Callable[[], Awaitable[None]]:
        return Door(Front(chat, conversations, site, **options), listener).close

    with _served(start) as url:
        yield url


@contextmanager
def application(app: Any) -> Iterator[str]:
    """An ASGI application under uvicorn."""

    async def start(listener: socket.socket) -> Callable[[], Awaitable[None]]:
        server = PromptServer(uvicorn.Config(app, lifespan="off", log_config=None, http="h11", ws="none"))
        serving = asyncio.ensure_future(server._serve(sockets=[listener]))

        async def stop() -> None:
            server.end()
            await serving

        return stop

    with _served(start) as url:
        yield url


class Upstream:
    """A server that records its requests; `handler` answers them."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.arrived = threading.Event()
        self.handler: Handler = _ok

    async def answer(self, request: Request, reply: Reply) -> None:
        self.requests.append(request)
        self.arrived.set()
        await self.handler(request, reply)

    @contextmanager
    def serving(self) -> Iterator[str]:
        async def start(listener: socket.socket) -> Callable[[], Awaitable[None]]:
            server = await asyncio.start_server(lambda r, w: serve_connection(r, w, self.answer), sock=listener)

            async def stop() -> None:
                server.close()
                tasks = asyncio.all_tasks() - {asyncio.current_task()}
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

            return stop

        with _served(start) as url:
            yield url


async def _ok(_: Request, reply: Reply) -> None:
    await reply.json(200, {"ok": True})

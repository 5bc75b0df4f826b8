"""uvicorn in a thread that starts and ends at once: its own loops look ten times a second whether something is over."""

import asyncio
import socket
import threading

import uvicorn

_LOOK_S = 0.002


class PromptServer(uvicorn.Server):
    """`serving` is set once it accepts connections. `end`, from any thread, ends it once its responses are over."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.serving = threading.Event()
        self._over = asyncio.Event()

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self.on_tick(0)  # sets the headers of every response
        self.serving.set()
        await self._over.wait()

    def end(self) -> None:
        self.should_exit = True
        self._loop.call_soon_threadsafe(self._over.set)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, less the tenths of a second."""
        for server in self.servers:
            server.close()
        for one in list(self.server_state.connections):
            one.shutdown()
        while self.server_state.connections or self.server_state.tasks:  # noqa: ASYNC110 - two sets that tell nobody
            await asyncio.sleep(_LOOK_S)
        for server in self.servers:
            await server.wait_closed()
        await self.lifespan.shutdown()

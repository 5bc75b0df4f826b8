"""uvicorn in a thread that starts and ends at once: its own loop looks ten times a second whether it is over."""

import asyncio
import threading

import uvicorn


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

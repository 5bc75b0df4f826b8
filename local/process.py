"""One process of the local run: started, followed, started again when it dies, ended with the system."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Callable, Mapping
from typing import Final, cast

from local.child import READY
from local.log_lines import Log

_LONGEST_LINE: Final = 1024 * 1024
_BACKOFF_S: Final = (0.01, 0.01, 0.5, 1.0, 2.0, 5.0)
_STEADY_S: Final = 10.0  # a process that lived this long is started again at once


class Process:
    """`module` under local/child.py, in a session of its own, so that Ctrl-C reaches it only through `end`."""

    def __init__(self, name: str, module: str, env: Mapping[str, str], log: Log) -> None:
        self.name = name
        self.pid: int | None = None
        self.ready = asyncio.Event()  # the process said so
        self._module = module
        self._env = env
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._parent_end: int | None = None
        self._ending = asyncio.Event()
        self._following: asyncio.Task[int] | None = None

    async def start(self) -> None:
        child_end, self._parent_end = os.pipe()
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "local.child", self._module,
                env=self._env, stdin=child_end, stdout=PIPE, stderr=STDOUT, start_new_session=True, limit=_LONGEST_LINE,
            )  # fmt: skip
        finally:
            os.close(child_end)
        self.pid = self._process.pid
        self._following = asyncio.ensure_future(self._follow(self._process))

    async def ended(self) -> int:
        """Waits until the process is gone; returns its exit code, negative for a signal."""
        if self._following is None:
            raise RuntimeError(f"{self.name} was never started")
        return await asyncio.shield(self._following)

    async def keep(self, restarted: Callable[[], None]) -> None:
        """Starts the process again, each time it dies, until `end`. `restarted` is called each time."""
        quick_deaths = 0
        while True:
            started = time.monotonic()
            code = await self.ended()
            if self._ending.is_set():
                return
            quick_deaths = 0 if time.monotonic() - started > _STEADY_S else quick_deaths + 1
            self._log.say(f"{self.name} ended ({_reason(code)}); starting it again", "WARNING")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), _BACKOFF_S[min(quick_deaths, len(_BACKOFF_S) - 1)])
                return
            await self.start()
            restarted()

    async def end(self, within_s: float) -> None:
        """Asks the process to end, and ends it when it does not."""
        self._ending.set()
        if self._process is None:
            return
        self._signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.ended(), within_s)
        except TimeoutError:
            self._log.say(f"{self.name} did not end in {within_s:g} s and was killed", "WARNING")
            self.kill()
            await self.ended()

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _follow(self, process: asyncio.subprocess.Process) -> int:
        output = cast("asyncio.StreamReader", process.stdout)
        while True:
            try:
                line = await output.readline()
            except ValueError:  # longer than a line may be: the stream dropped it
                continue
            if not line:
                break
            text = line.decode(errors="replace")
            if text.strip() == READY:
                self.ready.set()
            else:
                self._log.line(self.name, text)
        code = await process.wait()
        if self._parent_end is not None:
            os.close(self._parent_end)
            self._parent_end = None
        return code


def _reason(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name

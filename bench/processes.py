"""Processes that are measured: pinned to a core, watched through the kernel's own accounts, ended with the bench."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

ROOT: Final = Path(__file__).parents[1]
OUT: Final = ROOT / "dist" / "bench"
_READY_S: Final = 60.0
_CORES: Final = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


class Unmeasurable(Exception):
    """The bench cannot run here; the text is one sentence for the person who tried."""


def relay_core() -> int:
    """The core that measured processes have to themselves."""
    return _CORES[-1]


def other_core() -> int:
    """Where the load, the upstream and the stubs are."""
    return _CORES[0]


def check_machine() -> None:
    """Raises Unmeasurable."""
    if not _CORES:
        raise Unmeasurable("the bench pins processes to cores and reads their CPU clocks, which takes Linux")
    if len(_CORES) < 2:
        raise Unmeasurable("the bench needs two cores: one for the relay, one for what loads it")


@contextlib.contextmanager
def pinned(core: int) -> Iterator[None]:
    """This process, and what it starts meanwhile, on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def free_port() -> int:
    """A port of loopback that nothing listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


class Process:
    """One process that listens on `port`; its output goes to dist/bench/logs."""

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str], core: int, port: int, cwd: Path = ROOT) -> None:
        self.name = name
        self.port = port
        self._log = OUT / "logs" / f"{name}.log"
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self.began = time.monotonic()
        with self._log.open("wb") as log, pinned(core):
            self._process = subprocess.Popen(  # noqa: S603 - our own commands
                command, env=dict(env), cwd=cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    @classmethod
    def module(cls, module: str, env: Mapping[str, str], core: int, name: str | None = None) -> "Process":
        """`python -m module PORT`."""
        port = free_port()
        return cls(name or module.rpartition(".")[2], [sys.executable, "-m", module, str(port)], env, core, port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_until_ready(self, within_s: float = _READY_S) -> None:
        """Until the port is open. Raises Unmeasurable when the process ends before that."""
        end = time.monotonic() + within_s
        while not self.listens():
            if self._process.poll() is not None or time.monotonic() > end:
                tail = "\n".join(self._log.read_text(errors="replace").splitlines()[-12:])
                raise Unmeasurable(f"{self.name} did not start:\n{tail}")
            time.sleep(0.002)

    def listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def cpu_s(self) -> float:
        """CPU time of all its threads so far, user and system, to the nanosecond (clock_getcpuclockid(3))."""
        return time.clock_gettime(~self._process.pid << 3 | 2)

    def memory_mb(self) -> float:
        """What of it is in memory now (VmRSS)."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) / 1024

    def __enter__(self) -> Self:
        self.wait_until_ready()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.end()

    def end(self) -> None:
        """Kills the process and what it started: nothing here has anything to save."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

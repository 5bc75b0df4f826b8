"""The local system for a test: the same processes as `make run`, on free ports.

with LocalSystem({"FAKE_LLM_DELAY_MS": "5"}) as system:
    … a client of system.url …
"""

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from signal import SIGKILL, SIGTERM
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TextIO

from infra.resources import CONVERSATIONS, TURNS
from local.clients import client
from local.environment import queue_url

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_sqs import SQSClient

_ROOT: Final = Path(__file__).parent.parent
_INHERITED: Final = ("PATH", "HOME", "TMPDIR", "LANG", "SYSTEMROOT", "COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")


class LocalSystem:
    """A context manager. `env` is what a user would set; nothing of the tests' own settings gets in."""

    conversations_table = CONVERSATIONS.name
    turns_table = TURNS.name

    def __init__(self, env: Mapping[str, str] | None = None, start_timeout_s: float = 45) -> None:
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        self._env = {**inherited, "PORT": "0", **(env or {})}
        self._start_timeout_s = start_timeout_s
        self._states: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._readers: list[threading.Thread] = []
        self.log: list[str] = []
        self.state: dict[str, Any] = {}

    @property
    def url(self) -> str:
        return str(self.state["url"])

    @property
    def workers(self) -> list[str]:
        """The base URLs of the chat_stream processes behind the front."""
        return [worker["url"] for worker in self.state["chat"]]

    @property
    def aws_endpoint(self) -> str:
        return str(self.state["aws"])

    @property
    def queue_url(self) -> str:
        return queue_url(self.aws_endpoint)

    @property
    def dead_letter_url(self) -> str:
        return f"{self.queue_url}-dead"

    @property
    def dynamodb(self) -> "DynamoDBClient":
        found: DynamoDBClient = client("dynamodb", self.aws_endpoint)
        return found

    @property
    def sqs(self) -> "SQSClient":
        found: SQSClient = client("sqs", self.aws_endpoint)
        return found

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def pids(self) -> dict[str, int]:
        """The processes by name: aws, persist, conversations, model, chat_stream (or chat_stream-1, -2, …)."""
        return dict(self.state["pids"])

    def kill(self, name: str, number: int = SIGKILL) -> None:
        """Sends a signal to one process of the system, by its name in `pids`."""
        os.kill(self.pids[name], number)

    def kill_chat_worker(self, index: int = 0) -> None:
        os.kill(self.state["chat"][index]["pid"], SIGKILL)

    def wait_for_restart(self, timeout: float = 30) -> None:
        """Returns once a process that died was started again; it may not answer yet."""
        self._take_state(timeout)

    def stop(self, number: int = SIGTERM, timeout: float = 30) -> int:
        """Ends the system as Ctrl-C or SIGTERM would; returns its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            return self._process.wait(timeout)
        finally:
            self._process.kill()
            self._process.wait()
            for reader in self._readers:
                reader.join(5)

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "local", "--json"],
            cwd=_ROOT, env=self._env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._readers = [
            threading.Thread(target=self._read_states, args=(self._process.stdout,), daemon=True),
            threading.Thread(target=self._read_log, args=(self._process.stderr,), daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        try:
            self._take_state(self._start_timeout_s)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
        if error is not None:
            print("".join(["the local system said:\n", *self.log]), file=sys.stderr)

    def _take_state(self, timeout: float) -> None:
        try:
            state = self._states.get(timeout=timeout)
        except queue.Empty:
            state = None
        if state is None:
            raise RuntimeError("the local system is not there:\n" + "".join(self.log))
        self.state = state

    def _read_states(self, out: TextIO) -> None:
        with out:
            for line in out:
                self._states.put(json.loads(line))
        self._states.put(None)

    def _read_log(self, out: TextIO) -> None:
        with out:
            self.log.extend(out)

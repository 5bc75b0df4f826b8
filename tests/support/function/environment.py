"""One execution environment: the unzipped code, its handler started as Lambda starts it, the adapter beside it."""

import hashlib
import os
import signal
import socket
import subprocess
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from tests.support.function.runtime_api import CREDENTIALS, RuntimeApi

_READY_S: Final = 20.0
_LISTENING, _ESTABLISHED = "0A", "01"  # states in /proc/net/tcp (linux/include/net/tcp_states.h)


def unzip(archive: Path, into: Path) -> Path:
    """The code as Lambda lays it out: the modes of the zip, nothing writable."""
    with zipfile.ZipFile(archive) as zipped:
        for entry in zipped.infolist():
            path = Path(zipped.extract(entry, into))
            if not entry.is_dir():
                path.chmod((entry.external_attr >> 16 & 0o777 or 0o644) & ~0o222)
    return into


def fingerprint(root: Path) -> dict[str, str]:
    """Every file under a folder with a digest of its bytes: root writes even where nothing is writable."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@dataclass(frozen=True, slots=True)
class Code:
    """What is deployed: the unzipped zip, its handler, and the interpreter of the runtime."""

    root: Path
    handler: str
    python: Path


class ExecutionEnvironment:
    """The processes of one function; `app_url` is where the application listens, `output` what it has printed."""

    def __init__(self, code: Code, adapter: Path, api: RuntimeApi, env: Mapping[str, str]) -> None:
        self._code = code
        self._adapter = adapter
        self._api = api
        self.port = free_port()
        self.app_url = f"http://127.0.0.1:{self.port}"
        self.env = lambda_environment(code, api) | {"AWS_LWA_PORT": str(self.port), **env}
        self._printed: list[str] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        self._readers: list[threading.Thread] = []

    def start(self) -> None:
        """Starts the extension, then the handler, as Lambda does; does not wait."""
        for command in ([str(self._adapter)], [str(self._code.root / self._code.handler)]):
            process = subprocess.Popen(
                command,
                cwd=self._code.root,
                env=self.env,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._processes.append(process)
            assert process.stdout
            reader = threading.Thread(target=self._keep, args=(process.stdout,), daemon=True)
            reader.start()
            self._readers.append(reader)

    def wait_until_ready(self) -> None:
        """Until the function has asked for its first event."""
        end = time.monotonic() + _READY_S
        while not self._api.asked.wait(0.02):
            dead = [process for process in self._processes if process.poll() is not None]
            assert not dead, f"ended with {dead[0].returncode}:\n{self.output}"
            assert time.monotonic() < end, f"not ready within {_READY_S:g} s:\n{self.output}"

    @property
    def app(self) -> "subprocess.Popen[bytes]":
        """The process of the handler."""
        return self._processes[1]

    @property
    def output(self) -> str:
        return "".join(self._printed)

    def connections(self) -> list[str]:
        """The TCP connections the application has open, by the other end's address; those with the adapter left out."""
        sockets = {str(path.readlink()) for path in Path(f"/proc/{self.app.pid}/fd").iterdir() if path.is_symlink()}
        found = []
        for line in Path(f"/proc/{self.app.pid}/net/tcp").read_text().splitlines()[1:]:
            _, local, remote, state, *_, inode = line.split()[:10]
            if f"socket:[{inode}]" in sockets and state != _LISTENING and int(local.partition(":")[2], 16) != self.port:
                found.append(f"127.0.0.1:{int(remote.partition(':')[2], 16)} ({state})")
        return found

    def stop(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        for reader in self._readers:
            reader.join(5)

    def _keep(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                self._printed.append(line.decode(errors="replace"))


@dataclass(frozen=True, slots=True)
class Function:
    """A function in its environment, and the API that invokes it."""

    api: RuntimeApi
    environment: ExecutionEnvironment


@contextmanager
def running(code: Code, adapter: Path, env: Mapping[str, str], wait: bool = True) -> Iterator[Function]:
    """The function, started; up unless `wait` is False."""
    with RuntimeApi() as api:
        environment = ExecutionEnvironment(code, adapter, api, env)
        environment.start()
        try:
            if wait:
                environment.wait_until_ready()
            yield Function(api, environment)
        finally:
            environment.stop()


def lambda_environment(code: Code, api: RuntimeApi) -> dict[str, str]:
    """What Lambda itself sets, for a function under SnapStart: credentials come from an endpoint, not from variables.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
    """
    return {
        "PATH": f"{code.python.parent}:/usr/bin:/bin",
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "LAMBDA_TASK_ROOT": str(code.root),
        "_HANDLER": code.handler,
        "AWS_LAMBDA_RUNTIME_API": api.address,
        "AWS_LAMBDA_FUNCTION_NAME": "chat",
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/chat",
        "AWS_LAMBDA_LOG_STREAM_NAME": "2026/01/01/[1]0",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://{api.address}{CREDENTIALS}",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "token",
    }


def free_port() -> int:
    """A port of loopback that nothing listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port

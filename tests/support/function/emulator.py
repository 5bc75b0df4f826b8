"""A function under Lambda's Runtime Interface Emulator: AWS's own runtime around the package, events in, results out."""

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx2

from tests.support.function.environment import Code, free_port

_INVOCATIONS: Final = "/2015-03-31/functions/function/invocations"
_READY_S: Final = 10.0


class Emulated:
    """`invoke` runs the handler on an event, for real: the package's own code, in a process of its own."""

    def __init__(self, url: str, log: Path) -> None:
        self._http = httpx2.Client(base_url=url, timeout=30)
        self._log = log

    def invoke(self, event: Mapping[str, Any]) -> Any:
        response = self._http.post(_INVOCATIONS, json=event)
        assert response.status_code == 200, self.output
        return response.json()

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def close(self) -> None:
        self._http.close()


@contextmanager
def emulated(emulator: Path, code: Code, libraries: list[Path], env: Mapping[str, str]) -> Iterator[Emulated]:
    """The function under the emulator. `libraries` are what the managed runtime has beside the code."""
    port, runtime_port = free_port(), free_port()
    addresses = [f"--runtime-interface-emulator-address=127.0.0.1:{port}", f"--runtime-api-address=127.0.0.1:{runtime_port}"]
    command = [str(emulator), *addresses, str(code.python), "-m", "awslambdaric", code.handler]
    given = {
        "PATH": f"{code.python.parent}:/usr/bin:/bin",
        "PYTHONPATH": ":".join(map(str, [code.root, *libraries])),
        "LAMBDA_TASK_ROOT": str(code.root),
        "AWS_LAMBDA_FUNCTION_TIMEOUT": "30",
        **env,
    }
    with tempfile.NamedTemporaryFile() as log:
        process = subprocess.Popen(command, cwd=code.root, env=given, stdout=log, stderr=log, start_new_session=True)
        try:
            _wait_for(port, process)
            function = Emulated(f"http://127.0.0.1:{port}", Path(log.name))
            yield function
            function.close()
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + _READY_S
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"the emulator does not listen (exit status {process.returncode})")

"""MiniStack in an environment of its own, started on a free port and ended with the rehearsal."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx2

from infra.package import uv
from infra.package.bytecode import interpreter
from infra.package.recipe import PYTHON
from tests.support.function.environment import free_port

REGION: Final = "eu-central-1"
ACCOUNT: Final = "000000000000"  # MiniStack's own
_HOME: Final = uv.ROOT / ".tools" / "ministack"
# boto3 is what the managed runtime brings; MiniStack runs functions under its own interpreter.
_NEEDS: Final = ("ministack==1.5.33", "boto3", "cryptography")
_READY_S: Final = 30.0


class RehearsalFailed(Exception):
    """The rehearsal cannot go on, or what was deployed does not do as it should; the text is for a person."""


def install() -> Path:
    """MiniStack's executable. Its Python is Lambda's version, since the packages hold that version's byte code."""
    executable = _HOME / "bin" / "ministack"
    if not executable.is_file():
        python = interpreter()
        if python is None:
            raise RehearsalFailed(f"Python {PYTHON} is needed, Lambda's version, and was not found: install it and try again.")
        uv.run("venv", "--quiet", "--clear", "--no-config", "--python", python, _HOME)
        uv.run("pip", "install", "--quiet", "--no-config", "--python", _HOME / "bin" / "python", *_NEEDS)
    return executable


@contextmanager
def ministack(executable: Path) -> Iterator[tuple[str, Path]]:
    """A running, empty MiniStack: the endpoint, and the log of what it says, its functions' output included."""
    port = free_port()
    endpoint = f"http://localhost:{port}"
    with tempfile.TemporaryDirectory() as scratch:
        log = Path(scratch) / "log"
        env = {**_clean(os.environ), "GATEWAY_PORT": str(port), "MINISTACK_REGION": REGION, "LOG_LEVEL": "WARNING"}
        with log.open("wb") as output:
            process = subprocess.Popen([executable], cwd=scratch, env=env, stdout=output, stderr=output, start_new_session=True)
        try:
            _wait_for(endpoint, process, log)
            yield endpoint, log
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # nothing in it is worth keeping
            process.wait()


def environment(endpoint: str) -> dict[str, str]:
    """Makes the CDK CLI and the AWS SDKs talk to MiniStack and to nothing else."""
    return {
        **_clean(os.environ),
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "1",
        "CDK_DISABLE_VERSION_CHECK": "1",
        "CDK_DISABLE_CLI_TELEMETRY": "1",
    }


def _clean(env: Mapping[str, str]) -> dict[str, str]:
    """Without anything of a real account, and with no proxy on the way to this machine."""
    kept = {name: value for name, value in env.items() if not name.startswith("AWS_")}
    local = ",".join(filter(None, [env.get("NO_PROXY") or env.get("no_proxy"), "localhost,127.0.0.1"]))
    return {**kept, "NO_PROXY": local, "no_proxy": local}


def _wait_for(endpoint: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + _READY_S
    while process.poll() is None and time.monotonic() < end:
        try:
            httpx2.get(f"{endpoint}/_ministack/health", trust_env=False).raise_for_status()
        except httpx2.HTTPError:
            time.sleep(0.1)
        else:
            return
    raise RehearsalFailed(f"MiniStack did not come up:\n{log.read_text(errors='replace')[-2000:]}")

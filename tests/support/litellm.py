"""LiteLLM's proxy, run as a process of its own: a gateway as people have it between this product and a provider."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx2

from bench.peers import install_litellm
from bench.processes import free_port
from tests.support import http

MASTER_KEY: Final = "sk-master"
_READY_S: Final = 180.0  # on a busy machine: its imports alone take 8 s of a CPU


@contextmanager
def proxy(models: list[dict[str, Any]], folder: Path) -> Iterator[str]:
    """The base URL of a proxy that serves these entries of LiteLLM's `model_list`. It tries nothing again by itself."""
    installed = install_litellm()
    config = folder / "config.yaml"  # JSON is YAML
    config.write_text(
        json.dumps(
            {
                "model_list": models,
                "general_settings": {"master_key": MASTER_KEY},
                "litellm_settings": {"num_retries": 0},
                "router_settings": {"num_retries": 0, "disable_cooldowns": True},
            }
        )
    )
    port = free_port()
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "OPENAI_", "LITELLM_"))}
    env |= {"LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    env["PATH"] = f"{installed / 'bin'}{os.pathsep}{env.get('PATH', '')}"
    command = [str(installed / "bin" / "litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    log = folder / "litellm.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--num_workers", "1", "--telemetry", "False"], env=env, cwd=folder, stdout=output, stderr=output
        )
    try:
        _wait(f"http://127.0.0.1:{port}", process, log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(30)


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Returns when the proxy answers; raises AssertionError with what it printed."""
    until = time.monotonic() + _READY_S
    with http.client(url, timeout=10) as client:
        while True:
            assert process.poll() is None, log.read_text()[-4000:]
            assert time.monotonic() < until, log.read_text()[-4000:]
            try:
                if client.get("/health/liveliness").status_code == 200:
                    return
            except httpx2.TransportError:
                pass
            time.sleep(0.1)

"""The peers: LiteLLM's proxy and the Vercel AI SDK on Node, each installed by the bench into a folder of its own.

Their versions are fixed here; a run says what it measured. Neither signs in, neither stores anything.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from bench.contenders import MODEL, Contender, Stage
from bench.load import Target
from bench.processes import ROOT, Process, Unmeasurable, free_port, relay_core
from bench.tools import TOOLS, installed
from infra.package import uv

_LITELLM: Final = TOOLS / "litellm"
_AI_SDK: Final = TOOLS / "ai-sdk"
_SCRIPT: Final = ROOT / "bench" / "relays" / "ai_sdk.mjs"
LITELLM: Final = "1.90.0"
AI_SDK: Final = {"ai": "6.0.326", "@ai-sdk/openai-compatible": "2.0.92"}


def install() -> None:
    """Both, unless they are there in these versions. Raises Unmeasurable, PackagingError."""
    install_litellm()
    installed(
        _AI_SDK.name, f"Vercel AI SDK {AI_SDK['ai']} with its provider {AI_SDK['@ai-sdk/openai-compatible']}", _install_ai_sdk
    )
    (_AI_SDK / "server.mjs").write_bytes(_SCRIPT.read_bytes())


def install_litellm() -> Path:
    """Its folder, a virtual environment; installed unless it is there in this version. Raises PackagingError."""
    return installed(_LITELLM.name, f"LiteLLM {LITELLM}", _install_litellm)


def _install_litellm(folder: Path) -> None:
    uv.run("venv", "--quiet", "--no-config", "--python", sys.executable, folder)
    uv.run("pip", "install", "--quiet", "--no-config", "--python", folder / "bin" / "python", f"litellm[proxy]=={LITELLM}")


def _install_ai_sdk(folder: Path) -> None:
    if shutil.which("npm") is None:
        raise Unmeasurable("the Vercel AI SDK needs Node.js 20 or newer, with npm, and there is none here")
    folder.mkdir(parents=True)
    (folder / "package.json").write_text(json.dumps({"private": True, "type": "module", "dependencies": AI_SDK}))
    done = subprocess.run(["npm", "install", "--no-fund", "--no-audit", "--loglevel=error"], cwd=folder, check=False)  # noqa: S607
    if done.returncode:
        raise Unmeasurable("npm could not install the Vercel AI SDK")


def versions() -> dict[str, str]:
    """Of what was installed, and of the Node that runs the second."""
    node = subprocess.run([_node(), "--version"], capture_output=True, text=True, check=True).stdout  # noqa: S603 - a fixed command
    return {"litellm": LITELLM, "ai": AI_SDK["ai"], "node": node.strip().removeprefix("v")}


def _node() -> str:
    return shutil.which("node") or "node"


def all_of_them(on: Stage) -> list[Contender]:
    """Started, in front of the stage's upstream."""
    return [_ai_sdk(on), _litellm(on)]


def _ai_sdk(on: Stage) -> Contender:
    port = free_port()
    command = [_node(), str(_AI_SDK / "server.mjs"), str(port)]
    env = on.environment(on.aws) | {"NODE_ENV": "production"}
    return Contender("ai-sdk", Process("ai-sdk", command, env, relay_core(), port, cwd=_AI_SDK), Target(port))


def _litellm(on: Stage) -> Contender:
    port = free_port()
    config = _write_config(on.upstream.url)
    command = [str(_LITELLM / "bin" / "litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    command += ["--num_workers", "1", "--telemetry", "False"]
    env = on.environment(on.aws) | {"LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    env["PATH"] = f"{_LITELLM / 'bin'}{os.pathsep}{env.get('PATH', '')}"
    target = Target(port, "/v1/chat/completions", more={"model": MODEL, "stream": True})
    return Contender("litellm", Process("litellm", command, env, relay_core(), port, cwd=_LITELLM), target)


def _write_config(upstream: str) -> Path:
    """JSON is YAML."""
    model = {"model": f"openai/{MODEL}", "api_base": f"{upstream}/v1", "api_key": "none"}
    path = _LITELLM / "config.yaml"
    path.write_text(json.dumps({"model_list": [{"model_name": MODEL, "litellm_params": model}]}))
    return path

"""What a cold start starts: the product's own package for this machine, and the naive function's, each compiled ahead.

Both run under the Python that Lambda runs. boto3, which the managed runtime brings along, lies in a folder of its own.
"""

import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from bench.processes import ROOT, Process, Unmeasurable, free_port, relay_core
from bench.tools import TOOLS, installed
from infra.package import uv
from infra.package.build import Package, build
from infra.package.bytecode import interpreter
from infra.package.recipe import PYTHON, RECIPES, Arch

_ARCH: Final[dict[str, Arch]] = {"x86_64": "x86_64", "AMD64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}
_FASTAPI: Final = "fastapi==0.163.2"  # what is locked here stays as locked; this is not
_NAIVE: Final = ("boto3", "openai", "pydantic", "uvicorn")


@dataclass(frozen=True, slots=True)
class Artefacts:
    """`python` is Lambda's version; the folders hold what each function imports."""

    python: Path
    product: Path
    runtime: Path
    naive: Path

    def start_product(self, env: Mapping[str, str], name: str = "cold-product") -> Process:
        """As Lambda starts it: run.sh, the code read where it was unzipped, the runtime's own libraries last."""
        port = free_port()
        own = {"LAMBDA_TASK_ROOT": str(self.product), "LAMBDA_RUNTIME_DIR": str(self.runtime), "PORT": str(port)}
        path = {"PATH": f"{self._python3()}:{os.environ.get('PATH', '')}", "PYTHONDONTWRITEBYTECODE": "1"}
        command = [str(self.product / "run.sh")]
        return Process(name, command, {**_without_python(env), **own, **path}, relay_core(), port, cwd=self.product)

    def start_naive(self, env: Mapping[str, str]) -> Process:
        port = free_port()
        own = {"PYTHONPATH": str(self.naive), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [str(self.python), str(self.naive / "naive.py"), str(port)]
        return Process("cold-naive", command, {**_without_python(env), **own}, relay_core(), port, cwd=self.naive)

    def _python3(self) -> Path:
        """A folder in which `python3`, as run.sh calls it, is Lambda's version."""
        folder = TOOLS / "bin"
        folder.mkdir(parents=True, exist_ok=True)
        link = folder / "python3"
        if not (link.is_symlink() and link.readlink() == self.python):
            link.unlink(missing_ok=True)
            link.symlink_to(self.python)
        return folder


def packages() -> dict[str, Package]:
    """Every function's package for this machine, built when it is not there yet."""
    arch = _ARCH[platform.machine()]
    return {function: build(function, arch) for function in RECIPES}


def artefacts() -> Artefacts:
    """Both functions, installed. Raises Unmeasurable where Lambda's Python is not."""
    found = interpreter()
    if found is None:
        raise Unmeasurable(f"a cold start is measured under Lambda's own Python, {PYTHON}, and there is none here")
    python = Path(found).resolve()  # not an environment's: its libraries would be found
    runtime = _installed("runtime", python, [f"boto3=={version('boto3')}"])
    naive = _installed("naive", python, [_FASTAPI, *(f"{name}=={version(name)}" for name in _NAIVE)])
    (naive / "naive.py").write_bytes((ROOT / "bench" / "relays" / "naive.py").read_bytes())
    return Artefacts(python, packages()["chat_stream"].folder, runtime, naive)


def _installed(name: str, python: Path, requirements: list[str]) -> Path:
    def install_into(folder: Path) -> None:
        uv.run("pip", "install", "--quiet", "--no-config", "--target", folder, "--python", python, *requirements)
        compiling = [python, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", folder]
        subprocess.run(list(map(str, compiling)), check=True)  # noqa: S603 - our own command

    return installed(name, f"{', '.join(requirements)} for {python}", install_into)


def _without_python(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if not name.startswith("PYTHON") and name != "VIRTUAL_ENV"}

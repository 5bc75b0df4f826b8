"""uv, wherever it is: the locked requirements of a function, and their wheels for Lambda, unpacked."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from infra.package.recipe import OF_THE_RUNTIME, PLATFORM, PYTHON, Arch

ROOT = Path(__file__).parents[2]


class PackagingError(Exception):
    """Packaging cannot go on; the text says why, for a person."""


def install(function: str, arch: Arch, target: Path) -> None:
    """The function's locked dependencies, as Lambda's Python and platform need them, into `target`."""
    run("pip", "install", "--quiet", "--no-deps", "--no-config", "--target", target, "--python-platform", PLATFORM[arch],
        "--python-version", PYTHON, "--only-binary", ":all:", "--no-compile-bytecode", "--require-hashes",
        "-r", _requirements(function, target.with_suffix(".txt")))  # fmt: skip


def _requirements(function: str, path: Path) -> Path:
    left_out = [word for name in OF_THE_RUNTIME for word in ("--no-emit-package", name)]
    run("export", "--quiet", "--frozen", "--only-group", function, *left_out, "-o", path)
    return path


def run(*arguments: object) -> None:
    """Runs uv in the repository; raises PackagingError with what it said."""
    # An activated environment is none of uv's business here.
    env = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run([*_command(), *map(str, arguments)], cwd=ROOT, env=env, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise PackagingError(f"uv {arguments[0]} failed:\n{done.stderr.strip()}")


def _command() -> list[str]:
    """uv beside this interpreter (the `infra` group brings it), of the machine, of `make setup`, or as a module."""
    for path in _candidates():
        if path and os.access(path, os.X_OK):
            return [str(path)]
    raise PackagingError("uv was not found: run `make setup`, or install uv (https://docs.astral.sh/uv/)")


def _candidates() -> Iterator[str | Path | None]:
    yield os.environ.get("UV")
    yield Path(sys.executable).parent / "uv"
    yield shutil.which("uv")
    yield ROOT / ".tools" / "bin" / "uv"

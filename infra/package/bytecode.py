"""Byte code made ahead by Lambda's own Python version: without it a cold start takes 2.7 times as long.

The interpreter that compiles must be of that version, since byte code is not portable. Its header says "never checked against a
source" (PEP 552), so no change of times or places makes it stale.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from infra.package.recipe import PYTHON
from infra.package.uv import PackagingError

OWN: Final = "functions"
_SCRIPT: Final = Path(__file__).with_name("compile_script.py")


def compile_all(bundle: Path) -> bool:
    """Compiles every module; False, and nothing done, when no Python of Lambda's version is here."""
    if (python := interpreter()) is None:
        return False
    env = {"PYTHONHASHSEED": "0", "PATH": os.environ.get("PATH", "")}  # the order of a set's constants is the seed's
    done = subprocess.run([python, "-S", _SCRIPT, bundle, OWN], env=env, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise PackagingError(f"compiling with {python} failed:\n{done.stderr.strip()}")
    return True


@cache
def interpreter() -> str | None:
    """A Python of Lambda's version: this one, one on the path, or one of pyenv's or uv's."""
    return next((str(path) for path in _candidates() if _is_right(path)), None)


def _candidates() -> Iterator[str | Path]:
    yield sys.executable
    if on_path := shutil.which(f"python{PYTHON}"):
        yield on_path
    home = Path.home()
    for folder in (
        home / ".pyenv" / "versions",
        home / ".local" / "share" / "uv" / "python",
        Path("/opt/hostedtoolcache/Python"),
    ):
        yield from sorted(folder.glob(f"*{PYTHON}*/**/bin/python{PYTHON}"), reverse=True)


def _is_right(python: str | Path) -> bool:
    code = f"import sys; sys.exit(sys.version_info[:2] != {tuple(map(int, PYTHON.split('.')))})"
    try:
        return subprocess.run([python, "-c", code], capture_output=True, timeout=20, check=False).returncode == 0  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return False

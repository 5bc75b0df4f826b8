"""What the bench, and the tests of a peer, install for themselves, each in a folder of its own in .tools/bench."""

import fcntl
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench.processes import ROOT

TOOLS: Final = ROOT / ".tools" / "bench"


def installed(name: str, what: str, install_into: Callable[[Path], None]) -> Path:
    """The folder, with `what` installed into it once: when that says something else, it is installed anew."""
    folder = TOOLS / name
    stamp = folder / "installed.txt"
    TOOLS.mkdir(parents=True, exist_ok=True)
    with (TOOLS / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of several test processes, one installs
        if not stamp.is_file() or stamp.read_text() != what:
            print(f"installing {what} into {folder.relative_to(ROOT)} (once)…", file=sys.stderr, flush=True)
            shutil.rmtree(folder, ignore_errors=True)
            install_into(folder)
            stamp.write_text(what)
    return folder

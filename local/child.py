"""A process that the local run starts: `python -m local.child MODULE` runs the module and never outlives its parent.

The parent holds the other end of standard input and never writes to it: its end means that the parent is gone, even by SIGKILL.
That works on every Unix, where PR_SET_PDEATHSIG is Linux's alone.
"""

import os
import runpy
import signal
import sys
import threading
from typing import Final

READY: Final = "ready"  # the line on standard output that says the process answers
_PARENT_GONE: Final = 70


def say_ready() -> None:
    print(READY, flush=True)


def wait_for_the_end() -> None:
    """Returns when the process is asked to end (SIGTERM or SIGINT)."""
    end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end.set())
    end.wait()


def _follow(parent: int) -> None:
    while os.read(parent, 1024):
        pass
    os._exit(_PARENT_GONE)  # at once: the state this process worked on is gone with the parent


def main() -> None:
    module = sys.argv[1]
    parent = os.dup(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # whatever reads standard input in the module sees its end, not our pipe
    threading.Thread(target=_follow, args=(parent,), daemon=True, name="parent").start()
    sys.argv = [module]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

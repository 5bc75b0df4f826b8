"""Waiting for what another thread or process brings about."""

import time
from collections.abc import Callable
from typing import Any


def until(look: Callable[[], Any], seconds: float = 20) -> Any:
    """What `look` returns, once that is true. It is asked again and again, ever less often."""
    end, pause = time.monotonic() + seconds, 0.001
    while not (found := look()):
        assert time.monotonic() < end, f"it did not come to pass within {seconds} s"
        time.sleep(pause)
        pause = min(2 * pause, 0.02)
    return found

"""The pace of one invocation: how often DynamoDB is asked again, how long to wait between, and when to stop."""

import random
import time
from collections.abc import Callable
from typing import Final, TypeVar

from functions.persist.errors import OutOfTime, Unavailable

CONNECT_TIMEOUT_S: Final = 1.0
READ_TIMEOUT_S: Final = 3.0
RESERVE_S: Final = CONNECT_TIMEOUT_S + READ_TIMEOUT_S + 1.0  # the longest call, and a second to answer Lambda in
MAX_ATTEMPTS: Final = 6
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 1.0

T = TypeVar("T")


class Pace:
    """`left_s` tells the seconds until Lambda ends the invocation."""

    def __init__(self, left_s: Callable[[], float], sleep: Callable[[float], None] = time.sleep) -> None:
        self._left_s = left_s
        self._sleep = sleep

    def check(self) -> None:
        """Raises OutOfTime when a call begun now might not be over in time."""
        if self._left_s() < RESERVE_S:
            raise OutOfTime

    def pause(self, attempt: int) -> None:
        """Waits before attempt `attempt + 1`: exponential, half of it jitter, so that two invocations in conflict part ways."""
        longest = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** (attempt - 1))
        self._sleep(longest * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret

    def patiently(self, call: Callable[[], T]) -> T:
        """The call's result; asks again while DynamoDB is unavailable. Raises its last error, or OutOfTime."""
        for attempt in range(1, MAX_ATTEMPTS):
            self.check()
            try:
                return call()
            except Unavailable:
                self.pause(attempt)
        self.check()
        return call()

"""What this process alone knows of a user's quotas: enough for a real 429, without a model call, when it is sure.

The table decides; this never refuses what the table would not, but for one thing: turns still on their way to the table count as
streams here already. A refusal for too many streams, which may end at any moment, is remembered too: for some seconds the table
is asked before the model is.
"""

import time
from typing import Final

from functions.chat_stream import errors
from functions.chat_stream.quota import DAY_S, MINUTE_S
from functions.common.problems import QuotaExceeded
from functions.common.quotas import Quotas

_AGAIN_S: Final = 2  # a stream may end at any moment
_FULL_S: Final = 10
_WINDOWS: Final = {errors.TooManyTurns: MINUTE_S, errors.TokensUsedUp: DAY_S}
_REMEMBERED: Final = 4096


class LocalQuota:
    """The table's refusals that hold until a minute or a day is over, and how many streams may run here."""

    def __init__(self, quotas: Quotas) -> None:
        self._streams = quotas.streams
        self._refused: dict[str, tuple[errors.QuotaExceeded, float]] = {}
        self._full: dict[str, float] = {}

    def check(self, user_id: str, running: int) -> None:
        """Raises QuotaExceeded, with Retry-After, for a turn that would be refused. `running`: the user's streams here."""
        now = time.time()
        if known := self._refused.get(user_id):
            refusal, until = known
            if now < until:
                raise _problem(refusal, until - now)
            del self._refused[user_id]
        if self._streams and running >= self._streams:
            raise _problem(errors.TooManyStreams(), _AGAIN_S)

    def remember(self, user_id: str, refusal: errors.QuotaExceeded) -> None:
        """The table has refused: what counts by the minute or the day stays refused until that is over, what counts streams is in
        doubt for some seconds.
        """
        for known in (self._refused, self._full):
            if len(known) >= _REMEMBERED:
                known.clear()
        if (length := _WINDOWS.get(type(refusal))) is None:
            self._full[user_id] = time.time() + _FULL_S
        else:
            self._refused[user_id] = (refusal, (time.time() // length + 1) * length)

    def in_doubt(self, user_id: str) -> bool:
        """Whether the table found too many of the user's streams a moment ago."""
        return time.time() < self._full.get(user_id, 0.0)


def _problem(refusal: errors.QuotaExceeded, seconds: float) -> QuotaExceeded:
    return QuotaExceeded(refusal.sentence, headers={"retry-after": str(int(seconds) + 1)})

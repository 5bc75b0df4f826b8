"""What this process alone knows of a user's quotas: enough for a real 429, without a model call, when it is sure.

The table decides; this never refuses what the table would not, but for two things: turns still on their way to the table count as
streams here already, and a refusal for too many streams holds for two seconds, unless one of them ends here.
"""

import time
from typing import Final

from functions.chat_stream import errors
from functions.chat_stream.quota import DAY_S, MINUTE_S
from functions.common.problems import QuotaExceeded
from functions.common.quotas import Quotas

_AGAIN_S: Final = 2  # a stream may end at any moment
_WINDOWS: Final = {errors.TooManyTurns: MINUTE_S, errors.TokensUsedUp: DAY_S}
_REMEMBERED: Final = 4096


class LocalQuota:
    """The table's refusals that hold until a minute or a day is over, and how many streams may run here."""

    def __init__(self, quotas: Quotas) -> None:
        self._streams = quotas.streams
        self._refused: dict[str, tuple[errors.QuotaExceeded, float]] = {}

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
        """The table has refused: what counts by the minute or the day stays refused until that is over."""
        length = _WINDOWS.get(type(refusal))
        until = time.time() + _AGAIN_S if length is None else (time.time() // length + 1) * length
        if len(self._refused) >= _REMEMBERED:
            self._refused.clear()
        self._refused[user_id] = (refusal, until)

    def freed(self, user_id: str) -> None:
        """One of the user's streams has ended here: there may be a place again."""
        if isinstance(self._refused.get(user_id, (None, 0))[0], errors.TooManyStreams):
            del self._refused[user_id]


def _problem(refusal: errors.QuotaExceeded, seconds: float) -> QuotaExceeded:
    return QuotaExceeded(refusal.sentence, headers={"retry-after": str(int(seconds) + 1)})

"""How fast persist stores when the tables throttle: its retries slow it down until it asks for what it gets.

An invocation tries a batch up to `MAX_ATTEMPTS` times with growing pauses (functions/persist/pace.py). So the fuller a table, the
longer an invocation lasts, and the less its functions ask in a second: there is one share of success at which both agree.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from bench.cost.assumptions import DYNAMODB_CALL_S
from functions.persist import pace

_JITTER: Final = 0.75  # a pause is between half and all of its length
_PAUSES: Final = tuple(
    _JITTER * min(pace._LONGEST_PAUSE_S, pace._FIRST_PAUSE_S * 2**attempt) for attempt in range(pace.MAX_ATTEMPTS - 1)
)
_GRID: Final = 512  # shares of success that are told apart


class _Try(NamedTuple):
    """A batch at some share of success: the tries it takes, the seconds they add, how often all of them fail."""

    attempts: float
    waiting_s: float
    failing: float


def _try(share: float) -> _Try:
    missed = [(1 - share) ** attempt for attempt in range(1, pace.MAX_ATTEMPTS + 1)]
    waits = [miss * (pause + DYNAMODB_CALL_S) for miss, pause in zip(missed, _PAUSES, strict=False)]
    return _Try(1 + sum(missed[:-1]), sum(waits), missed[-1])


_TRIES: Final = tuple(_try(step / _GRID) for step in range(_GRID + 1))


@dataclass(frozen=True, slots=True)
class Table:
    """One limit of a table, in units a second: what it takes, what streams ask of it, and what one batch of persist does."""

    allowed: float
    streaming: float
    per_batch: float


@dataclass(frozen=True, slots=True)
class Pace:
    """Persist's batches in a second: `share` of their attempts succeed, each takes `attempts`, `failing` of them never do."""

    batches: float
    share: float
    attempts: float
    failing: float


def settle(tables: Mapping[str, Table], functions: float, batch_s: float, most_batches: float) -> Pace:
    """The pace at which so many functions store, of at most so many batches there are to store."""

    def at(step: int) -> Pace:
        tried = _TRIES[step]
        batches = min(most_batches, functions / (batch_s + tried.waiting_s))
        return Pace(batches, step / _GRID, tried.attempts, tried.failing)

    def holds(made: Pace) -> bool:
        """Whether the tables take that share of what is asked at that pace."""
        tries = made.batches * made.attempts
        return all(made.share * (table.streaming + tries * table.per_batch) <= table.allowed for table in tables.values())

    if holds(at(_GRID)):
        return at(_GRID)
    low, high = 0, _GRID
    while high - low > 1:  # what is asked grows with the share, so the two lines cross once
        middle = (low + high) // 2
        low, high = (middle, high) if holds(at(middle)) else (low, middle)
    return at(low)

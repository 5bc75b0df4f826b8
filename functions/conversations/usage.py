"""What the caller's turns cost, today and this month (UTC), and what they may: `GET /api/usage`."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from functions.common import keys
from functions.common.quotas import Quotas
from functions.conversations.views import TokenUsage

Sums = tuple[str, int, int, int]  # a day, and its turns, tokens read and tokens written


class Spent(TokenUsage):
    """Stored turns and their tokens, as the provider counted them or, for a stream cut short, by estimate."""

    turns: int


class Limits(TypedDict):
    """What one user may use; null is no limit."""

    concurrentStreams: int | None
    turnsPerMinute: int | None
    tokensPerDay: int | None


class Usage(TypedDict):
    """What the caller has used, and what limits it."""

    today: Annotated[Spent, Field(description="Since midnight UTC.")]
    month: Annotated[Spent, Field(description="Since the first of the month, UTC.")]
    limits: Limits


def usage(days: Iterable[Sums], now: datetime, quotas: Quotas) -> Usage:
    """The answer, from the sums of this month's days."""
    month = list(days)
    today = now.date().isoformat()
    return {
        "today": _total(sums for sums in month if sums[0] == today),
        "month": _total(month),
        "limits": {
            "concurrentStreams": quotas.streams or None,
            "turnsPerMinute": quotas.turns_per_minute or None,
            "tokensPerDay": quotas.tokens_per_day or None,
        },
    }


def month_of(now: datetime) -> tuple[str, str]:
    """The first and the last sort key that this month's sums can have."""
    month = f"{keys.USAGE_PREFIX}{now:%Y-%m}-"
    return f"{month}01", f"{month}32"


def _total(days: Iterable[Sums]) -> Spent:
    turns = read = written = 0
    for _, day_turns, day_read, day_written in days:
        turns, read, written = turns + day_turns, read + day_read, written + day_written
    return {"turns": turns, "inputTokens": read, "outputTokens": written, "totalTokens": read + written}

"""Times as the API writes them: ISO 8601 UTC with milliseconds, which sort as text."""

from datetime import UTC, datetime


def iso(epoch_s: float) -> str:
    """`2026-11-22T18:20:20.123Z` for seconds since the epoch."""
    return datetime.fromtimestamp(epoch_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""What has changed in a conversation, on any branch, since a reader last looked: new messages, answers that went on or ended."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from aws_lambda_powertools import Logger

from functions.common import times
from functions.common.keys import SK
from functions.common.problems import Field, InvalidRequest
from functions.conversations import cursors, reading, views
from functions.conversations.store import Store
from functions.conversations.underway import LONGEST_TURN_S, with_text_so_far
from functions.conversations.views import Row

_PAGES: Final = 8  # of 1 MB each, that one request looks through; a longer conversation takes several, each with a cursor
_RESERVE_MS: Final = 5_000  # time for the turns that are under way, and for the answer


def since_when(text: str) -> datetime:
    """The time a `since` names; raises InvalidRequest."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise _not_a_time() from None
    if when.tzinfo is None or not 1970 <= when.year < 9999:
        raise _not_a_time()
    return when.astimezone(UTC)


def page(
    store: Store,
    meta: Row,
    limit: int,
    cursor: str | None,
    since: datetime,
    logger: Logger,
    remaining_ms: Callable[[], int],
) -> views.Conversation:
    """The messages that changed after `since`, parents before children; a page may be empty and have a cursor.

    Raises InvalidRequest.
    """
    as_of = reading.read_as_of()
    # What streams changes without a write to this table. A turn that began earlier than this has ended by `since`.
    early = _iso(since - timedelta(seconds=LONGEST_TURN_S))
    if meta["updated_at"] <= early:
        return views.conversation(meta, [], None, as_of)
    after = None if cursor is None else cursors.to_message(cursor)
    rows: list[Row] = []
    for looked_at in range(_PAGES):
        if len(rows) > limit or (looked_at and remaining_ms() < _RESERVE_MS):
            break
        found, after = store.changed(views.summary(meta)["id"], _iso(since), early, after)
        rows += found
        if after is None:
            break
    shown, more = reading.cut(with_text_so_far(store, rows[:limit], logger), limit)
    if more or len(rows) > limit:
        return views.conversation(meta, shown, cursors.of_message(shown[-1][SK]), as_of)
    return views.conversation(meta, shown, None if after is None else cursors.of_message(after), as_of)


def _not_a_time() -> InvalidRequest:
    message = "not a time like 2026-11-22T18:20:20.123Z"
    return InvalidRequest(f"since: {message}", [Field("since", message)])


def _iso(when: datetime) -> str:
    return times.iso(max(when.timestamp(), 0))

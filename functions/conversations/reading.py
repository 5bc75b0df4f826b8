"""Listings, pages and whole conversations, each within what one answer may weigh."""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from aws_lambda_powertools import Logger

from functions.common import times
from functions.common.access import Caller
from functions.common.ids import is_uuid
from functions.common.keys import SK
from functions.common.problems import Field, ForbiddenWorkspace, NotFound, TooLarge
from functions.conversations import cursors, views
from functions.conversations.store import Store
from functions.conversations.underway import with_text_so_far
from functions.conversations.views import Row

# Lambda: a buffered answer is at most 6 MB, measured on the JSON that wraps the body; this leaves room for a page's last
# message: 400 KB at most, the size of an item, and JSON in JSON makes seven bytes of a control character.
PAGE_BYTES: Final = 3 * 1024 * 1024
EXPORT_RESERVE_MS: Final = 8_000  # for the answers under way, and for making one document of it all
ON_ITS_WAY_S: Final = 60  # a record waits in the queue for a second or so, and clocks differ
EXPORT_BYTES: Final = 32 * 1024 * 1024  # what one export reads into memory; gzip has to bring it under 6 MB anyway


def listing(store: Store, caller: Caller, workspace_id: str | None, limit: int, cursor: str | None) -> views.Listing:
    """A page of a workspace's conversations. Raises ForbiddenWorkspace, InvalidRequest."""
    workspace_id = caller.personal_workspace if workspace_id is None else workspace_id
    if not caller.may_touch(workspace_id):
        raise ForbiddenWorkspace("workspaceId: not among your workspaces", [Field("workspaceId", "not among your workspaces")])
    before = None if cursor is None else cursors.to_activity(cursor)
    rows = store.listing(workspace_id, before, limit + 1)
    document: views.Listing = {"items": [views.summary(row) for row in rows[:limit]]}
    if len(rows) > limit:
        document["cursor"] = cursors.of_activity(rows[limit - 1]["activity"])
    return document


def authorised(store: Store, caller: Caller, conversation_id: str, *, deleted: bool = False) -> Row:
    """The META of a conversation the caller may touch; else NotFound, whatever the reason.

    Absent, deleted and someone else's cost the same single read and get the same bytes, so they cannot be told apart. That is why
    the messages are not fetched in the same query: their weight would show. `deleted` admits one whose deletion did not finish.
    """
    meta = store.meta(conversation_id) if is_uuid(conversation_id) else None
    if meta is None or not caller.may_touch(meta["workspace_id"]) or ("deleted_at" in meta and not deleted):
        raise NotFound
    return meta


def page(store: Store, meta: Row, limit: int, cursor: str | None, logger: Logger) -> views.Conversation:
    """The conversation with a page of its messages: `limit` of them, fewer when they are heavy. Raises InvalidRequest."""
    as_of = read_as_of()
    conversation_id = views.summary(meta)["id"]
    after = None if cursor is None else cursors.to_message(cursor)
    rows, more = cut(store.messages(conversation_id, after, limit + 1), limit)
    shown = with_text_so_far(store, rows, logger)
    if shown is not rows:  # the text so far weighs, too
        shown, heavy = cut(shown, limit)
        more = more or heavy
    return views.conversation(meta, shown, cursors.of_message(shown[-1][SK]) if more else None, as_of)


def whole(store: Store, meta: Row, logger: Logger, remaining_ms: Callable[[], int]) -> views.Conversation:
    """The conversation with every message. Raises TooLarge, also when time is too short: reading in pages gets to the end."""
    rows: list[Row] = []
    room = EXPORT_BYTES
    for row in store.messages(views.summary(meta)["id"]):
        rows.append(row)
        room -= sum(len(value) for value in row.values())
        if room < 0 or remaining_ms() < EXPORT_RESERVE_MS:
            raise too_large_for_one_answer()
    return views.conversation(meta, with_text_so_far(store, rows, logger))


def too_large_for_one_answer() -> TooLarge:
    return TooLarge("The conversation does not fit one answer; read it in pages: GET /api/conversations/{id}?limit=…&cursor=…")


def read_as_of() -> str:
    """The `asOf` of what is read from now on: what was stored later than this, the reader may not have seen."""
    return times.iso(time.time() - ON_ITS_WAY_S)


def cut(rows: Iterable[Row], limit: int) -> tuple[Sequence[Row], bool]:
    """The rows up to the limit in number and weight, at least one if there is one; and whether there are more."""
    taken: list[Row] = []
    room = PAGE_BYTES
    for row in rows:
        if len(taken) == limit or room < 0:
            return taken, True
        taken.append(row)
        room -= _weight(row)
    return taken, False


def _weight(row: Row) -> int:
    """The bytes a row takes in the answer: JSON, inside the JSON that carries a function's answer."""
    return len(json.dumps(json.dumps(row, ensure_ascii=False), ensure_ascii=False).encode())

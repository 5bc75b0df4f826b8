"""One branch of a conversation, from its end: what a reader wants first, at the same cost however long the conversation is.

A message's key holds its depth, and its parent stands one level above. So one query over a range of depths brings a page of the
branch together with its siblings, which are the other messages of a level that have the same parent.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final, NamedTuple

from aws_lambda_powertools import Logger

from functions.common.ids import is_uuid
from functions.common.keys import SK, message_sk, parse_message_sk
from functions.common.problems import Field, InvalidRequest
from functions.conversations import cursors, reading, views
from functions.conversations.cursors import Place
from functions.conversations.store import Store
from functions.conversations.underway import with_text_so_far
from functions.conversations.views import Row

_QUERIES: Final = 2  # for one page; where other branches fill them, the page is shorter
# A query reads so many rows for each message asked for, and so many at least: room for other branches beside this one.
_ROWS_PER_MESSAGE: Final = 3
_LEAST_ROWS: Final = 100
_SEARCHED: Final = 16  # pages of 1 MB that the search for a branch's end, or for a misplaced parent, reads at most


class Branch(NamedTuple):
    """A part of a branch, the deepest message first; the siblings of each, by its id; the message above it, if there is one."""

    rows: Sequence[Row]
    siblings: Mapping[str, Sequence[str]]
    above: Place | None


def asked(through: str) -> tuple[int | None, str]:
    """The message that a `through` names, and its depth if that is named, too; raises InvalidRequest."""
    if is_uuid(through):
        return None, through
    order, _, message_id = through.partition(":")
    try:
        return _parsed(f"MSG#{order}#{message_id}")
    except ValueError:
        message = "not the id of a message, nor <orderKey>:<id>"
        raise InvalidRequest(f"through: {message}", [Field("through", message)]) from None


def page(
    store: Store, meta: Row, limit: int, cursor: str | None, through: tuple[int | None, str] | None, logger: Logger
) -> views.Conversation:
    """A page of a branch: `limit` messages, fewer when they are heavy; the cursor leads to the older ones.

    The branch is the one with the newest leaf; with `through`, the one with the newest leaf at or below that message.
    Raises InvalidRequest.
    """
    as_of = reading.read_as_of()
    conversation_id = views.summary(meta)["id"]
    start = cursors.to_place(cursor) if cursor else _newest_leaf(store, conversation_id, meta, through)
    if start is None:
        return views.conversation(meta, [], None, as_of)
    branch = _upwards(store, conversation_id, start, limit)
    rows, heavy = reading.cut(branch.rows, limit)
    shown = with_text_so_far(store, rows, logger)
    if shown is not rows:  # the text so far weighs, too
        shown, cut = reading.cut(shown, limit)
        heavy = heavy or cut
    above = _above(shown[-1]) if heavy else branch.above
    older = None if above is None else cursors.of_place(above)
    return views.conversation(meta, shown[::-1], older, as_of, branch.siblings)


def _upwards(store: Store, conversation_id: str, start: Place, limit: int) -> Branch:
    """The branch from `start` towards its root. Nothing only where there is no such message."""
    branch = _linked(store, conversation_id, start, limit)
    if branch.rows:
        return branch
    # Not at its depth, or its level is too broad for the queries.
    row = store.message(conversation_id, message_sk(*start))
    if row is not None:
        return Branch([row], {}, _above(row))
    found = _find(store, conversation_id, start.id)
    return branch if found is None or found == start else _linked(store, conversation_id, found, limit)


def _find(store: Store, conversation_id: str, message_id: str) -> Place | None:
    """Where the message is, found by its id alone."""
    if order := store.order_key(conversation_id, message_id):
        return Place(int(order), message_id)
    return next((_place(row) for row in store.links(conversation_id, _SEARCHED) if row["id"] == message_id), None)


def _linked(store: Store, conversation_id: str, start: Place, limit: int) -> Branch:
    """What two queries show of the branch: a level counts when it was read whole, so that no sibling is missing."""
    rows: list[Row] = []
    siblings: dict[str, list[str]] = {}
    wanted: Place | None = start
    for level in _levels(store, conversation_id, start.depth, limit):
        row = next((one for one in level if wanted == _place(one)), None)
        if row is None:
            break
        rows.append(row)
        family = (one for one in level if one.get("parent_id") == row.get("parent_id"))
        siblings[row["id"]] = [one["id"] for one in sorted(family, key=lambda one: (one["created_at"], one["id"]))]
        wanted = _above(row)
        if wanted is None or len(rows) == limit:
            break
    return Branch(rows, siblings, wanted if rows else None)


def _levels(store: Store, conversation_id: str, deepest: int, limit: int) -> Iterator[Sequence[Row]]:
    """The levels from the deepest on, each with all of its messages."""
    held: list[Row] = []
    rows_a_query = max(limit * _ROWS_PER_MESSAGE, _LEAST_ROWS)
    for rows, last in store.levels(conversation_id, deepest - limit + 1, deepest, rows_a_query, _QUERIES):
        levels = [list(level) for _, level in groupby([*held, *rows], key=lambda row: _place(row).depth)]
        held = [] if last or not levels else levels.pop()  # the next page may hold more of it
        yield from levels


def _newest_leaf(store: Store, conversation_id: str, meta: Row, through: tuple[int | None, str] | None) -> Place | None:
    if through is not None:
        depth, message_id = through
        top = _find(store, conversation_id, message_id) if depth is None else Place(depth, message_id)
        if top is not None and (leaf := _newest_below(store, conversation_id, top)) is not None:
            return leaf
    if "leaf" in meta:
        return _parsed(meta["leaf"])
    # Stored before META named it. The deepest come first: should the pages not reach all, the longest branches were looked at.
    newest = None
    for row in store.links(conversation_id, _SEARCHED, deepest_first=True):
        if newest is None or _age(row) > _age(newest):
            newest = row
        if row["created_at"] >= meta["updated_at"]:
            break  # nothing is newer than the latest activity
    return None if newest is None else _place(newest)


def _newest_below(store: Store, conversation_id: str, top: Place) -> Place | None:
    """The newest leaf of the branches through `top`; None when there is no such message."""
    rows = store.links(conversation_id, _SEARCHED, first=top.depth)
    leaves: list[Row] = []
    parents: dict[str, Row] = {}  # of the level above, those on these branches
    for depth, level in groupby(rows, key=lambda row: _place(row).depth):
        at_top = depth == top.depth
        on_branch = [row for row in level if (row["id"] == top.id if at_top else row.get("parent_id") in parents)]
        with_children = {row.get("parent_id") for row in on_branch}
        leaves += (row for parent_id, row in parents.items() if parent_id not in with_children)
        parents = {row["id"]: row for row in on_branch}
        if not on_branch:
            break
    leaves += parents.values()
    return _place(max(leaves, key=_age)) if leaves else None


def _age(row: Row) -> tuple[str, int, str]:
    return row["created_at"], _place(row).depth, row["id"]


def _above(row: Row) -> Place | None:
    return Place(max(_place(row).depth - 1, 0), row["parent_id"]) if "parent_id" in row else None


def _place(row: Row) -> Place:
    return _parsed(row[SK])


def _parsed(sort_key: str) -> Place:
    order, message_id = parse_message_sk(sort_key)
    return Place(int(order), message_id)

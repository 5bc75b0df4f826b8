"""Deletion: in three steps, each repeatable, so that a crash anywhere leaves something a repeated request finishes.

1. One transaction marks the conversation deleted, takes it out of the list and writes its tombstone. From here it is gone for
   every reader, and persist, which looks for the tombstone, stores nothing more of it: what is deleted stays deleted.
2. The messages go, each answer's checkpoints (its text) before it, so that a crash never loses track of them.
3. META goes last: while it is there, another DELETE finds the rest.

A deletion that takes longer than a request answers 503 with Retry-After, and the next DELETE goes on behind what is gone already:
a message goes as soon as its turn's text has gone, so that a slow table makes for more requests, not for endless ones.

A turn still streaming is asked to stop, and at its end takes away what it wrote until it heard of that (what a killed one wrote
falls to the TTL of a day). The turns' claims stay till then, marked as forgotten: they hold no text, answer as if they were
absent, and keep a repeated POST from being answered again.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from functions.common import keys, times
from functions.common.keys import Key
from functions.common.problems import NotFound, Unavailable
from functions.common.turns import STREAMING
from functions.conversations.store import Store
from functions.conversations.views import Row

_RESERVE_MS: Final = 12_000  # one answer's turn takes five calls: stop with an answer before the function is stopped without one
_STEP: Final = 25  # messages that go in one call
_STEP_MS: Final = 1_000  # what is prepared goes after so long, be it ever so few: on a slow table that is the progress kept
# DynamoDB's TTL deletes "within a few days" of expiry: checkpoints older than this are gone.
_CHECKPOINTS_GONE_AFTER: Final = timedelta(seconds=keys.TURN_TTL_S) + timedelta(days=7)


def delete(store: Store, meta: Row, remaining_ms: Callable[[], int]) -> None:
    """Every item of the conversation goes. Raises NotFound when another request was quicker, Unavailable when time runs out."""
    conversation_id = meta[keys.PK].removeprefix(keys.conversation_pk(""))
    if not store.bury(conversation_id, meta["workspace_id"], times.iso(time.time())):
        raise NotFound
    while rows := store.remains(conversation_id):
        _take_away(store, rows, remaining_ms)
    store.erase_meta(conversation_id)


def _take_away(store: Store, rows: Sequence[Row], remaining_ms: Callable[[], int]) -> None:
    """The rows go, a few at a time. Raises Unavailable when time runs out."""
    ready: list[Key] = []
    began_ms = remaining_ms()
    slowest_ms = 0
    for row in rows:
        before_ms = remaining_ms()
        if before_ms < _RESERVE_MS + slowest_ms:
            store.erase_messages(ready)
            raise Unavailable("The deletion is under way; repeat the request.", headers={"retry-after": "1"})
        _silence_turn(store, row)
        ready.append(Key(row[keys.PK], row[keys.SK]))
        if len(ready) == _STEP or began_ms - remaining_ms() > _STEP_MS:
            store.erase_messages(ready)
            ready, began_ms = [], remaining_ms()
        slowest_ms = max(slowest_ms, before_ms - remaining_ms())
    store.erase_messages(ready)


def _silence_turn(store: Store, row: Row) -> None:
    """The turn that made this answer, if one did, is found no more, is asked to stop, and loses its text."""
    since = datetime.now(UTC) - _CHECKPOINTS_GONE_AFTER
    if "turn_id" not in row or "user_id" not in row or datetime.fromisoformat(row["created_at"]) < since:
        return
    store.forget_turn(row["turn_id"], row["user_id"])  # before its text goes, so that no run adds to it unseen
    if row["status"] == STREAMING:
        store.ask_to_stop(row["turn_id"], row["user_id"])
    if doomed := store.checkpoint_keys(row["turn_id"], row["user_id"]):
        store.erase_checkpoints(doomed)

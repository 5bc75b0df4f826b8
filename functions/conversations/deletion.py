"""Deletion: in three steps, each repeatable, so that a crash anywhere leaves something a repeated request finishes.

1. One transaction marks the conversation deleted, takes it out of the list and writes its tombstone. From here it is gone for
   every reader, and persist, which looks for the tombstone, stores nothing more of it: what is deleted stays deleted.
2. The messages go, each answer's checkpoints (its text) before it, so that a crash never loses track of them.
3. META goes last: while it is there, another DELETE finds the rest.

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

_RESERVE_MS: Final = 3_000  # stop with an answer before the function is stopped without one
# DynamoDB's TTL deletes "within a few days" of expiry: checkpoints older than this are gone.
_CHECKPOINTS_GONE_AFTER: Final = timedelta(seconds=keys.TURN_TTL_S) + timedelta(days=7)


def delete(store: Store, meta: Row, remaining_ms: Callable[[], int]) -> None:
    """Every item of the conversation goes. Raises NotFound when another request was quicker, Unavailable when time runs out."""
    conversation_id = meta[keys.PK].removeprefix(keys.conversation_pk(""))
    if not store.bury(conversation_id, meta["workspace_id"], times.iso(time.time())):
        raise NotFound
    while rows := store.remains(conversation_id):
        if remaining_ms() < _RESERVE_MS:
            raise Unavailable("The deletion is under way; repeat the request.", headers={"retry-after": "1"})
        _silence_turns(store, rows)
        store.erase_messages([Key(row[keys.PK], row[keys.SK]) for row in rows])
    store.erase_meta(conversation_id)


def _silence_turns(store: Store, rows: Sequence[Row]) -> None:
    since = datetime.now(UTC) - _CHECKPOINTS_GONE_AFTER
    for row in rows:
        if "turn_id" not in row or "user_id" not in row or datetime.fromisoformat(row["created_at"]) < since:
            continue
        store.forget_turn(row["turn_id"], row["user_id"])  # before its text goes, so that no run adds to it unseen
        if row["status"] == STREAMING:
            store.ask_to_stop(row["turn_id"], row["user_id"])
        if doomed := store.checkpoint_keys(row["turn_id"], row["user_id"]):
            store.erase_checkpoints(doomed)

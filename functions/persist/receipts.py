"""The receipts persist leaves in the `turns` table: what the turn's reader waits for, and which request owns the turn's id."""

from datetime import datetime
from typing import Final

from functions.common import keys
from functions.common.records import TurnHead
from functions.persist.entries import Tables, Values, What, Write, update

CONVERSATION_NOT_FOUND: Final = "conversation_not_found"
DUPLICATE_TURN: Final = "duplicate_turn"

# One request owns a turn's id: the first to be stored.
_SAME_REQUEST: Final = "(attribute_not_exists(#digest) OR #digest = :digest)"
# A refusal is final, or a turn could be stored by halves.
_OPEN: Final = f"{_SAME_REQUEST} AND attribute_not_exists(#refused)"
# What the turn itself sent is never replaced by a settling: `interrupted` may be its own word too, and only this remembers.
_UNANSWERED: Final = f"{_OPEN} AND attribute_not_exists(#answer_status)"


def receipt(tables: Tables, turn: TurnHead, workspace_id: str, answer_status: str | None = None, settling: bool = False) -> Write:
    """Says where the turn is stored. It stands in the transaction of what it speaks of: never early, never missing.

    Only the turn's beginning names the conversation: an answer may be stored before its question, and a reader sent there then
    would find half a conversation.
    """
    said = {"workspace_id": workspace_id}
    if answer_status is not None:
        said["answer_status"] = answer_status
    if settling:
        return _write(tables, turn, said, _UNANSWERED, ("refused", "answer_status"))
    if answer_status is None:
        said["conversation_id"] = turn.conversation_id
    return _write(tables, turn, said, _OPEN, ("refused",))


def claim(tables: Tables, turn: TurnHead) -> Write:
    """Stands in all but the last transaction of a long record: it keeps other requests out and says nothing yet."""
    return _write(tables, turn, {}, _OPEN, ("refused",))


def refusal(tables: Tables, turn: TurnHead, code: str) -> Write:
    """Says that the turn is not stored, and why: its conversation is not there for this caller (absent, deleted, another
    workspace's, all the same), or one of its messages has the id of another.
    """
    return _write(tables, turn, {"refused": code}, _SAME_REQUEST, ())


def _write(tables: Tables, turn: TurnHead, said: Values, condition: str, names: tuple[str, ...]) -> Write:
    # As long as the turn can be replayed; counted from its start, so that a repeat writes the same.
    expires_at = int(datetime.fromisoformat(turn.started_at).timestamp()) + keys.TURN_TTL_S
    key = keys.Key(keys.turn_pk(turn.turn_id, turn.user_id), keys.RECEIPT)
    replace = {"digest": turn.digest, **said, keys.EXPIRES: expires_at}
    return update(What.RECEIPT, tables.turns, key, keep={}, replace=replace, condition=condition, names=names)

"""The receipts persist leaves in the `turns` table: what the turn's reader waits for, and which request owns the turn's id."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from functions.common import keys
from functions.common.records import Answer, TurnHead
from functions.persist.entries import Tables, Values, What, Write, update

CONVERSATION_NOT_FOUND: Final = "conversation_not_found"
DUPLICATE_TURN: Final = "duplicate_turn"

# One request owns a turn's id: the first to be stored, for as long as its receipt counts. DynamoDB deletes an expired item late:
# one that still lies there fails these conditions, is emptied (`emptied`), and then is as good as absent.
_SAME_REQUEST: Final = "(attribute_not_exists(#digest) OR (#digest = :digest AND #expires_at > :now))"
_EXPIRED: Final = "#expires_at <= :now"
_ALL: Final = ("workspace_id", "conversation_id", "answer_status", "answer_chars", "finish_reason", "error", "usage", "refused")
_OF_A_CLAIM: Final = ("durable", keys.QUEUED, keys.LOST, keys.ANEW, keys.FORGOTTEN)  # what an expired one may say besides
_LATE_S: Final = (
    3600  # how long a receipt counts that is written more than a day after its turn: a record came out of a dead letter
)
# A refusal is final, or a turn could be stored by halves.
_OPEN: Final = f"{_SAME_REQUEST} AND attribute_not_exists(#refused)"
# A run that took the turn over from another one, whose answer was lost, has left its name (turns_table.py).
_OWN_RUN: Final = f"{_OPEN} AND (attribute_not_exists(#owner) OR #owner = :owner)"
_CLAIM_FREE: Final = "attribute_not_exists(#owner) OR #owner = :owner OR #expires_at <= :now"
# What the turn itself sent is never replaced by a settling: `interrupted` may be its own word too, and only this remembers.
_UNANSWERED: Final = f"{_OPEN} AND attribute_not_exists(#answer_status)"


def other_run(item: Mapping[str, Any], turn: TurnHead) -> bool:
    """Whether a claim or a receipt names another run of the turn than the one the record comes from."""
    return turn.owner is not None and keys.OWNER in item and item[keys.OWNER]["S"] != turn.owner


def receipt(tables: Tables, turn: TurnHead, workspace_id: str, answer: Answer | None = None, settling: bool = False) -> Write:
    """Says where the turn is stored, and with its `answer` how it ended. It stands in the transaction of what it speaks of: never
    early, never missing.

    Only the turn's beginning names the conversation: an answer may be stored before its question, and a reader sent there then
    would find half a conversation.
    """
    said: dict[str, str | int] = {"workspace_id": workspace_id}
    if answer is None:
        if not settling:
            said["conversation_id"] = turn.conversation_id
    else:
        said |= {"answer_status": answer.status, "answer_chars": len(answer.content) + len(answer.reasoning)}
        said |= {"finish_reason": answer.finish_reason} if answer.finish_reason is not None else {}
        said |= {"error": answer.error} if answer.error is not None else {}
        said |= {"usage": answer.usage.model_dump_json()} if answer.usage is not None else {}
    if settling:
        return _write(tables, turn, said, _UNANSWERED, ("refused", "answer_status"))
    if answer is not None and turn.owner is not None:
        return _write(tables, turn, said, _OWN_RUN, ("refused", keys.OWNER), {keys.OWNER: turn.owner})
    return _write(tables, turn, said, _OPEN, ("refused",))


def claimed_with_answer(tables: Tables, turn: TurnHead, workspace_id: str, answer: Answer) -> Write:
    """The claim of a run that could not write it: its turn is found, and cannot be answered again."""
    finished = datetime.fromisoformat(answer.finished_at).timestamp()
    claimed: dict[str, str | int] = {
        "digest": turn.digest,
        keys.OWNER: turn.owner or "",
        "status": answer.status,
        "model": turn.model,
        "workspace_id": workspace_id,
        "started_at": turn.started_at,
        "at": int(finished * 1000),
        keys.EXPIRES: _expires_at(turn),
    }
    key = keys.Key(keys.turn_pk(turn.turn_id, turn.user_id), keys.TURN)
    now = {"now": keys.expires_in(0)}
    return update(What.CLAIM, tables.turns, key, keep={}, replace=claimed, drop=_OF_A_CLAIM, condition=_CLAIM_FREE, values=now)


def claim(tables: Tables, turn: TurnHead) -> Write:
    """Stands in all but the last transaction of a long record: it keeps other requests out and says nothing yet."""
    return _write(tables, turn, {}, _OPEN, ("refused",))


def emptied(tables: Tables, turn: TurnHead) -> Write:
    """An expired receipt loses what it says, so that nothing of it is taken for the turn's own."""
    key = keys.Key(keys.turn_pk(turn.turn_id, turn.user_id), keys.RECEIPT)
    drop, now = ("digest", keys.OWNER, *_ALL), {"now": keys.expires_in(0)}
    replace: Values = {keys.EXPIRES: _expires_at(turn)}
    return update(What.RECEIPT, tables.turns, key, keep={}, replace=replace, drop=drop, condition=_EXPIRED, values=now)


def is_expired(item: Mapping[str, Any]) -> bool:
    return keys.EXPIRES in item and int(item[keys.EXPIRES]["N"]) <= keys.expires_in(0)


def refusal(tables: Tables, turn: TurnHead, code: str) -> Write:
    """Says that the turn is not stored, and why: its conversation is not there for this caller (absent, deleted, another
    workspace's, all the same), or one of its messages has the id of another.
    """
    # Never over the word that the turn is answered: then it is another run of it that is refused, and the two share the receipt.
    return _write(
        tables, turn, {"refused": code}, f"{_SAME_REQUEST} AND attribute_not_exists(#answer_status)", ("answer_status",)
    )


def _write(
    tables: Tables, turn: TurnHead, said: Values, condition: str, names: tuple[str, ...], values: Values | None = None
) -> Write:
    key = keys.Key(keys.turn_pk(turn.turn_id, turn.user_id), keys.RECEIPT)
    replace = {"digest": turn.digest, **said, keys.EXPIRES: _expires_at(turn)}
    asked = {"now": keys.expires_in(0), **(values or {})}
    return update(What.RECEIPT, tables.turns, key, keep={}, replace=replace, condition=condition, names=names, values=asked)


def _expires_at(turn: TurnHead) -> int:
    """As long as the turn can be replayed; counted from its start, so that a repeat writes the same. A late record's counts long
    enough for the turn's other records to find it.
    """
    return max(int(datetime.fromisoformat(turn.started_at).timestamp()) + keys.TURN_TTL_S, keys.expires_in(_LATE_S))

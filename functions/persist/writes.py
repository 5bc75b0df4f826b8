"""The single writes that a turn makes in a conversation, each under the condition that settles its races."""

import json
from collections.abc import Mapping
from typing import Any, Final

from functions.common import keys
from functions.common.records import Answer, NewMessage, TurnHead
from functions.common.turns import INTERRUPTED, STREAMING
from functions.persist.entries import Tables, What, Write, check, update

# Which workspace owns a conversation is asked in the very write, so that no race lets a turn into another's.
_OWNED: Final = "#workspace_id = :workspace_id AND attribute_not_exists(#deleted_at)"
_OWNED_NAMES: Final = ("workspace_id", "deleted_at")
# The latest activity wins, whatever the order of arrival. An equal one passes: a repeat changes nothing. Two turns of the same
# millisecond are told apart by the model's name and the answer's key, only so that every order gives the same table.
_SAME_OR_LATER_LEAF: Final = "#model = :model AND (attribute_not_exists(#leaf) OR #leaf <= :leaf)"
_NEWER: Final = f"(#activity < :activity OR (#activity = :activity AND (#model < :model OR ({_SAME_OR_LATER_LEAF}))))"
_TOUCHED: Final = f"{_OWNED} AND {_NEWER}"
_MADE_OR_TOUCHED: Final = f"attribute_not_exists(#workspace_id) OR ({_TOUCHED})"

# A client chooses the ids of its messages and of its turn, which is its answer's. The members of a workspace write to the same
# conversation, so under an id there may lie what another member, or the same one, has stored for something else.
_FREE: Final = "attribute_not_exists(#role)"
# The same message sent again is a repeat. Messages stored before they had a user are anybody's.
_SAME_MESSAGE: Final = "#role = :role AND #content = :content AND (attribute_not_exists(#user_id) OR #user_id = :user_id)"
_FIRST: Final = f"{_FREE} OR ({_SAME_MESSAGE} AND attribute_not_exists(#parent_id))"
_BELOW: Final = f"{_FREE} OR ({_SAME_MESSAGE} AND #parent_id = :parent_id)"

_SAME_DEPTH: Final = "attribute_not_exists(#order_key) OR #order_key = :order_key"

# An answer and its placeholder are their user's and their request's (those of earlier versions do not name the request). An
# answer replaces its placeholder, or what a settling made of it; a repeat, or a settling that comes late, fails here.
_OWN_ANSWER: Final = "#role = :role AND #user_id = :user_id AND (attribute_not_exists(#digest) OR #digest = :digest)"
_PLACE_FREE_OR_OWN: Final = f"{_FREE} OR ({_OWN_ANSWER})"
# A run that begins where another run of the turn has been answered (the turns table had forgotten it) finds the place taken.
_NOT_ANSWERED: Final = f"(#status IN (:{STREAMING}, :{INTERRUPTED}) OR attribute_not_exists(#owner) OR #owner = :owner)"
_PLACE_OF_A_RUN: Final = f"{_FREE} OR ({_OWN_ANSWER} AND {_NOT_ANSWERED})"
_ANSWER_OPEN: Final = f"{_FREE} OR ({_OWN_ANSWER} AND #status IN (:{STREAMING}, :{INTERRUPTED}))"
_PLACEHOLDER_ONLY: Final = f"{_FREE} OR ({_OWN_ANSWER} AND #status = :{STREAMING})"


def tombstone_absent(tables: Tables, turn: TurnHead) -> Write:
    """What is deleted stays deleted: META is gone then, and a late record of its first turn would make it anew."""
    condition, now = f"attribute_not_exists(pk) OR #{keys.EXPIRES} <= :now", {"now": keys.expires_in(0)}
    return check(What.TOMBSTONE, tables.turns, keys.tombstone_key(turn.conversation_id), condition, (keys.EXPIRES,), now)


def meta_touched(tables: Tables, turn: TurnHead, workspace_id: str, updated_at: str) -> Write:
    """META made, if the conversation begins with the turn, and brought to the turn's activity, unless it has seen a later one.

    `leaf` is the sort key of the turn's answer: with it, a reader finds the newest branch without reading the others.
    """
    replace = {"model": turn.model, "updated_at": updated_at, "activity": keys.activity(updated_at, turn.conversation_id)}
    replace["leaf"] = keys.message_sk(turn.depth, turn.turn_id)
    key = keys.meta_key(turn.conversation_id)
    if not turn.new:
        asked, names = {"workspace_id": workspace_id}, _OWNED_NAMES
        return update(
            What.META, tables.conversations, key, keep={}, replace=replace, condition=_TOUCHED, names=names, values=asked
        )
    keep = {"workspace_id": workspace_id, "bud_id": turn.bud_id, "created_at": turn.started_at}
    if turn.title is not None:
        keep["title"] = turn.title
    condition = _MADE_OR_TOUCHED
    return update(What.META, tables.conversations, key, keep=keep, replace=replace, condition=condition, names=("deleted_at",))


def meta_owned(tables: Tables, turn: TurnHead, workspace_id: str) -> Write:
    """META left as it is, only asked: it has seen a later activity than the turn's, or an earlier part of the same record."""
    key = keys.meta_key(turn.conversation_id)
    return check(What.META, tables.conversations, key, _OWNED, _OWNED_NAMES, {"workspace_id": workspace_id})


def message_id(tables: Tables, turn: TurnHead, depth: int, message_id: str) -> Write:
    """The one depth of an id in its conversation. The depth is in a message's key, and comes from the client as the id does:
    without this, one id could stand twice, and a client, which finds messages by id, would show one and hide the other.
    """
    key = keys.message_id_key(turn.conversation_id, message_id)
    keep = {"order_key": keys.order_key(depth)}
    return update(What.MESSAGE_ID, tables.conversations, key, keep=keep, replace={}, condition=_SAME_DEPTH)


def answer_id(tables: Tables, turn: TurnHead) -> Write:
    """The same for the answer's id, which is the turn's."""
    return message_id(tables, turn, turn.depth, turn.turn_id)


def message(tables: Tables, turn: TurnHead, new: NewMessage) -> Write:
    """A message as it first came. A repeat changes nothing; a late user message cannot overwrite an answer.

    An id that names another message there fails the transaction: the answer would stand under a question nobody asked.
    """
    keep = {"id": new.id, "role": new.role, "content": new.content, "status": "complete", "created_at": turn.started_at}
    keep |= {"user_id": turn.user_id, "updated_at": turn.started_at}
    if new.parent_id is not None:
        keep["parent_id"] = new.parent_id
    if new.meta:
        keep["meta"] = json.dumps(new.meta, ensure_ascii=False, separators=(",", ":"))
    key = keys.message_key(turn.conversation_id, new.depth, new.id)
    condition, names = (_FIRST, ("parent_id",)) if new.parent_id is None else (_BELOW, ())
    return update(What.MESSAGE, tables.conversations, key, keep=keep, replace={}, condition=condition, names=names)


def placeholder(tables: Tables, turn: TurnHead) -> Write:
    """The answer's place, until the answer comes; it changes nothing when that was here first. Another's place fails it."""
    keep = {**_head_of_answer(turn), "status": STREAMING, "updated_at": turn.started_at}
    key = _answer_key(turn)
    if turn.owner is None:  # of a version that did not name its runs
        return update(What.MESSAGE, tables.conversations, key, keep=keep, replace={}, condition=_PLACE_FREE_OR_OWN)
    asked = {STREAMING: STREAMING, INTERRUPTED: INTERRUPTED, keys.OWNER: turn.owner}
    names = (keys.OWNER,)
    return update(
        What.MESSAGE, tables.conversations, key, keep=keep, replace={}, condition=_PLACE_OF_A_RUN, names=names, values=asked
    )


def answer(tables: Tables, turn: TurnHead, ended: Answer, placeholder_only: bool = False, updated_at: str | None = None) -> Write:
    """The answer as it ended, every part of an earlier ending replaced or removed. `updated_at` is by default when it ended.

    `placeholder_only` is a settling that knows nothing: it must not take the place of one that knew the text.
    """
    parts = {
        "error": ended.error,
        "finish_reason": ended.finish_reason,
        "reasoning": ended.reasoning or None,
        "usage": ended.usage.model_dump_json() if ended.usage else None,
    }
    replace: dict[str, str] = {"status": ended.status, "content": ended.content, "updated_at": updated_at or ended.finished_at}
    replace |= {name: part for name, part in parts.items() if part is not None}
    if turn.owner is not None:
        replace[keys.OWNER] = turn.owner
    return update(
        What.ANSWER,
        tables.conversations,
        _answer_key(turn),
        keep=_head_of_answer(turn),
        replace=replace,
        drop=tuple(name for name, part in parts.items() if part is None),
        condition=_PLACEHOLDER_ONLY if placeholder_only else _ANSWER_OPEN,
        values={STREAMING: STREAMING} if placeholder_only else {STREAMING: STREAMING, INTERRUPTED: INTERRUPTED},
    )


def is_own_answer(item: Mapping[str, Any], turn: TurnHead) -> bool:
    """Whether the item that an answer met is an answer to the same request of the same user, and not another run's."""
    if item.get("role") != {"S": "assistant"} or item.get("user_id") != {"S": turn.user_id}:
        return False
    if "digest" in item and item["digest"] != {"S": turn.digest}:
        return False
    is_open = item.get("status") in ({"S": STREAMING}, {"S": INTERRUPTED})
    return is_open or turn.owner is None or item.get(keys.OWNER, {"S": turn.owner}) == {"S": turn.owner}


def _answer_key(turn: TurnHead) -> keys.Key:
    return keys.message_key(turn.conversation_id, turn.depth, turn.turn_id)


def _head_of_answer(turn: TurnHead) -> dict[str, str]:
    who = {"turn_id": turn.turn_id, "user_id": turn.user_id, "digest": turn.digest}
    head = {"id": turn.turn_id, "role": "assistant", "created_at": turn.started_at, **who}
    return head if turn.parent_id is None else {**head, "parent_id": turn.parent_id}

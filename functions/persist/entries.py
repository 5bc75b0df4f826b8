"""Entries of a DynamoDB transaction, made by hand: attribute values without a serialiser, expressions once per shape.

This is where persist would otherwise spend most of its CPU.
"""

from collections.abc import Mapping
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple, NotRequired, TypedDict

from functions.common import keys
from functions.common.variables import current, required

if TYPE_CHECKING:
    from types_boto3_dynamodb.literals import ReturnValuesOnConditionCheckFailureType
    from types_boto3_dynamodb.type_defs import (
        ConditionCheckTypeDef,
        TransactWriteItemTypeDef,
        UniversalAttributeValueTypeDef,
        UpdateTypeDef,
    )

Values = Mapping[str, str | int]

_OVERHEAD_BYTES: Final = 1024  # keys, ids, names and expressions of an entry, generously


class What(Enum):
    """What a write is for: its condition failing means something else for each."""

    TOMBSTONE = "tombstone"
    META = "meta"
    MESSAGE_ID = "message_id"
    MESSAGE = "message"
    ANSWER = "answer"
    CLAIM = "claim"
    RECEIPT = "receipt"
    USAGE = "usage"


# The items that a failed condition is to show. An answer can be long, but one that fails is rare.
_SHOWN: Final = (What.META, What.RECEIPT, What.ANSWER)


class Tables(NamedTuple):
    """The names of the two tables."""

    conversations: str
    turns: str

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Tables":
        """Raises ValueError with a sentence that names the variable at fault."""
        env = current(env)
        return cls(required(env, "CHAT_CONVERSATIONS_TABLE"), required(env, "CHAT_TURNS_TABLE"))


class Write(NamedTuple):
    """One entry of a transaction, the key it takes up there, and about how many bytes it is."""

    what: What
    key: keys.Key
    entry: "TransactWriteItemTypeDef"
    size: int


def update(
    what: What,
    table: str,
    key: keys.Key,
    *,
    keep: Values,
    replace: Values,
    drop: tuple[str, ...] = (),
    condition: str | None = None,
    names: tuple[str, ...] = (),
    values: Values | None = None,
) -> Write:
    """An Update: `keep` is set where nothing is yet, `replace` always, `drop` removed. `names` and `values` serve the condition.

    Every name is an alias, `#name`: the words DynamoDB reserves are many.
    """
    shape = _shape(tuple(keep), tuple(replace), drop, names, condition, what in _SHOWN)
    asked, size = _values({**keep, **replace, **values} if values else {**keep, **replace})
    entry: UpdateTypeDef = {**shape, "TableName": table, "Key": _key(key), "ExpressionAttributeValues": asked}
    return Write(what, key, {"Update": entry}, size)


def add(what: What, table: str, key: keys.Key, sums: Mapping[str, int], replace: Values) -> Write:
    """An Update that adds to numbers, from 0 where there is none yet. Alone it must never be repeated: it needs a write beside it
    whose condition tells a repeat.
    """
    asked, size = _values({**sums, **replace})
    shape = _added(tuple(sums), tuple(replace))
    entry: UpdateTypeDef = {**shape, "TableName": table, "Key": _key(key), "ExpressionAttributeValues": asked}
    return Write(what, key, {"Update": entry}, size)


def check(
    what: What, table: str, key: keys.Key, condition: str, names: tuple[str, ...] = (), values: Values | None = None
) -> Write:
    """A ConditionCheck: changes nothing, and cancels the transaction when the condition does not hold."""
    entry: ConditionCheckTypeDef = {
        "TableName": table,
        "Key": _key(key),
        "ConditionExpression": condition,
        "ReturnValuesOnConditionCheckFailure": _told(what in _SHOWN),
    }
    if names:
        entry["ExpressionAttributeNames"] = _aliases(names)
    if values:
        entry["ExpressionAttributeValues"], _ = _values(values)
    return Write(what, key, {"ConditionCheck": entry}, _OVERHEAD_BYTES)


def _told(shown: bool) -> "ReturnValuesOnConditionCheckFailureType":
    """What to be told of the item when the condition fails: all of it where that decides what comes next."""
    return "ALL_OLD" if shown else "NONE"


class _Shape(TypedDict):
    """The part of an Update that is the same for all with the same attributes."""

    UpdateExpression: str
    ExpressionAttributeNames: dict[str, str]
    ConditionExpression: NotRequired[str]
    ReturnValuesOnConditionCheckFailure: NotRequired["ReturnValuesOnConditionCheckFailureType"]


@lru_cache(maxsize=256)
def _shape(
    keep: tuple[str, ...],
    replace: tuple[str, ...],
    drop: tuple[str, ...],
    names: tuple[str, ...],
    condition: str | None,
    shown: bool,
) -> _Shape:
    sets = [f"#{name} = if_not_exists(#{name}, :{name})" for name in keep] + [f"#{name} = :{name}" for name in replace]
    expression = "SET " + ", ".join(sets)
    if drop:
        expression += " REMOVE " + ", ".join(f"#{name}" for name in drop)
    shape: _Shape = {"UpdateExpression": expression, "ExpressionAttributeNames": _aliases((*keep, *replace, *drop, *names))}
    if condition is not None:
        shape |= {"ConditionExpression": condition, "ReturnValuesOnConditionCheckFailure": _told(shown)}
    return shape


@lru_cache(maxsize=16)
def _added(sums: tuple[str, ...], replace: tuple[str, ...]) -> _Shape:
    added, replaced = ", ".join(f"#{name} :{name}" for name in sums), ", ".join(f"#{name} = :{name}" for name in replace)
    return {"UpdateExpression": f"SET {replaced} ADD {added}", "ExpressionAttributeNames": _aliases((*sums, *replace))}


def _aliases(names: tuple[str, ...]) -> dict[str, str]:
    return {f"#{name}": name for name in names}


def _key(key: keys.Key) -> "dict[str, UniversalAttributeValueTypeDef]":
    return {keys.PK: {"S": key.pk}, keys.SK: {"S": key.sk}}


def _values(asked: Values) -> "tuple[dict[str, UniversalAttributeValueTypeDef], int]":
    """The values under their aliases, and about how many bytes the entry is with them."""
    told: dict[str, UniversalAttributeValueTypeDef] = {}
    size = _OVERHEAD_BYTES
    for name, value in asked.items():
        if isinstance(value, str):
            told[f":{name}"] = {"S": value}
            size += len(value) if value.isascii() else len(value.encode())
        else:
            told[f":{name}"] = {"N": str(value)}
    return told, size

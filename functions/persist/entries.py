"""Entries of a DynamoDB transaction, made by hand: attribute values without a serialiser, expressions once per shape.

This is where persist would otherwise spend most of its CPU.
"""

from collections.abc import Mapping
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from functions.common import keys

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
    MESSAGE = "message"
    ANSWER = "answer"
    RECEIPT = "receipt"
    USAGE = "usage"


class Tables(NamedTuple):
    """The names of the two tables."""

    conversations: str
    turns: str

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Tables":
        return cls(env["CONVERSATIONS_TABLE"], env["TURNS_TABLE"])


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
    expression, aliases = _expression(tuple(keep), tuple(replace), drop, names)
    asked = {**keep, **replace, **(values or {})}
    entry: UpdateTypeDef = {
        "TableName": table,
        "Key": _key(key),
        "UpdateExpression": expression,
        "ExpressionAttributeNames": aliases,
        "ExpressionAttributeValues": {f":{name}": _value(value) for name, value in asked.items()},
    }
    if condition is not None:
        entry["ConditionExpression"] = condition
        entry["ReturnValuesOnConditionCheckFailure"] = _shown(what)
    return Write(what, key, {"Update": entry}, _OVERHEAD_BYTES + sum(map(_bytes, asked.values())))


def add(what: What, table: str, key: keys.Key, sums: Mapping[str, int], replace: Values) -> Write:
    """An Update that adds to numbers, from 0 where there is none yet. Alone it must never be repeated: it needs a write beside it
    whose condition tells a repeat.
    """
    entry: UpdateTypeDef = {
        "TableName": table,
        "Key": _key(key),
        "UpdateExpression": _added(tuple(sums), tuple(replace)),
        "ExpressionAttributeNames": {f"#{name}": name for name in (*sums, *replace)},
        "ExpressionAttributeValues": {f":{name}": _value(value) for name, value in {**sums, **replace}.items()},
    }
    return Write(what, key, {"Update": entry}, _OVERHEAD_BYTES)


def check(
    what: What, table: str, key: keys.Key, condition: str, names: tuple[str, ...] = (), values: Values | None = None
) -> Write:
    """A ConditionCheck: changes nothing, and cancels the transaction when the condition does not hold."""
    entry: ConditionCheckTypeDef = {
        "TableName": table,
        "Key": _key(key),
        "ConditionExpression": condition,
        "ReturnValuesOnConditionCheckFailure": _shown(what),
    }
    if names:
        entry["ExpressionAttributeNames"] = {f"#{name}": name for name in names}
    if values:
        entry["ExpressionAttributeValues"] = {f":{name}": _value(value) for name, value in values.items()}
    return Write(what, key, {"ConditionCheck": entry}, _OVERHEAD_BYTES)


def _shown(what: What) -> "ReturnValuesOnConditionCheckFailureType":
    """What to be told of the item when the condition fails: all of a small one whose reason matters, nothing of a long text."""
    return "ALL_OLD" if what in {What.META, What.RECEIPT} else "NONE"


@lru_cache(maxsize=256)
def _expression(
    keep: tuple[str, ...], replace: tuple[str, ...], drop: tuple[str, ...], names: tuple[str, ...]
) -> tuple[str, dict[str, str]]:
    sets = [f"#{name} = if_not_exists(#{name}, :{name})" for name in keep] + [f"#{name} = :{name}" for name in replace]
    expression = "SET " + ", ".join(sets)
    if drop:
        expression += " REMOVE " + ", ".join(f"#{name}" for name in drop)
    return expression, {f"#{name}": name for name in (*keep, *replace, *drop, *names)}


@lru_cache(maxsize=16)
def _added(sums: tuple[str, ...], replace: tuple[str, ...]) -> str:
    added, replaced = ", ".join(f"#{name} :{name}" for name in sums), ", ".join(f"#{name} = :{name}" for name in replace)
    return f"SET {replaced} ADD {added}"


def _key(key: keys.Key) -> "dict[str, UniversalAttributeValueTypeDef]":
    return {keys.PK: {"S": key.pk}, keys.SK: {"S": key.sk}}


def _value(value: str | int) -> "UniversalAttributeValueTypeDef":
    return {"S": value} if isinstance(value, str) else {"N": str(value)}


def _bytes(value: str | int) -> int:
    if not isinstance(value, str):
        return 8
    return len(value) if value.isascii() else len(value.encode())

"""DynamoDB as a meter: an in-memory table of the calls this product makes, which counts what AWS would bill.

Conditions are taken as met, for a turn that meets no race. An expression of a kind that the code does not use today raises:
the meter never guesses.

How units are counted (DynamoDB developer guide, "Capacity unit consumption", "DynamoDB transactions: how it works"): a write is
one unit per 1 KB of the item, the larger of before and after; a strongly consistent read one per 4 KB, an eventually consistent
one half of that; a query rounds up the sum of its items; a transaction doubles its writes, a condition check included. A changed
key of an index is two writes to the index, a changed attribute or a new entry one, at the plain price.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Final

from infra.resources import Index, Table

Item = dict[str, Any]
KIB: Final = 1024
_READ_BYTES: Final = 4 * KIB
_TRANSACTION: Final = 2
_CLAUSE: Final = re.compile(r"\b(SET|ADD|REMOVE|DELETE)\b")
_KEEP: Final = re.compile(r"if_not_exists\((\S+), (\S+)\)")


@dataclass(slots=True)
class Usage:
    """What a table was asked, in calls on items and in request units."""

    reads: int = 0
    read_units: float = 0.0
    writes: int = 0
    write_units: int = 0
    index_write_units: int = 0

    def add(self, other: "Usage", times: int = 1) -> None:
        self.reads += other.reads * times
        self.read_units += other.read_units * times
        self.writes += other.writes * times
        self.write_units += other.write_units * times
        self.index_write_units += other.index_write_units * times


@dataclass(slots=True)
class Meter:
    """What one party did: calls over the network, and usage by table."""

    calls: int = 0
    usage: dict[str, Usage] = field(default_factory=dict)

    def of(self, table: str) -> Usage:
        return self.usage.setdefault(table, Usage())


class MeteredTables:
    """Takes the place of DynamoDB, with a method for each operation. `meter` is where the next calls are counted."""

    def __init__(self, specs: Iterable[Table]) -> None:
        self.meter = Meter()
        self._specs = {spec.name: spec for spec in specs}
        self._items: dict[str, dict[tuple[str, str], Item]] = {name: {} for name in self._specs}

    def put_item(self, **call: Any) -> Mapping[str, Any]:
        self.meter.calls += 1
        self._put(call)
        return {}

    def update_item(self, **call: Any) -> Mapping[str, Any]:
        self.meter.calls += 1
        return {"Attributes": self._update(call)}

    def transact_write_items(self, **call: Any) -> Mapping[str, Any]:
        self.meter.calls += 1
        for entry in call["TransactItems"]:
            ((kind, action),) = entry.items()
            match kind:
                case "Put":
                    self._put(action, _TRANSACTION)
                case "Update":
                    self._update(action, _TRANSACTION)
                case "ConditionCheck":
                    self._check(action, _TRANSACTION)
                case _:
                    raise ValueError(f"{kind} in a transaction is not metered")
        return {}

    def batch_get_item(self, RequestItems: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: N803 - DynamoDB's name
        self.meter.calls += 1
        found: dict[str, list[Item]] = {}
        for table, asked in RequestItems.items():
            items = [self._items[table].get(self._key(table, key)) for key in asked["Keys"]]
            for item in items:
                self._read(table, size_of(item or {}), consistent=asked["ConsistentRead"])
            found[table] = [item for item in items if item]
        return {"Responses": found, "UnprocessedKeys": {}}

    def query(self, **call: Any) -> Mapping[str, Any]:
        self.meter.calls += 1
        table, spec = call["TableName"], self._specs[call["TableName"]]
        values = {name: value["S"] for name, value in call["ExpressionAttributeValues"].items()}
        low, high = _range(call["KeyConditionExpression"], values)
        rows = [item for (pk, sk), item in self._items[table].items() if pk == values[":pk"] and low <= sk <= high]
        rows.sort(key=lambda item: str(item[spec.sort_key]["S"]), reverse=not call.get("ScanIndexForward", True))
        rows = rows[: call.get("Limit")]
        self._read(table, sum(map(size_of, rows)), consistent=call.get("ConsistentRead", False))
        return {"Items": rows}

    def stored_bytes(self, table: str) -> int:
        """What lies in the table."""
        return sum(map(size_of, self._items[table].values()))

    def _put(self, call: Mapping[str, Any], times: int = 1) -> None:
        self._write(call["TableName"], dict(call["Item"]), times)

    def _update(self, call: Mapping[str, Any], times: int = 1) -> Item:
        table = call["TableName"]
        item = dict(self._items[table].get(self._key(table, call["Key"]), call["Key"]))
        names, values = call.get("ExpressionAttributeNames", {}), call.get("ExpressionAttributeValues", {})
        for verb, parts in _clauses(call["UpdateExpression"]):
            for part in parts:
                _apply(item, verb, part, names, values)
        self._write(table, item, times)
        return item

    def _check(self, call: Mapping[str, Any], times: int) -> None:
        table = call["TableName"]
        self._count(table, size_of(self._items[table].get(self._key(table, call["Key"]), {})), times)

    def _write(self, table: str, item: Item, times: int) -> None:
        spec = self._specs[table]
        key = self._key(table, item)
        before = self._items[table].get(key, {})
        self._count(table, max(size_of(before), size_of(item)), times)
        for index in spec.indexes:
            self.meter.of(table).index_write_units += _index_units(index, before, item)
        self._items[table][key] = item

    def _count(self, table: str, size: int, times: int) -> None:
        usage = self.meter.of(table)
        usage.writes += 1
        usage.write_units += times * max(1, ceil(size / KIB))

    def _read(self, table: str, size: int, *, consistent: bool) -> None:
        usage = self.meter.of(table)
        usage.reads += 1
        usage.read_units += max(1, ceil(size / _READ_BYTES)) * (1.0 if consistent else 0.5)

    def _key(self, table: str, item: Mapping[str, Any]) -> tuple[str, str]:
        spec = self._specs[table]
        return str(item[spec.partition_key]["S"]), str(item[spec.sort_key]["S"])


def size_of(item: Mapping[str, Any]) -> int:
    """Bytes of an item (guide, "DynamoDB item sizes"): names and strings in UTF-8, a number about a byte per two digits."""
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def _value_bytes(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            return ceil(len(content.strip("-0.")) / 2) + 1
        case "SS":
            return 3 + sum(1 + len(text.encode()) for text in content)
        case "BOOL":
            return 1
    raise ValueError(f"an attribute of type {kind} is not metered")


def _index_units(index: Index, before: Item, after: Item) -> int:
    was, now = (_entry(index, item) for item in (before, after))
    size = max(size_of(before), size_of(after))
    if was == now and (now is None or before == after):
        return 0
    times = 2 if was is not None and now is not None and was != now else 1
    return times * max(1, ceil(size / KIB))


def _entry(index: Index, item: Item) -> tuple[str, str] | None:
    names = (index.partition_key, index.sort_key)
    return (item[names[0]]["S"], item[names[1]]["S"]) if all(name in item for name in names) else None


def _range(condition: str, values: Mapping[str, str]) -> tuple[str, str]:
    """The first and the last sort key a condition lets through."""
    if condition == "pk = :pk":
        return "", "\uffff"
    if found := re.fullmatch(r"pk = :pk AND sk BETWEEN (\S+) AND (\S+)", condition):
        return values[found[1]], values[found[2]]
    if found := re.fullmatch(r"pk = :pk AND sk >= (\S+)", condition):
        return values[found[1]], "\uffff"
    raise ValueError(f"a condition of a kind that is not metered: {condition}")


def _clauses(expression: str) -> Iterable[tuple[str, list[str]]]:
    _, *pieces = _CLAUSE.split(expression)
    for verb, body in zip(pieces[::2], pieces[1::2], strict=True):
        yield verb, [part.strip() for part in re.split(r",(?![^(]*\))", body)]


def _apply(item: Item, verb: str, part: str, names: Mapping[str, str], values: Mapping[str, Any]) -> None:
    name, _, value = part.partition(" = ") if verb == "SET" else part.partition(" ")
    name = names.get(name, name)
    match verb:
        case "SET" if kept := _KEEP.fullmatch(value):
            item.setdefault(name, values[kept[2]])
        case "SET":
            item[name] = values[value]
        case "REMOVE":
            item.pop(name, None)
        case "ADD" if "N" in values[value]:
            item[name] = {"N": str(int(item.get(name, {"N": "0"})["N"]) + int(values[value]["N"]))}
        case "ADD":
            item[name] = {"SS": sorted({*item.get(name, {"SS": []})["SS"], *values[value]["SS"]})}
        case "DELETE":
            left = sorted(set(item.get(name, {"SS": []})["SS"]) - set(values[value]["SS"]))
            item[name] = {"SS": left}
            if not left:
                del item[name]

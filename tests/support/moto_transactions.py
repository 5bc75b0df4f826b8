"""moto's transactions at a price that does not grow with the table.

moto (5.2) prepares the undoing of a transaction by a deep copy of the whole table, once for each item in it: 100 messages into a
table of 500 are 100 copies of 500 items. Here the copy is shallow, and deep only for the items that the transaction names.
"""

import copy
from collections import defaultdict
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, Final

from moto.dynamodb import models
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table

from tests.support import moto_expressions

_MOTO: Final = DynamoDBBackend.transact_write_items


def install() -> None:
    """From here on every transaction of this process is undone from such a copy. Transactions must not run side by side."""
    moto_expressions.install()
    DynamoDBBackend.transact_write_items = _transact_write_items  # type: ignore[assignment, method-assign]


def _transact_write_items(backend: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
    kept: dict[int, Table] = {}  # every copy is taken before the first write: one a table is enough

    def deepcopy(value: Any, memo: Any = None) -> Any:
        if not isinstance(value, Table):
            return copy.deepcopy(value, memo)
        if id(value) not in kept:
            kept[id(value)] = _copy(value, [op for item in transact_items for op in item.values()])
        return kept[id(value)]

    module: Any = models
    module.copy = SimpleNamespace(deepcopy=deepcopy, copy=copy.copy)
    try:
        _MOTO(backend, transact_items)
    finally:
        module.copy = copy


def _copy(table: Table, operations: Sequence[dict[str, Any]]) -> Table:
    """The table as it is now, for as long as only the items that the operations name are changed."""
    if table.range_key_attr is None:
        return copy.deepcopy(table)
    twin = copy.copy(table)
    rows: Any = defaultdict(dict)
    rows.update({hash_key: dict(row) for hash_key, row in table.items.items()})
    for operation in operations:
        named = operation.get("Key") or operation.get("Item") or {}
        if operation.get("TableName") != table.name or not {table.hash_key_attr, table.range_key_attr} <= named.keys():
            continue
        row = rows.get(DynamoType(named[table.hash_key_attr]), {})
        range_key = DynamoType(named[table.range_key_attr])
        if range_key in row:
            row[range_key] = copy.deepcopy(row[range_key])
    twin.items = rows
    return twin

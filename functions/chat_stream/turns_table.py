"""What the streaming function writes to the `turns` table and asks of it: claims, checkpoints, stops, receipts."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from functions.common import keys, turns
from functions.common.aws import DYNAMODB, Aws, ConditionFailed, TransactionCanceled, items_of
from functions.common.events import Event, joined, log_row
from functions.common.ids import new_id
from functions.common.records import TurnHead

MOST_CHARS: Final = 60_000  # of text in one item, at most 6 bytes each, as JSON: DynamoDB takes 400 KB


@dataclass(frozen=True, slots=True)
class News:
    """What another party left for a running turn: persist's receipt, a request to stop."""

    conversation_id: str | None
    refused: str | None
    stop_requested: bool


@dataclass(frozen=True, slots=True)
class Claimed:
    """Whose turn it is: ours (`mine`), or another run's of the same request (`same`) or of another one."""

    mine: bool
    same: bool


class TurnsTable:
    """The port to the table. Every method raises StorageUnavailable when the table does not do as asked, in time."""

    def __init__(self, aws: Aws, table: str) -> None:
        self._aws = aws
        self._table = table

    async def claim(self, head: TurnHead, owner: str) -> Claimed:
        """Makes the turn this run's own, unless it is another's.

        The condition settles the race of a turn posted twice: one put wins, wherever the two run. `owner` names this run, so
        that a put whose reply was lost is not mistaken for another's.
        """
        item = self._item(head.turn_id, head.user_id, keys.TURN) | {
            "status": {"S": turns.STREAMING},
            "digest": {"S": head.digest},
            "owner": {"S": owner},
            "model": {"S": head.model},
            "started_at": {"S": head.started_at},
            "at": _now_ms(),
            "durable": {"BOOL": False},
        }
        if head.workspace_id is not None:
            item["workspace_id"] = {"S": head.workspace_id}

        try:
            await self._aws.call(
                DYNAMODB,
                "PutItem",
                {
                    "TableName": self._table,
                    "Item": item,
                    # An expired claim may lie there for days; it is as good as none.
                    "ConditionExpression": "attribute_not_exists(pk) OR expires_at <= :now OR #owner = :owner",
                    "ExpressionAttributeNames": {"#owner": "owner"},
                    "ExpressionAttributeValues": {":now": {"N": str(keys.expires_in(0))}, ":owner": {"S": owner}},
                    "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                },
            )
        except ConditionFailed as error:
            return Claimed(mine=False, same=error.item.get("digest") == {"S": head.digest})
        return Claimed(mine=True, same=True)

    async def withdraw(self, head: TurnHead, owner: str) -> None:
        """Takes the claim back: an expired one is as good as none, so the same turn may be sent again."""
        await self._update(
            {
                "Key": self._key(head.turn_id, head.user_id, keys.TURN),
                "UpdateExpression": "SET expires_at = :now",
                # By then it may be another run's.
                "ConditionExpression": "#owner = :owner",
                "ExpressionAttributeNames": {"#owner": "owner"},
                "ExpressionAttributeValues": {":now": {"N": str(keys.expires_in(0))}, ":owner": {"S": owner}},
            }
        )

    async def checkpoint(self, head: TurnHead, first: int, events: Sequence[Event]) -> None:
        """Adds events to the turn's log; the first of them has the id `first`."""
        await self._write(self._puts(head, first, events))

    async def heartbeat(self, head: TurnHead) -> None:
        """A sign of life while the model is silent."""
        await self._update(
            {
                "Key": self._key(head.turn_id, head.user_id, keys.TURN),
                "UpdateExpression": "SET #at = :at",
                "ConditionExpression": "attribute_exists(pk)",
                "ExpressionAttributeNames": {"#at": "at"},
                "ExpressionAttributeValues": {":at": _now_ms()},
            }
        )

    async def seal(self, head: TurnHead, first: int, events: Sequence[Event], status: str, durable: bool) -> None:
        """Adds the last events and the final status, together: whoever sees the one sees the other.

        A turn whose conversation was deleted meanwhile gets neither, and its log goes.
        """
        *earlier, last = self._puts(head, first, events)
        update = {
            "TableName": self._table,
            "Key": self._key(head.turn_id, head.user_id, keys.TURN),
            "UpdateExpression": "SET #status = :status, durable = :durable, #at = :at",
            "ConditionExpression": "attribute_exists(pk) AND attribute_not_exists(#forgotten)",
            "ExpressionAttributeNames": {"#status": "status", "#at": "at", "#forgotten": keys.FORGOTTEN},
            "ExpressionAttributeValues": {":status": {"S": status}, ":durable": {"BOOL": durable}, ":at": _now_ms()},
        }
        await self._write(earlier)
        try:
            # The token: whoever repeats a transaction that was carried out is told so.
            transaction = {"TransactItems": [{"Put": _as_put(last)}, {"Update": update}], "ClientRequestToken": new_id()}
            await self._aws.call(DYNAMODB, "TransactWriteItems", transaction)
        except TransactionCanceled as error:
            if "ConditionalCheckFailed" not in error.codes:
                raise
            await self._erase_log(head)

    async def _erase_log(self, head: TurnHead) -> None:
        for item in await self._aws.query(DYNAMODB, turns.checkpoint_keys_query(self._table, head.turn_id, head.user_id)):
            key = {name: item[name] for name in (keys.PK, keys.SK)}
            await self._aws.call(DYNAMODB, "DeleteItem", {"TableName": self._table, "Key": key})

    async def news(self, head: TurnHead) -> News:
        """The receipt and the stop flag: one small read, eventually consistent (half the price, and it is asked again)."""

        page = await self._aws.call(
            DYNAMODB,
            "Query",
            {
                "TableName": self._table,
                "KeyConditionExpression": "pk = :pk AND sk BETWEEN :receipt AND :stop",
                "ExpressionAttributeValues": {
                    ":pk": {"S": keys.turn_pk(head.turn_id, head.user_id)},
                    ":receipt": {"S": keys.RECEIPT},
                    ":stop": {"S": keys.STOP},
                },
            },
        )
        found = {item["sk"]["S"]: item for item in items_of(page)}
        receipt = found.get(keys.RECEIPT, {})
        # A receipt of another request under the same id says nothing about this one.
        if receipt.get("digest", {}).get("S") != head.digest:
            receipt = {}
        return News(_text(receipt, "conversation_id"), _text(receipt, "refused"), keys.STOP in found)

    async def stop(self, turn_id: str, user_id: str) -> None:
        """Leaves a request to stop; the running turn sees it at its next look, within a second."""
        item = self._item(turn_id, user_id, keys.STOP) | {"at": _now_ms()}
        await self._aws.call(DYNAMODB, "PutItem", {"TableName": self._table, "Item": item})

    async def status(self, turn_id: str, user_id: str) -> turns.TurnView | None:
        page = await self._aws.call(DYNAMODB, "Query", turns.status_query(self._table, turn_id, user_id))
        return turns.view(items_of(page))

    async def read(self, turn_id: str, user_id: str, first: int = 0) -> turns.TurnView | None:
        """The turn with its checkpoints, or only those from the one on that begins with event `first`."""
        return turns.view(await self._aws.query(DYNAMODB, turns.turn_query(self._table, turn_id, user_id, first)))

    async def _write(self, puts: Sequence[Mapping[str, Any]]) -> None:
        """One after the other; one that meets a longer run of the same events leaves it."""
        for put in puts:
            with suppress(ConditionFailed):
                await self._aws.call(DYNAMODB, "PutItem", put)

    async def _update(self, update: Mapping[str, Any]) -> None:
        await self._aws.call(DYNAMODB, "UpdateItem", {"TableName": self._table, **update})

    def _puts(self, head: TurnHead, first: int, events: Sequence[Event]) -> list[dict[str, Any]]:
        return [
            {
                "TableName": self._table,
                "Item": self._item(head.turn_id, head.user_id, keys.events_sk(number))
                | {"events": {"S": joined(run)}, "last": {"N": str(number + len(run) - 1)}, "at": _now_ms()},
                # A put that timed out may still land, after the longer one that replaced it.
                "ConditionExpression": "attribute_not_exists(pk) OR #last < :last",
                "ExpressionAttributeNames": {"#last": "last"},
                "ExpressionAttributeValues": {":last": {"N": str(number + len(run) - 1)}},
            }
            for number, run in _runs(first, [log_row(event) for event in events])
        ]

    def _key(self, turn_id: str, user_id: str, sk: str) -> dict[str, Any]:
        return {keys.PK: {"S": keys.turn_pk(turn_id, user_id)}, keys.SK: {"S": sk}}

    def _item(self, turn_id: str, user_id: str, sk: str) -> dict[str, Any]:
        return self._key(turn_id, user_id, sk) | {keys.EXPIRES: {"N": str(keys.expires_in(keys.TURN_TTL_S))}}


def new_owner() -> str:
    """A name for one run of a turn."""
    return new_id()


def _runs(first: int, rows: Sequence[str]) -> list[tuple[int, Sequence[str]]]:
    """A log's rows cut into runs that each fit an item, with the id of each run's first event."""
    runs: list[tuple[int, Sequence[str]]] = []
    begin = size = 0
    for index, row in enumerate(rows):
        if size and size + len(row) > MOST_CHARS:
            runs.append((first + begin, rows[begin:index]))
            begin, size = index, 0
        size += len(row)
    return [*runs, (first + begin, rows[begin:])]


def _as_put(put: Mapping[str, Any]) -> dict[str, Any]:
    """A put inside a transaction. Its condition would cancel the final status too, and nothing follows it: it has none."""
    return {name: put[name] for name in ("TableName", "Item")}


def _now_ms() -> dict[str, str]:
    return {"N": str(int(time.time() * 1000))}


def _text(item: Any, name: str) -> str | None:
    return item[name]["S"] if name in item else None

"""What the streaming function writes to the `turns` table and asks of it: claims, checkpoints, stops, receipts."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, NamedTuple

from functions.common import keys, turns
from functions.common.aws import DYNAMODB, Aws, ConditionFailed, TransactionCanceled, items_of
from functions.common.events import Event, joined, log_row
from functions.common.ids import new_id
from functions.common.records import TurnHead

MOST_CHARS: Final = 60_000  # of text in one item, at most 6 bytes each, as JSON: DynamoDB takes 400 KB


@dataclass(frozen=True, slots=True)
class News:
    """What another party left for a running turn: persist's receipt, a request to stop, another run's claim (`taken`)."""

    conversation_id: str | None
    refused: str | None
    stop_requested: bool
    taken: bool = False


@dataclass(frozen=True, slots=True)
class Claimed:
    """Whose turn it is: ours (`mine`), or another run's of the same request (`same`) or of another one."""

    mine: bool
    same: bool


class Ended(NamedTuple):
    """How a turn ended: its final status, whether the queue has its answer, whether the same turn may be sent again."""

    status: str
    durable: bool
    lost: bool = False


class Sealed(Enum):
    """What became of a turn's log at its end."""

    DONE = "done"
    DELETED = "deleted"  # the turn's conversation was deleted meanwhile, and its log is gone
    TAKEN = "taken"  # another run holds the turn's claim


class TurnsTable:
    """The port to the table. Every method raises StorageUnavailable when the table does not do as asked, in time."""

    def __init__(self, aws: Aws, table: str) -> None:
        self._aws = aws
        self._table = table

    async def claim(self, head: TurnHead) -> Claimed:
        """Makes the turn this run's own, unless it is another's: one that lives, or whose answer is saved or will be.

        The condition settles the race of a turn posted twice: one put wins, wherever the two run. The head's `owner` names this
        run, so that a put whose reply was lost is not mistaken for another's.
        """
        # An expired claim may lie there for days; it is as good as none.
        condition = "attribute_not_exists(pk) OR expires_at <= :now OR #owner = :owner"
        values = {":now": {"N": str(keys.expires_in(0))}, ":owner": {"S": _owner(head)}}
        try:
            await self._aws.call(DYNAMODB, "PutItem", self._claim(head, condition, {"#owner": keys.OWNER}, values))
        except ConditionFailed as error:
            if error.item.get("digest") != {"S": head.digest}:
                return Claimed(mine=False, same=False)
            return Claimed(mine=await self._take_over(head), same=True)
        return Claimed(mine=True, same=True)

    async def _take_over(self, head: TurnHead) -> bool:
        """Takes the claim of a run whose answer is lost; whether that is so."""
        view = await self.read(head.turn_id, head.user_id)
        if view is None or not view.lost:
            return False
        await self._erase_log(head)  # first: what lies there under a number that this run will write is not this run's
        # A sign of life since, or another run that was quicker: then it is theirs.
        claim = self._claim(
            head,
            "#owner = :theirs AND #at = :at",
            {"#owner": keys.OWNER, "#at": "at"},
            {":theirs": {"S": view.owner or ""}, ":at": {"N": str(view.claimed_at)}},
        )
        claim["Item"][keys.ANEW] = {"BOOL": True}
        # Their answer may be in the queue all the same. Stored before this it stands in the way; after this, it is not stored.
        receipt = {
            "TableName": self._table,
            "Key": self._key(head.turn_id, head.user_id, keys.RECEIPT),
            "UpdateExpression": "SET #owner = :owner, #digest = :digest, #expires = if_not_exists(#expires, :expires)",
            "ConditionExpression": "attribute_not_exists(#answer) AND attribute_not_exists(#refused)",
            "ExpressionAttributeNames": {
                "#owner": keys.OWNER,
                "#digest": "digest",
                "#expires": keys.EXPIRES,
                "#answer": "answer_status",
                "#refused": "refused",
            },
            "ExpressionAttributeValues": {
                ":owner": {"S": _owner(head)},
                ":digest": {"S": head.digest},
                ":expires": {"N": str(keys.expires_in(keys.TURN_TTL_S))},
            },
        }
        transaction = {"TransactItems": [{"Put": claim}, {"Update": receipt}], "ClientRequestToken": new_id()}
        try:
            await self._aws.call(DYNAMODB, "TransactWriteItems", transaction)
        except TransactionCanceled as error:
            if "ConditionalCheckFailed" not in error.codes:
                raise
            return await self.holds(head)  # by a transaction whose reply was lost
        return True

    def _claim(self, head: TurnHead, condition: str, names: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, Any]:
        item = self._item(head.turn_id, head.user_id, keys.TURN) | {
            "status": {"S": turns.STREAMING},
            "digest": {"S": head.digest},
            keys.OWNER: {"S": _owner(head)},
            keys.QUEUED: {"BOOL": False},
            "model": {"S": head.model},
            "started_at": {"S": head.started_at},
            "at": _now_ms(),
            "durable": {"BOOL": False},
        }
        if head.workspace_id is not None:
            item["workspace_id"] = {"S": head.workspace_id}
        return {
            "TableName": self._table,
            "Item": item,
            "ConditionExpression": condition,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }

    async def holds(self, head: TurnHead) -> bool:
        """Whether the claim is this run's, by a strongly consistent read."""
        view = await self.status(head.turn_id, head.user_id)
        return view is not None and view.owner == head.owner

    async def withdraw(self, head: TurnHead) -> None:
        """Takes the claim back: an expired one is as good as none, so the same turn may be sent again."""
        update = {
            "Key": self._key(head.turn_id, head.user_id, keys.TURN),
            "UpdateExpression": "SET expires_at = :now",
            # By then it may be another run's, or not be there.
            "ConditionExpression": "#owner = :owner",
            "ExpressionAttributeNames": {"#owner": keys.OWNER},
            "ExpressionAttributeValues": {":now": {"N": str(keys.expires_in(0))}, ":owner": {"S": _owner(head)}},
        }
        with suppress(ConditionFailed):
            await self._update(update)

    async def checkpoint(self, head: TurnHead, first: int, events: Sequence[Event], queued: bool) -> None:
        """Adds events to the turn's log; the first of them has the id `first`. `queued`: the queue holds the turn's beginning."""
        await self._write(self._puts(head, first, events, queued))

    async def heartbeat(self, head: TurnHead, queued: bool) -> None:
        """A sign of life while the model is silent."""
        await self._update(
            {
                "Key": self._key(head.turn_id, head.user_id, keys.TURN),
                "UpdateExpression": "SET #at = :at, #queued = :queued",
                "ConditionExpression": "#owner = :owner",
                "ExpressionAttributeNames": {"#at": "at", "#queued": keys.QUEUED, "#owner": keys.OWNER},
                "ExpressionAttributeValues": {
                    ":at": _now_ms(),
                    ":queued": {"BOOL": queued},
                    ":owner": {"S": _owner(head)},
                },
            }
        )

    def seal(self, head: TurnHead, first: int, events: Sequence[Event], ended: "Ended") -> "Seal":
        """The last events and the final status, to be written together: whoever sees the one sees the other."""
        *earlier, last = self._puts(head, first, events, queued=True)
        update = {
            "TableName": self._table,
            "Key": self._key(head.turn_id, head.user_id, keys.TURN),
            "UpdateExpression": "SET #status = :status, durable = :durable, #lost = :lost, #at = :at",
            "ConditionExpression": "#owner = :owner AND attribute_not_exists(#forgotten)",
            "ExpressionAttributeNames": {
                "#status": "status",
                "#at": "at",
                "#owner": keys.OWNER,
                "#lost": keys.LOST,
                "#forgotten": keys.FORGOTTEN,
            },
            "ExpressionAttributeValues": {
                ":status": {"S": ended.status},
                ":durable": {"BOOL": ended.durable},
                ":lost": {"BOOL": ended.lost},
                ":at": _now_ms(),
                ":owner": {"S": _owner(head)},
            },
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        # The token: whoever repeats a transaction that was carried out is told so.
        transaction = {"TransactItems": [{"Put": _as_put(last)}, {"Update": update}], "ClientRequestToken": new_id()}
        return Seal(head, earlier, transaction)

    async def carry_out(self, seal: "Seal") -> Sealed:
        """Writes the seal. May be repeated with the same one. A turn whose conversation was deleted meanwhile loses its log."""
        await self._write(seal.earlier)
        try:
            await self._aws.call(DYNAMODB, "TransactWriteItems", seal.transaction)
        except TransactionCanceled as error:
            failed = [reason for reason in error.reasons if reason.get("Code") == "ConditionalCheckFailed"]
            if not failed:
                raise
            there = failed[0].get("Item") or {}
            if there and turns.is_live(there, time.time()) and there.get(keys.OWNER) != {"S": _owner(seal.head)}:
                return Sealed.TAKEN
            await self._erase_log(seal.head)
            return Sealed.DELETED
        return Sealed.DONE

    async def _erase_log(self, head: TurnHead) -> None:
        for item in await self._aws.query(DYNAMODB, turns.checkpoint_keys_query(self._table, head.turn_id, head.user_id)):
            key = {name: item[name] for name in (keys.PK, keys.SK)}
            await self._aws.call(DYNAMODB, "DeleteItem", {"TableName": self._table, "Key": key})

    async def news(self, head: TurnHead) -> News:
        """The receipt, the stop flag, the claim: one small read, eventually consistent (half the price, and it is made again)."""
        page = await self._aws.call(
            DYNAMODB,
            "Query",
            {
                "TableName": self._table,
                "KeyConditionExpression": "pk = :pk AND sk BETWEEN :receipt AND :turn",  # RECEIPT, STOP, TURN
                "ExpressionAttributeValues": {
                    ":pk": {"S": keys.turn_pk(head.turn_id, head.user_id)},
                    ":receipt": {"S": keys.RECEIPT},
                    ":turn": {"S": keys.TURN},
                },
            },
        )
        # An expired item can lie there for days: what an earlier run of the turn left says nothing to this one.
        found = {item["sk"]["S"]: item for item in items_of(page) if turns.is_live(item, time.time())}
        stop = found.get(keys.STOP)
        receipt = found.get(keys.RECEIPT, {})
        # A receipt of another request under the same id says nothing about this one.
        if receipt.get("digest", {}).get("S") != head.digest:
            receipt = {}
        # The claim's owner: a run that could not write for long may have been taken for dead.
        taken = _text(found.get(keys.TURN, {}), keys.OWNER) not in (None, head.owner)
        stopped = stop is not None and _text(stop, keys.OWNER) in (None, head.owner)
        return News(_text(receipt, "conversation_id"), _text(receipt, "refused"), stopped, taken)

    async def stop(self, turn_id: str, user_id: str, owner: str | None) -> None:
        """Leaves a request to stop the run of that name, or any; it sees that at its next look, within a second."""
        item = self._item(turn_id, user_id, keys.STOP) | {"at": _now_ms()}
        if owner is not None:  # it lies there longer than the run, and must not stop one that follows
            item[keys.OWNER] = {"S": owner}
        await self._aws.call(DYNAMODB, "PutItem", {"TableName": self._table, "Item": item})

    async def status(self, turn_id: str, user_id: str) -> turns.TurnView | None:
        page = await self._aws.call(DYNAMODB, "Query", turns.status_query(self._table, turn_id, user_id))
        return turns.view(items_of(page))

    async def deleted(self, turn_id: str, user_id: str) -> bool:
        """Whether the turn, which is not there any more, went with its conversation."""
        page = await self._aws.call(DYNAMODB, "Query", turns.status_query(self._table, turn_id, user_id))
        return turns.is_forgotten(items_of(page))

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

    def _puts(self, head: TurnHead, first: int, events: Sequence[Event], queued: bool) -> list[dict[str, Any]]:
        return [
            {
                "TableName": self._table,
                "Item": self._item(head.turn_id, head.user_id, keys.events_sk(number))
                | {
                    "events": {"S": joined(run)},
                    "last": {"N": str(number + len(run) - 1)},
                    "at": _now_ms(),
                    keys.OWNER: {"S": _owner(head)},
                    keys.QUEUED: {"BOOL": queued},
                },
                # A put that timed out may still land, after the longer one that replaced it.
                "ConditionExpression": "attribute_not_exists(pk) OR #last < :last OR #owner <> :owner OR expires_at <= :now",
                "ExpressionAttributeNames": {"#last": "last", "#owner": keys.OWNER},
                "ExpressionAttributeValues": {
                    ":now": {"N": str(keys.expires_in(0))},
                    ":last": {"N": str(number + len(run) - 1)},
                    ":owner": {"S": _owner(head)},
                },
            }
            for number, run in _runs(first, [log_row(event) for event in events])
        ]

    def _key(self, turn_id: str, user_id: str, sk: str) -> dict[str, Any]:
        return {keys.PK: {"S": keys.turn_pk(turn_id, user_id)}, keys.SK: {"S": sk}}

    def _item(self, turn_id: str, user_id: str, sk: str) -> dict[str, Any]:
        return self._key(turn_id, user_id, sk) | {keys.EXPIRES: {"N": str(keys.expires_in(keys.TURN_TTL_S))}}


@dataclass(frozen=True, slots=True)
class Seal:
    """The end of a turn's log, ready to be written: the transaction stays the same however often it is sent."""

    head: TurnHead
    earlier: Sequence[Mapping[str, Any]]
    transaction: Mapping[str, Any]


def _owner(head: TurnHead) -> str:
    if head.owner is None:
        raise ValueError("a run of this version names itself")
    return head.owner


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

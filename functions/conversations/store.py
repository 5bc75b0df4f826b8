"""The port to DynamoDB: the reads and writes on the two tables, as rows and keys.

Raises botocore's ClientError and BotoCoreError as they come, after a bounded number of attempts.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from botocore.exceptions import ClientError

from functions.common import keys
from functions.common.keys import Key
from functions.common.problems import Unavailable
from functions.common.turns import STREAMING, TurnView, checkpoint_keys, is_live, read_turn
from functions.conversations.usage import Sums
from functions.conversations.views import Row

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_dynamodb.type_defs import AttributeValueTypeDef

_BATCH: Final = 25  # BatchWriteItem: "as many as 25 item put or delete operations"
_REMAINS: Final = 100
_PAUSES_S: Final = (0.05, 0.1, 0.2, 0.4, 0.8)
_T = TypeVar("_T")


class Store:
    """Both tables, behind one client. `pause` waits between attempts."""

    def __init__(
        self, client: "DynamoDBClient", conversations: str, turns: str, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self.client = client
        self._conversations = conversations
        self._turns = turns
        self._pause = pause

    def meta(self, conversation_id: str) -> Row | None:
        """The conversation's own item, a deleted one's included while messages of it remain. Strongly consistent."""
        return self._get(keys.meta_key(conversation_id))

    def message(self, conversation_id: str, sort_key: str) -> Row | None:
        """One message. Strongly consistent."""
        return self._get(Key(keys.conversation_pk(conversation_id), sort_key))

    def order_key(self, conversation_id: str, message_id: str) -> str | None:
        """At which depth an id stands; None also for a message stored before that was noted. Strongly consistent."""
        noted = self._get(keys.message_id_key(conversation_id, message_id))
        return None if noted is None else noted["order_key"]

    def listing(self, workspace_id: str, before: str | None, limit: int) -> list[Row]:
        """At most `limit` conversations of a workspace, newest activity first, from behind the activity `before`."""
        condition, values = "workspace_id = :workspace", {":workspace": {"S": workspace_id}}
        if before is not None:
            condition, values = f"{condition} AND activity < :before", {**values, ":before": {"S": before}}
        rows: list[Row] = []
        for row in self._query(condition, values, IndexName=keys.ACTIVITY_INDEX, ScanIndexForward=False, Limit=limit):
            rows.append(row)
            if len(rows) == limit:
                break
        return rows

    def messages(self, conversation_id: str, after: str | None = None, page: int | None = None) -> Iterator[Row]:
        """The messages behind the sort key `after`, parents before children, fetched `page` at a time. Strongly consistent."""
        values = {":pk": {"S": keys.conversation_pk(conversation_id)}, ":after": {"S": after or "MSG#"}}
        bounds = {"Limit": page} if page else {}
        return self._query("pk = :pk AND sk > :after", values, ConsistentRead=True, **bounds)

    def levels(self, conversation_id: str, first: int, last: int, page: int, pages: int) -> Iterator[tuple[Sequence[Row], bool]]:
        """The messages between two depths, the deepest first, as up to `pages` pages; each says whether it is the last there is.

        Strongly consistent.
        """
        low, high = keys.depths(first, last)
        condition, values = "pk = :pk AND sk BETWEEN :low AND :high", {":low": {"S": low}, ":high": {"S": high}}
        start: dict[str, Any] = {}
        for _ in range(pages):
            rows, end = self._page(conversation_id, condition, values, ScanIndexForward=False, Limit=page, **start)
            yield rows, end is None
            if end is None:
                return
            start = {"ExclusiveStartKey": end}

    def links(self, conversation_id: str, pages: int, *, first: int = 0, deepest_first: bool = False) -> Iterator[Row]:
        """How the messages from a depth on hang together: what `pages` pages of 1 MB hold of ids, parents and times, no text."""
        low, high = keys.depths(first, keys.MAX_DEPTH)
        condition, values = "pk = :pk AND sk BETWEEN :low AND :high", {":low": {"S": low}, ":high": {"S": high}}
        start: dict[str, Any] = {}
        for _ in range(pages):
            rows, end = self._page(
                conversation_id,
                condition,
                values,
                ProjectionExpression="pk, sk, id, parent_id, created_at",
                ScanIndexForward=not deepest_first,
                **start,
            )
            yield from rows
            if end is None:
                return
            start = {"ExclusiveStartKey": end}

    def changed(
        self, conversation_id: str, since: str, streaming_since: str, after: str | None
    ) -> tuple[Sequence[Row], str | None]:
        """The messages that changed after `since`, among one page of 1 MB behind the sort key `after`, and where the next begins.

        An answer that began after `streaming_since` may change without a write here, so it counts as changed while it streams.
        A message stored before it had `updated_at` counts by when it was made, an answer's turn being no longer than that.
        """
        rows, end = self._page(
            conversation_id,
            "pk = :pk AND sk > :after",
            {
                ":after": {"S": after or "MSG#"},
                ":since": {"S": since},
                ":early": {"S": streaming_since},
                ":streaming": {"S": STREAMING},
            },
            FilterExpression="updated_at > :since OR "
            "(created_at > :early AND (attribute_not_exists(updated_at) OR #status = :streaming))",
            ExpressionAttributeNames={"#status": "status"},
        )
        return rows, None if end is None else str(end[keys.SK]["S"])

    def turn(self, turn_id: str, user_id: str) -> TurnView | None:
        """The turn that makes an answer, with its text so far. Strongly consistent."""
        return read_turn(self.client, self._turns, turn_id, user_id)

    def usage(self, user_id: str, first: str, last: str) -> list[Sums]:
        """The sums of a user's days, several for a day, between two sort keys. Eventually consistent: they trail the turns."""
        pages = self.client.get_paginator("query").paginate(
            TableName=self._turns,
            KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
            ExpressionAttributeValues={":pk": {"S": keys.user_pk(user_id)}, ":first": {"S": first}, ":last": {"S": last}},
        )
        now = time.time()
        return [_sums(item) for page in pages for item in page["Items"] if is_live(item, now)]

    def rename(self, conversation_id: str, workspace_id: str, title: str) -> Row | None:
        """The conversation under its new title, or None when it is gone."""
        try:
            # The condition settles the race with a deletion: an update would bring META back to life. It also repeats the
            # access check, so the write touches what was authorised and nothing else.
            answer = self._until_settled(
                lambda: self.client.update_item(
                    TableName=self._conversations,
                    Key=_key(keys.meta_key(conversation_id)),
                    UpdateExpression="SET title = :title",
                    ConditionExpression="workspace_id = :workspace AND attribute_not_exists(deleted_at)",
                    ExpressionAttributeValues={":title": {"S": title}, ":workspace": {"S": workspace_id}},
                    ReturnValues="ALL_NEW",
                )
            )
        except self.client.exceptions.ConditionalCheckFailedException:
            return None
        return _row(answer["Attributes"])

    def bury(self, conversation_id: str, workspace_id: str, now: str) -> bool:
        """Marks the conversation deleted and writes its tombstone, both or neither; False when it is gone already."""
        # One transaction: a record of the queue meets either a living conversation or the tombstone, never a gap between them.
        # A repeat keeps the first time and is success.
        tombstone = {**_key(keys.tombstone_key(conversation_id)), keys.EXPIRES: _number(keys.expires_in(keys.TOMBSTONE_TTL_S))}
        try:
            self._until_settled(
                lambda: self.client.transact_write_items(
                    TransactItems=[
                        {"Put": {"TableName": self._turns, "Item": tombstone}},
                        {
                            "Update": {
                                "TableName": self._conversations,
                                "Key": _key(keys.meta_key(conversation_id)),
                                "UpdateExpression": "SET deleted_at = if_not_exists(deleted_at, :now) REMOVE activity",
                                "ConditionExpression": "workspace_id = :workspace",
                                "ExpressionAttributeValues": {":now": {"S": now}, ":workspace": {"S": workspace_id}},
                            }
                        },
                    ]
                )
            )
        except self.client.exceptions.TransactionCanceledException as error:
            if "ConditionalCheckFailed" in _reasons(error):
                return False
            raise
        return True

    def remains(self, conversation_id: str) -> list[Row]:
        """Some of the items still there beside META: keys and the turn that made each; empty when none is left."""
        page = self.client.query(
            TableName=self._conversations,
            KeyConditionExpression="pk = :pk AND sk > :meta",
            ExpressionAttributeValues={":pk": {"S": keys.conversation_pk(conversation_id)}, ":meta": {"S": keys.META}},
            ProjectionExpression="pk, sk, turn_id, user_id, #status, created_at",
            ExpressionAttributeNames={"#status": "status"},
            ConsistentRead=True,
            Limit=_REMAINS,  # a read of long messages must not take the request's time
        )
        return [_row(item) for item in page["Items"]]

    def ask_to_stop(self, turn_id: str, user_id: str) -> None:
        """Leaves a stop request, as `POST /api/turns/{turnId}/stop` does."""
        item = {
            **_key(Key(keys.turn_pk(turn_id, user_id), keys.STOP)),
            "at": _number(time.time_ns() // 1_000_000),
            keys.EXPIRES: _number(keys.expires_in(keys.TURN_TTL_S)),
        }
        self.client.put_item(TableName=self._turns, Item=item)

    def forget_turn(self, turn_id: str, user_id: str) -> None:
        """Marks a turn as one of a deleted conversation: nobody finds it any more, and its run writes no end to its log."""
        with suppress(self.client.exceptions.ConditionalCheckFailedException):  # expired by now
            self.client.update_item(
                TableName=self._turns,
                Key=_key(Key(keys.turn_pk(turn_id, user_id), keys.TURN)),
                UpdateExpression="SET #forgotten = :yes",
                ConditionExpression="attribute_exists(pk)",
                ExpressionAttributeNames={"#forgotten": keys.FORGOTTEN},
                ExpressionAttributeValues={":yes": {"BOOL": True}},
            )

    def checkpoint_keys(self, turn_id: str, user_id: str) -> list[Key]:
        return checkpoint_keys(self.client, self._turns, turn_id, user_id)

    def erase_messages(self, doomed: Sequence[Key]) -> None:
        self._erase(self._conversations, doomed)

    def erase_checkpoints(self, doomed: Sequence[Key]) -> None:
        self._erase(self._turns, doomed)

    def erase_meta(self, conversation_id: str) -> None:
        self.client.delete_item(TableName=self._conversations, Key=_key(keys.meta_key(conversation_id)))

    def _erase(self, table: str, doomed: Sequence[Key]) -> None:
        for start in range(0, len(doomed), _BATCH):
            requests: list[Any] = [{"DeleteRequest": {"Key": _key(key)}} for key in doomed[start : start + _BATCH]]
            for pause in (*_PAUSES_S, None):
                # DynamoDB may take part of a batch and hand the rest back; that is no error of its own.
                left = self.client.batch_write_item(RequestItems={table: requests}).get("UnprocessedItems", {}).get(table, [])
                if not left:
                    break
                if pause is None:
                    raise Unavailable("The deletion is under way; repeat the request.", headers={"retry-after": "1"})
                requests = left
                self._pause(pause)

    def _get(self, key: Key) -> Row | None:
        answer = self.client.get_item(TableName=self._conversations, Key=_key(key), ConsistentRead=True)
        return _row(answer["Item"]) if "Item" in answer else None

    def _query(self, condition: str, values: dict[str, Any], **options: Any) -> Iterator[Row]:
        start: dict[str, Any] = {}
        while True:
            page = self.client.query(
                TableName=self._conversations,
                KeyConditionExpression=condition,
                ExpressionAttributeValues=values,
                **options,
                **start,
            )
            yield from (_row(item) for item in page["Items"])
            if not (last := page.get("LastEvaluatedKey")):
                return
            start = {"ExclusiveStartKey": last}

    def _page(
        self, conversation_id: str, condition: str, values: dict[str, Any], **options: Any
    ) -> tuple[Sequence[Row], dict[str, Any] | None]:
        """One page of a conversation's items, and the key to go on from. Strongly consistent."""
        page = self.client.query(
            TableName=self._conversations,
            KeyConditionExpression=condition,
            ExpressionAttributeValues={":pk": {"S": keys.conversation_pk(conversation_id)}, **values},
            ConsistentRead=True,
            **options,
        )
        return [_row(item) for item in page["Items"]], page.get("LastEvaluatedKey")

    def _until_settled(self, write: Callable[[], _T]) -> _T:
        """The write, tried again while another transaction holds the item; botocore does not retry that one."""
        for pause in _PAUSES_S:
            try:
                return write()
            except ClientError as error:
                if not _is_conflict(error):
                    raise
            self._pause(pause)
        return write()


def _is_conflict(error: ClientError) -> bool:
    return error.response["Error"]["Code"] == "TransactionConflictException" or "TransactionConflict" in _reasons(error)


def _reasons(error: ClientError) -> set[str]:
    reasons: Iterable[Any] = error.response.get("CancellationReasons", ())
    return {str(reason.get("Code")) for reason in reasons}


def _key(key: Key) -> "dict[str, AttributeValueTypeDef]":
    return {keys.PK: {"S": key.pk}, keys.SK: {"S": key.sk}}


def _sums(item: Any) -> Sums:
    turns, read, written = (int(item[name]["N"]) if name in item else 0 for name in ("turns", "input_tokens", "output_tokens"))
    return item[keys.SK]["S"].split("#")[1], turns, read, written


def _number(value: int) -> "AttributeValueTypeDef":
    return {"N": str(value)}


def _row(item: Any) -> Row:
    return {name: value["S"] for name, value in item.items() if "S" in value}

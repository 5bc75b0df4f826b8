"""SQS and DynamoDB on the wire, as stubs that answer after a set time, or at once in 0.1 ms.

    POST /control {"delay_s": 0.005, "receipts": true}    how long each call takes; whether a turn's beginning is stored at once
    GET  /counts                                          calls by operation and table since the last POST /control
    GET  /queued                                          {"at_ms": …}: when the first batch since the last question came

They keep what they are told, so that the product's own reads find it, and check nothing: no condition ever fails here. `receipts`
plays persist: a beginning that reached the queue has its receipt at once. Without it the queue hands its messages to whoever asks
for them; what is to be delayed is dropped.
"""

import asyncio
import hashlib
import json
import re
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from typing import Any

from bench.servers.http import Request, respond, serve
from functions.common import keys
from functions.common.records import TurnStarted, decode

Item = dict[str, Any]
_SET = re.compile(r"(#?\w+) = (?:if_not_exists\(#?\w+, (:\w+)\)|(:\w+))")
_KIND = b"application/x-amz-json-1.0"


class Aws:
    """Both services on one port; the header `x-amz-target` tells which is meant."""

    def __init__(self) -> None:
        self._delay_s = 0.0
        self._receipts = True
        self._queued_at = 0.0
        self._counts: Counter[str] = Counter()
        self._rows: defaultdict[str, dict[str, Item]] = defaultdict(dict)
        self._queue: deque[Item] = deque()
        self._waiting: deque[tuple[asyncio.Transport, int]] = deque()

    def __call__(self, request: Request, transport: asyncio.Transport) -> None:
        if request.path == b"/control":
            self._control(**json.loads(request.body))
            respond(transport, {})
        elif request.path == b"/counts":
            respond(transport, self._counts)
        elif request.path == b"/queued":
            respond(transport, {"at_ms": self._queued_at * 1000})
            self._queued_at = 0.0
        else:
            operation = request.headers[b"x-amz-target"].decode().rpartition(".")[2]
            asked = json.loads(request.body)
            self._count(operation, asked)
            self._at_once_or_later(lambda: self._answer(operation, asked, transport))

    def _control(self, delay_s: float = 0.0, receipts: bool = True) -> None:
        self._delay_s, self._receipts = delay_s, receipts
        self._counts.clear()
        self._rows.clear()
        self._queue.clear()

    def _count(self, operation: str, asked: Item) -> None:
        tables = {asked["TableName"]} if "TableName" in asked else set(asked.get("RequestItems", ()))
        for entry in asked.get("TransactItems", ()):
            tables |= {action["TableName"] for action in entry.values()}
        for table in tables or {"queue"}:
            self._counts[f"{operation} {table}"] += 1

    def _at_once_or_later(self, answer: Any) -> None:
        if self._delay_s:
            asyncio.get_running_loop().call_later(self._delay_s, answer)
        else:
            answer()

    def _answer(self, operation: str, asked: Item, transport: asyncio.Transport) -> None:
        if operation == "ReceiveMessage":
            self._receive(asked, transport)
            return
        reply = getattr(self, f"_{operation}")(asked)
        if not transport.is_closing():
            respond(transport, reply, kind=_KIND)

    # --- DynamoDB -----------------------------------------------------------------------------------------------------------

    def _PutItem(self, asked: Item) -> Item:  # noqa: N802 - the operation's name
        item = asked["Item"]
        self._rows[item[keys.PK]["S"]][item[keys.SK]["S"]] = item
        return {}

    def _UpdateItem(self, asked: Item) -> Item:  # noqa: N802
        key = asked["Key"]
        row = self._rows[key[keys.PK]["S"]].setdefault(key[keys.SK]["S"], dict(key))
        names, values = asked.get("ExpressionAttributeNames", {}), asked.get("ExpressionAttributeValues", {})
        for alias, first, value in _SET.findall(asked["UpdateExpression"].partition(" ADD ")[0]):
            name = names.get(alias, alias)
            if value or name not in row:
                row[name] = values[value or first]
        return {"Attributes": row} if asked.get("ReturnValues") else {}

    def _TransactWriteItems(self, asked: Item) -> Item:  # noqa: N802
        for entry in asked["TransactItems"]:
            if "Put" in entry:
                self._PutItem(entry["Put"])
            elif "Update" in entry:
                self._UpdateItem(entry["Update"])
        return {}

    def _GetItem(self, asked: Item) -> Item:  # noqa: N802
        item = self._find(asked["Key"])
        return {"Item": item} if item else {}

    def _BatchGetItem(self, asked: Item) -> Item:  # noqa: N802
        found = {
            table: [item for key in wanted["Keys"] if (item := self._find(key))]
            for table, wanted in asked["RequestItems"].items()
        }
        return {"Responses": found, "UnprocessedKeys": {}}

    def _Query(self, asked: Item) -> Item:  # noqa: N802
        """One partition, between two sort keys, which is all that a running turn asks for."""
        values = asked["ExpressionAttributeValues"]
        rows = self._rows.get(values[":pk"]["S"], {})
        items = [rows[sk] for sk in sorted(rows) if values[":receipt"]["S"] <= sk <= values[":stop"]["S"]]
        return {"Items": items, "Count": len(items), "ScannedCount": len(items)}

    def _find(self, key: Item) -> Item | None:
        return self._rows.get(key[keys.PK]["S"], {}).get(key[keys.SK]["S"])

    # --- SQS ----------------------------------------------------------------------------------------------------------------

    def _SendMessageBatch(self, asked: Item) -> Item:  # noqa: N802
        self._queued_at = self._queued_at or time.monotonic()
        for entry in asked["Entries"]:
            if self._receipts:
                self._store(entry["MessageBody"])
            elif not entry.get("DelaySeconds"):
                self._queue.append(_message(entry["MessageBody"], f"{id(entry):x}-{len(self._queue)}"))
        self._hand_out()
        sent = [
            {"Id": entry["Id"], "MessageId": f"sent-{entry['Id']}", "MD5OfMessageBody": _md5(entry["MessageBody"])}
            for entry in asked["Entries"]
        ]
        return {"Successful": sent}

    def _store(self, body: str) -> None:
        record = decode(body)
        if isinstance(record, TurnStarted):
            turn = record.turn
            said = {"digest": {"S": turn.digest}, "conversation_id": {"S": turn.conversation_id}}
            pk = keys.turn_pk(turn.turn_id, turn.user_id)
            self._rows[pk][keys.RECEIPT] = {keys.PK: {"S": pk}, keys.SK: {"S": keys.RECEIPT}, **said}

    def _receive(self, asked: Item, transport: asyncio.Transport) -> None:
        """A long poll: answered when there is a message, or after WaitTimeSeconds."""
        waiter = (transport, int(asked.get("MaxNumberOfMessages", 1)))
        self._waiting.append(waiter)
        self._hand_out()
        if waiter in self._waiting:
            asyncio.get_running_loop().call_later(float(asked.get("WaitTimeSeconds", 0)), self._give_up, waiter)

    def _give_up(self, waiter: tuple[asyncio.Transport, int]) -> None:
        if waiter in self._waiting:
            self._waiting.remove(waiter)
            respond(waiter[0], {}, kind=_KIND)

    def _hand_out(self) -> None:
        while self._queue and self._waiting:
            transport, most = self._waiting.popleft()
            if not transport.is_closing():
                messages = list(self._take(most))
                respond(transport, {"Messages": messages}, kind=_KIND)

    def _take(self, most: int) -> Iterator[Item]:
        while self._queue and most:
            most -= 1
            yield self._queue.popleft()

    def _DeleteMessageBatch(self, asked: Item) -> Item:  # noqa: N802
        return {"Successful": [{"Id": entry["Id"]} for entry in asked["Entries"]]}

    def _GetQueueAttributes(self, _asked: Item) -> Item:  # noqa: N802
        return {"Attributes": {"QueueArn": "arn:aws:sqs:eu-central-1:123456789012:persist"}}


def _message(body: str, message_id: str) -> Item:
    attributes = {"ApproximateReceiveCount": "1", "SentTimestamp": "0"}
    return {"MessageId": message_id, "ReceiptHandle": message_id, "Body": body, "MD5OfBody": _md5(body), "Attributes": attributes}


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()  # what SQS's protocol asks for


if __name__ == "__main__":
    serve(Aws())

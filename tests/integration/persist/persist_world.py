"""A small world for persist: both tables in moto, the function's own handler, and a wire on which faults can be played."""

import json
import logging
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from io import StringIO
from typing import Any
from unittest import mock

import boto3
from botocore.awsrequest import AWSPreparedRequest
from botocore.compat import HTTPHeaders
from moto import mock_aws
from moto.core.models import botocore_stubber

from functions.common import keys, times
from functions.common.aws import Aws, Service
from functions.common.events import Event, to_log
from functions.common.http_body import Head
from functions.common.records import Answer, NewMessage, Record, SettleTurn, TurnFinished, TurnHead, TurnStarted, Usage, encode
from functions.common.session import Session
from functions.persist import handler as entry
from functions.persist.pace import Pace
from infra.resources import CONVERSATIONS, TURNS, Table
from tests.support import moto_transactions

Item = dict[str, Any]
Reply = tuple[Head, bytes]
Fault = Callable[[str, Any], Reply | None]

NOW = time.time()
WORKSPACE = "acme"


def uid(number: int) -> str:
    return f"00000000-0000-7000-8000-{number:012d}"


CONVERSATION = uid(1)


def at(seconds: float) -> str:
    return times.iso(NOW - 3600 + seconds)


def head(turn: int, **changes: Any) -> TurnHead:
    """The head of a turn that begins CONVERSATION in WORKSPACE."""
    told: dict[str, Any] = {
        "turn_id": uid(turn),
        "user_id": "ann",
        "workspaces": ["acme", "ann"],
        "workspace_id": WORKSPACE,
        "conversation_id": CONVERSATION,
        "new": True,
        "bud_id": "default",
        "model": "m-1",
        "title": "A title",
        "parent_id": uid(turn * 10),
        "depth": 1,
        "digest": f"digest-{turn}",
        "started_at": at(100 * turn),
    }
    return TurnHead(**(told | changes))


def following(turn: int, parent: int, depth: int, **changes: Any) -> TurnHead:
    """The head of a turn that continues CONVERSATION by its id alone."""
    told = {"new": False, "workspace_id": None, "title": None, "parent_id": uid(parent), "depth": depth}
    return head(turn, **(told | changes))


def started(turn: TurnHead, content: str = "hi", parent: int | None = None, **changes: Any) -> TurnStarted:
    """The turn's one user message, whose answer the turn is."""
    assert turn.parent_id is not None
    parent_id = None if parent is None else uid(parent)
    new = NewMessage(id=turn.parent_id, parent_id=parent_id, depth=turn.depth - 1, role="user", content=content, **changes)
    return TurnStarted(turn=turn, messages=[new])


def finished(turn: TurnHead, content: str = "hello", after: float = 5, **changes: Any) -> TurnFinished:
    told: dict[str, Any] = {
        "status": "complete",
        "finish_reason": "stop",
        "usage": Usage(input_tokens=1, output_tokens=2, total_tokens=3),
        "finished_at": at(100 * int(turn.turn_id[-4:]) + after),
    }
    return TurnFinished(turn=turn, answer=Answer(content=content, **(told | changes)))


def settling(turn: TurnHead) -> SettleTurn:
    return SettleTurn(turn=turn)


@dataclass
class World:
    """`calls` are the operations that left for DynamoDB; `fault` may answer one instead of it; `waits` are the pauses made."""

    raw: Any  # a client of the test's own: no faults, not counted
    calls: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    fault: Fault | None = None
    lose_reply: Callable[[str], BaseException | None] | None = None

    def deliver(self, *records: Record, remaining_ms: Callable[[], int] = lambda: 30_000) -> list[Record]:
        """Hands records to the handler as one batch; the records it wants again."""
        failed = self.deliver_bodies([encode(record) for record in records], remaining_ms)
        return [records[index] for index in failed]

    def deliver_bodies(self, bodies: Sequence[str], remaining_ms: Callable[[], int] = lambda: 30_000) -> list[int]:
        """As `deliver`, for bodies: the indexes of those wanted again."""
        ids = [str(uuid.uuid4()) for _ in bodies]
        context = mock.Mock(get_remaining_time_in_millis=remaining_ms)
        response = entry.handler({"Records": [sqs(i, body) for i, body in zip(ids, bodies, strict=True)]}, context)
        return [ids.index(str(failure["itemIdentifier"])) for failure in response["batchItemFailures"]]

    def scan(self) -> dict[str, list[Item]]:
        """Everything in both tables, in the order of the keys."""
        return {table.name: self._scan(table.name) for table in (CONVERSATIONS, TURNS)}

    def clear(self) -> None:
        """Everything anew, within the same function."""
        for name, rows in self.scan().items():
            for row in rows:
                self.raw.delete_item(TableName=name, Key={"pk": {"S": row["pk"]}, "sk": {"S": row["sk"]}})
        self.calls.clear()

    def _scan(self, table: str) -> list[Item]:
        rows = [{name: plain(value) for name, value in item.items()} for item in self.raw.scan(TableName=table)["Items"]]
        return sorted(rows, key=lambda row: (row["pk"], row["sk"]))

    def meta(self, conversation_id: str = CONVERSATION) -> Item | None:
        return self._get(CONVERSATIONS.name, keys.meta_key(conversation_id))

    def message(self, depth: int, message_id: str, conversation_id: str = CONVERSATION) -> Item | None:
        return self._get(CONVERSATIONS.name, keys.message_key(conversation_id, depth, message_id))

    def answer(self, turn: TurnHead) -> Item | None:
        return self.message(turn.depth, turn.turn_id, turn.conversation_id)

    def receipt(self, turn: TurnHead) -> Item | None:
        return self._get(TURNS.name, keys.Key(keys.turn_pk(turn.turn_id, turn.user_id), keys.RECEIPT))

    def _get(self, table: str, key: keys.Key) -> Item | None:
        found = self.raw.get_item(TableName=table, Key={"pk": {"S": key.pk}, "sk": {"S": key.sk}}).get("Item")
        return found and {name: plain(value) for name, value in found.items()}

    def claim(self, turn: TurnHead, status: str = "streaming", seen_s_ago: float = 600, **changes: Any) -> None:
        """Puts the turn's claim, as the streaming function does."""
        self._put_turn(turn, keys.TURN, seen_s_ago, {"status": status, "digest": turn.digest} | changes)

    def log(self, turn: TurnHead, first: int, *events: Event, seen_s_ago: float = 600) -> None:
        """Puts a checkpoint."""
        self._put_turn(turn, keys.events_sk(first), seen_s_ago, {"events": to_log(events)})

    def _put_turn(self, turn: TurnHead, sk: str, seen_s_ago: float, texts: dict[str, str]) -> None:
        texts = {"pk": keys.turn_pk(turn.turn_id, turn.user_id), "sk": sk, **texts}
        expires_at = int(texts.pop("expires_at", int(NOW) + keys.TURN_TTL_S))
        numbers = {"at": int(((NOW if seen_s_ago > 60 else time.time()) - seen_s_ago) * 1000), "expires_at": expires_at}
        item = {name: {"S": text} for name, text in texts.items()} | {name: {"N": str(n)} for name, n in numbers.items()}
        self.raw.put_item(TableName=TURNS.name, Item=item)

    def bury(self, conversation_id: str = CONVERSATION) -> None:
        """The first step of a deletion: tombstone and mark, in one transaction."""
        tombstone = keys.tombstone_key(conversation_id)
        put = {"pk": {"S": tombstone.pk}, "sk": {"S": tombstone.sk}, "expires_at": {"N": str(int(NOW) + keys.TOMBSTONE_TTL_S)}}
        meta = keys.meta_key(conversation_id)
        mark = {
            "TableName": CONVERSATIONS.name,
            "Key": {"pk": {"S": meta.pk}, "sk": {"S": meta.sk}},
            "UpdateExpression": "SET deleted_at = :now REMOVE activity",
            "ConditionExpression": "attribute_exists(pk)",
            "ExpressionAttributeValues": {":now": {"S": at(900)}},
        }
        self.raw.transact_write_items(TransactItems=[{"Put": {"TableName": TURNS.name, "Item": put}}, {"Update": mark}])

    def erase(self, conversation_id: str = CONVERSATION) -> None:
        """The rest of a deletion."""
        for row in self._scan(CONVERSATIONS.name):
            if row["pk"] == keys.conversation_pk(conversation_id):
                self.raw.delete_item(TableName=CONVERSATIONS.name, Key={"pk": {"S": row["pk"]}, "sk": {"S": row["sk"]}})


@contextmanager
def log_lines() -> Iterator[Callable[[], list[Item]]]:
    """What the function logs, line by line."""
    stream = StringIO()
    handlers = logging.getLogger("persist").handlers
    before = [handler.setStream(stream) for handler in handlers if isinstance(handler, logging.StreamHandler)]
    assert before
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    for handler, old in zip(handlers, before, strict=True):
        assert isinstance(handler, logging.StreamHandler)
        handler.setStream(old)


def plain(value: Mapping[str, Any]) -> Any:
    ((kind, content),) = value.items()
    return int(content) if kind == "N" else content


def sqs(message_id: str, body: str) -> dict[str, Any]:
    """A message as SQS's event source hands it over."""
    return {
        "messageId": message_id,
        "receiptHandle": "handle",
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": "0",
            "SenderId": "s",
            "ApproximateFirstReceiveTimestamp": "0",
        },
        "messageAttributes": {},
        "md5OfBody": "",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:persist",
        "awsRegion": "us-east-1",
    }


def reply(status: int, code: str, **more: Any) -> Reply:
    """DynamoDB's answer of that status, as bytes on the wire."""
    body = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "no", **more}
    return Head(status, []), json.dumps(body).encode()


def cancelled(*codes: str) -> Reply:
    """A transaction cancelled for these reasons, one for each of its writes."""
    return reply(400, "TransactionCanceledException", CancellationReasons=[{"Code": code} for code in codes])


def times_over(count: int, answer: Callable[[], Reply], operation: str = "TransactWriteItems") -> Fault:
    """A fault that answers the operation's next `count` calls."""
    left = [count]

    def fault(called: str, _body: Any) -> Reply | None:
        if called != operation or left[0] == 0:
            return None
        left[0] -= 1
        return answer()

    return fault


def create(client: Any, table: Table) -> None:
    attributes = {table.partition_key, table.sort_key} | {k for i in table.indexes for k in (i.partition_key, i.sort_key)}
    schema = [("HASH", table.partition_key), ("RANGE", table.sort_key)]
    indexes = [
        {
            "IndexName": index.name,
            "KeySchema": _schema([("HASH", index.partition_key), ("RANGE", index.sort_key)]),
            "Projection": {"ProjectionType": "ALL"},
        }
        for index in table.indexes
    ]
    client.create_table(
        TableName=table.name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in sorted(attributes)],
        KeySchema=_schema(schema),
        **({"GlobalSecondaryIndexes": indexes} if indexes else {}),
    )


def _schema(pairs: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"AttributeName": name, "KeyType": kind} for kind, name in pairs]


@cache
def _session() -> boto3.Session:
    """Keeps what botocore reads from its JSON models, which takes most of a client's making."""
    return boto3.Session()


@cache
def _aws_session() -> Session:
    return Session()


class ToMoto(Aws):
    """Its requests go to the moto of this process, as they would leave for AWS; the world sees each, and may answer it."""

    def __init__(self, world: World) -> None:
        super().__init__(_aws_session())
        self._world = world

    async def send(self, service: Service, head: bytes, body: bytes) -> Reply:
        _, *lines = head.decode("ascii").rstrip().split("\r\n")
        headers = HTTPHeaders()
        for name, value in (line.split(": ", 1) for line in lines):
            headers[name] = value
        operation = headers["x-amz-target"].partition(".")[2]
        world = self._world
        world.calls.append(operation)
        if world.fault and (told := world.fault(operation, json.loads(body))):
            return told
        request = AWSPreparedRequest("POST", self._session.endpoint(service.name), headers, body, False)
        answered = botocore_stubber.process_request(request)
        assert answered is not None
        status, fields, content = answered
        if world.lose_reply and (error := world.lose_reply(operation)):
            raise error
        told_of = [(name.encode(), str(value).encode()) for name, value in fields.items()]
        return Head(status, told_of), content if isinstance(content, bytes) else content.encode()


@contextmanager
def persist_world() -> Iterator[World]:
    """Empty tables, and the handler as after a cold start; it does not really sleep."""
    env = {
        "AWS_DEFAULT_REGION": "us-east-1",
        "CHAT_CONVERSATIONS_TABLE": CONVERSATIONS.name,
        "CHAT_TURNS_TABLE": TURNS.name,
    }
    moto_transactions.install()
    with mock_aws(), mock.patch.dict(os.environ, env), mock.patch.object(boto3, "DEFAULT_SESSION", _session()):
        raw = boto3.client("dynamodb")
        for table in (CONVERSATIONS, TURNS):
            create(raw, table)
        world = World(raw)
        _cold()
        with (
            mock.patch.object(entry, "Aws", return_value=ToMoto(world)),
            mock.patch.object(entry, "Pace", partial(Pace, sleep=world.waits.append)),
        ):
            yield world
        _cold()


def _cold() -> None:
    if entry._store.cache_info().currsize:
        entry._store().close()
        entry._store.cache_clear()

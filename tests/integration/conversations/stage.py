"""The conversations function as a client meets it: function-URL events in, answers out, over tables of moto's DynamoDB."""

import base64
import gzip
import io
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from botocore.awsrequest import AWSResponse
from moto.core.models import botocore_stubber

from functions.common import keys, times
from functions.common.events import Event, to_log
from functions.common.ids import new_id
from functions.common.log import get_logger
from functions.conversations import handler as function
from infra.resources import CONVERSATIONS, TURNS, Table
from tests.oidc import OidcProvider

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


class LambdaContext:
    """What the runtime hands over beside the event."""

    function_name = "conversations"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:eu-central-1:123456789012:function:conversations"
    aws_request_id = "52fdfc07-2182-154f-163f-5f0f9a621d72"
    remaining_ms = 30_000

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining_ms


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        assert self.headers["content-type"] == "application/problem+json"
        return str(self.json["code"])

    @property
    def fields(self) -> list[str]:
        return [error["field"] for error in self.json["errors"]]


class Stage:
    """One function, one provider, two tables."""

    def __init__(self, provider: OidcProvider) -> None:
        self.provider = provider
        self.context = LambdaContext()
        self.db: DynamoDBClient = function.dynamodb()
        self.calls: list[str] = []
        self.items_made: dict[str, str] = {}
        self.log = io.StringIO()
        get_logger("conversations")
        for handler in logging.getLogger("conversations").handlers:
            if isinstance(handler, logging.StreamHandler):
                handler.setStream(self.log)
        for table in (CONVERSATIONS, TURNS):
            _create(self.db, table)
        self.db.meta.events.register("before-call.dynamodb", lambda model, **_: self.calls.append(model.name))

    # Asking

    def ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        *,
        sub: str | None = "alice",
        workspaces: list[str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: str | bytes | None = None,
    ) -> Answer:
        signed = {} if sub is None else {"authorization": f"Bearer {self.provider.token(sub, workspaces)}"}
        event = event_of(method, path, query or {}, {**signed, **(headers or {})}, body)
        answer = function.handler(event, self.context)  # type: ignore[arg-type]  # a stand-in for the runtime's own
        raw = answer["body"] or ""
        content = base64.b64decode(raw) if answer["isBase64Encoded"] else raw.encode()
        lower = {name.lower(): str(value) for name, value in answer["headers"].items()}
        return Answer(answer["statusCode"], lower, gzip.decompress(content) if "content-encoding" in lower else content)

    def get(self, path: str, **query: Any) -> Answer:
        return self.ask("GET", path, query)

    def patch(self, conversation_id: str, change: object, **more: Any) -> Answer:
        headers = {"content-type": "application/json", **more.pop("headers", {})}
        body = change if isinstance(change, str | bytes) else json.dumps(change)
        return self.ask("PATCH", f"/api/conversations/{conversation_id}", headers=headers, body=body, **more)

    # What is stored

    def conversation(self, workspace: str = "alice", at: float = 1_790_000_000.0, conversation_id: str | None = None) -> str:
        conversation_id = conversation_id or new_id()
        when = times.iso(at)
        head = {"workspace_id": workspace, "bud_id": "default", "model": "m", "title": f"Of {workspace}", "created_at": when}
        activity = {"updated_at": when, "activity": keys.activity(when, conversation_id)}
        self._put(CONVERSATIONS, keys.meta_key(conversation_id), {**head, **activity})
        return conversation_id

    def message(self, conversation_id: str, depth: int, content: str | None = "text", **attributes: str) -> str:
        message_id = attributes.pop("id", None) or new_id()
        row = {"id": message_id, "role": "user", "status": "complete", "created_at": times.iso(time.time()), **attributes}
        if content is not None:
            row["content"] = content
        self._put(CONVERSATIONS, keys.message_key(conversation_id, depth, message_id), row)
        return message_id

    def answer_under_way(self, conversation_id: str, depth: int, user: str = "alice", age_s: float = 0, **attributes: str) -> str:
        turn = new_id()
        named = {"id": turn, "turn_id": turn, "user_id": user, "role": "assistant", "status": "streaming"}
        created = {"created_at": times.iso(time.time() - age_s)}
        return self.message(conversation_id, depth, None, **{**named, **created, **attributes})

    def turn(self, turn_id: str, *said: Event, user: str = "alice", status: str = "streaming", silent_s: float = 0) -> None:
        at, expires = {"N": str(int((time.time() - silent_s) * 1000))}, {"N": str(int(time.time()) + 3600)}
        pk = keys.turn_pk(turn_id, user)
        claim = {"status": {"S": status}, "digest": {"S": "d"}, "at": at, "expires_at": expires}
        self.db.put_item(TableName=TURNS.name, Item={"pk": {"S": pk}, "sk": {"S": keys.TURN}, **claim})
        if said:
            log = {"events": {"S": to_log(said)}, "last": {"N": str(len(said))}, "at": at, "expires_at": expires}
            self.db.put_item(TableName=TURNS.name, Item={"pk": {"S": pk}, "sk": {"S": keys.events_sk(1)}, **log})

    def items(self, table: Table) -> set[tuple[str, str]]:
        pages = self.db.get_paginator("scan").paginate(TableName=table.name)
        return {(item["pk"]["S"], item["sk"]["S"]) for page in pages for item in page["Items"]}

    def item(self, table: Table, key: keys.Key) -> dict[str, Any]:
        answer = self.db.get_item(TableName=table.name, Key={"pk": {"S": key.pk}, "sk": {"S": key.sk}})
        return dict(answer.get("Item", {}))

    def _put(self, table: Table, key: keys.Key, attributes: Mapping[str, str]) -> None:
        named = {**attributes, "pk": key.pk, "sk": key.sk}
        self.db.put_item(TableName=table.name, Item={name: {"S": value} for name, value in named.items()})

    # Faults, at the wire

    def breaks(self, operation: str, fault: Callable[[bytes], AWSResponse | Exception | None]) -> None:
        """From now on `fault` sees each request of the operation, and may answer in DynamoDB's place."""

        def before_send(request: Any, **_: Any) -> Any:
            answer = fault(request.body)
            if isinstance(answer, Exception):
                raise answer
            # botocore asks every handler and takes the first answer: moto's would still carry the request out.
            botocore_stubber.enabled = answer is None
            return answer

        def after_send(**_: Any) -> None:
            botocore_stubber.enabled = True

        self.db.meta.events.register_first(f"before-send.dynamodb.{operation}", before_send)
        self.db.meta.events.register_last("before-send", after_send)  # behind moto's own, which stands under this name


class Raw:
    """The body of an answer, as botocore reads it."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, **_: Any) -> list[bytes]:
        return [self._body]


def refusal(code: str, status: int = 400, **more: Any) -> AWSResponse:
    """What DynamoDB answers when it refuses."""
    body = json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "the words of the store", **more})
    return _response(status, body)


def accepted(**body: Any) -> AWSResponse:
    return _response(200, json.dumps(body))


def _response(status: int, body: str) -> AWSResponse:
    headers: Any = {"content-type": "application/x-amz-json-1.0"}
    return AWSResponse("https://dynamodb", status, headers, Raw(body.encode()))


def event_of(
    method: str, path: str, query: Mapping[str, Any], headers: Mapping[str, str], body: str | bytes | None
) -> dict[str, Any]:
    """A function URL's event, payload version 2.0, as AWS documents it."""
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": urlencode(query, doseq=True),
        "headers": {"host": "x.lambda-url.eu-central-1.on.aws", **headers},
        "queryStringParameters": {
            name: ",".join(map(str, value)) if isinstance(value, list) else str(value) for name, value in query.items()
        },
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "x",
            "domainName": "x.lambda-url.eu-central-1.on.aws",
            "domainPrefix": "x",
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "test"},
            "requestId": "id",
            "routeKey": "$default",
            "stage": "$default",
            "time": "22/Nov/2026:18:00:00 +0000",
            "timeEpoch": 1795370400000,
        },
        "body": base64.b64encode(body).decode() if isinstance(body, bytes) else body,
        "isBase64Encoded": isinstance(body, bytes),
    }


def _create(db: "DynamoDBClient", table: Table) -> None:
    named = [
        table.partition_key,
        table.sort_key,
        *(key for index in table.indexes for key in (index.partition_key, index.sort_key)),
    ]
    options: Any = {
        "GlobalSecondaryIndexes": [
            {
                "IndexName": index.name,
                "KeySchema": _schema(index.partition_key, index.sort_key),
                "Projection": {"ProjectionType": "ALL"},
            }
            for index in table.indexes
        ]
    }
    db.create_table(
        TableName=table.name,
        KeySchema=_schema(table.partition_key, table.sort_key),
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in named],
        BillingMode="PAY_PER_REQUEST",
        **(options if table.indexes else {}),
    )


def _schema(partition_key: str, sort_key: str) -> Any:
    return [{"AttributeName": partition_key, "KeyType": "HASH"}, {"AttributeName": sort_key, "KeyType": "RANGE"}]

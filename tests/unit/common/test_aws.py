"""Calls to AWS are, byte for byte of what counts, those that boto3 makes: same protocol, same signature, same endpoints."""

import asyncio
import json
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from zlib import crc32

import boto3
import pytest
from botocore.config import Config
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import ClientError, CredentialRetrievalError

from functions.common import aws
from functions.common.aws import Aws, ConditionFailed, Refused, Service, StorageUnavailable, TransactionCanceled
from functions.common.http_body import Head
from functions.common.session import Session
from functions.conversations import handler
from tests.support.aws_requests import Kept, boto3_sends, check_against_boto3, signed_headers, signs_in

KEY = {"pk": {"S": "TURN#ü ☕"}, "sk": {"S": "TURN"}}
CALLS: list[tuple[Service, str, dict[str, Any]]] = [
    (aws.DYNAMODB, "PutItem", {"TableName": "t", "Item": KEY | {"durable": {"BOOL": False}, "at": {"N": "1"}}}),
    (aws.DYNAMODB, "Query", {"TableName": "t", "KeyConditionExpression": "pk = :pk", "ConsistentRead": True, "Limit": 4}),
    (aws.DYNAMODB, "BatchGetItem", {"RequestItems": {"t": {"Keys": [KEY], "ConsistentRead": True}}}),
    (aws.DYNAMODB, "UpdateItem", {"TableName": "t", "Key": KEY, "UpdateExpression": "SET a = :a"}),
    (
        aws.DYNAMODB,
        "TransactWriteItems",
        {"TransactItems": [{"Put": {"TableName": "t", "Item": KEY}}], "ClientRequestToken": "1"},
    ),
    (aws.DYNAMODB, "DeleteItem", {"TableName": "t", "Key": KEY}),
    (
        aws.SQS,
        "SendMessageBatch",
        {
            "QueueUrl": "https://sqs.eu-central-1.amazonaws.com/1/q",
            "Entries": [{"Id": "0", "MessageBody": "ü", "DelaySeconds": 9}],
        },
    ),
    (aws.SECRETS_MANAGER, "GetSecretValue", {"SecretId": "key"}),
]


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    signs_in(monkeypatch)


@pytest.mark.parametrize(("service", "operation", "asked"), CALLS, ids=[call[1] for call in CALLS])
async def test_a_call_is_the_one_that_boto3_makes(service: Service, operation: str, asked: dict[str, Any]) -> None:
    wire = Kept()

    await wire.call(service, operation, asked)

    (sent,) = wire.sent
    check_against_boto3(sent, service.name, operation, asked)


@pytest.mark.parametrize(("service", "operation", "asked"), CALLS, ids=[call[1] for call in CALLS])
async def test_the_signature_is_the_one_that_boto3_gives_to_the_same_bytes(
    service: Service, operation: str, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    wire = Kept()
    await wire.call(service, operation, asked)
    ((_, headers, body),) = wire.sent
    agent = headers["user-agent"]

    def same_bytes(params: dict[str, Any], **_: Any) -> None:
        params["body"] = body

    make: Any = boto3.Session.client

    def making(session: boto3.Session, name: str, config: Config) -> Any:
        client = make(session, name, config=config.merge(Config(user_agent=agent)))
        client.meta.events.register("before-call", same_bytes)
        return client

    monkeypatch.setattr(boto3.Session, "client", making)
    _, theirs, their_body = boto3_sends(service.name, operation, asked, only=signed_headers(headers))

    assert their_body == body
    assert theirs["authorization"] == headers["authorization"]


async def test_a_configured_endpoint_is_taken_for_its_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "http://localhost:4566")
    wire = Kept()

    for service, operation, asked in (CALLS[0], CALLS[6]):
        await wire.call(service, operation, asked)

    assert [headers["host"] for _, headers, _ in wire.sent] == ["dynamodb.eu-central-1.amazonaws.com", "localhost:4566"]


async def test_a_table_or_queue_that_takes_two_seconds_is_slow_not_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(2.1)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        assert head.startswith(b"POST / ")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        wire = Aws(Session())
        answers = await asyncio.gather(wire.call(*CALLS[0]), wire.call(*CALLS[6]))
        await wire.close()

    assert list(answers) == [{}, {}]


async def test_without_a_region_or_credentials_a_call_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(StorageUnavailable):
        await Kept().call(*CALLS[0])

    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(StorageUnavailable):
        await Kept().call(*CALLS[0])


@pytest.mark.parametrize(
    ("env", "region"),
    [
        ({"AWS_REGION": "eu-north-1"}, "eu-north-1"),
        ({"AWS_DEFAULT_REGION": "eu-north-1"}, "eu-north-1"),
        ({"AWS_REGION": "eu-north-1", "AWS_DEFAULT_REGION": "us-east-2"}, "eu-north-1"),  # as for the AWS CLI
        ({"AWS_REGION": "", "AWS_DEFAULT_REGION": "us-east-2"}, "us-east-2"),
        ({"AWS_REGION": "eu-north-1", "AWS_PROFILE": "mine"}, "eu-north-1"),
        ({"AWS_PROFILE": "mine"}, "sa-east-1"),
        ({"AWS_DEFAULT_PROFILE": "mine"}, "sa-east-1"),
    ],
)
async def test_the_region_is_found_wherever_aws_s_own_tools_find_it(
    env: dict[str, str], region: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text("[profile mine]\nregion = sa-east-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    wire = Kept()

    await wire.call(*CALLS[0])
    handler.dynamodb.cache_clear()
    of_conversations = handler.dynamodb().meta.region_name
    handler.dynamodb.cache_clear()

    assert wire.sent[0][1]["host"] == f"dynamodb.{region}.amazonaws.com"
    assert f"/{region}/dynamodb/aws4_request" in wire.sent[0][1]["authorization"]
    assert of_conversations == region


async def test_calls_that_wait_for_credentials_share_the_one_search_and_its_failure() -> None:
    asked: list[str] = []
    begun, go = threading.Event(), threading.Event()

    def refused() -> dict[str, str]:
        asked.append("credentials")
        begun.set()
        go.wait(20)
        raise CredentialRetrievalError(provider="test", error_msg="500")

    wire = Kept()
    await wire.prepare()
    credentials: Any = RefreshableCredentials.create_from_metadata(of("OLD", 3600), refused, "test")
    wire._session._credentials = credentials
    credentials._expiry_time = datetime.now(UTC) + timedelta(seconds=-1)
    calls = [asyncio.create_task(wire.call(*CALLS[0])) for _ in range(20)]
    assert await asyncio.to_thread(begun.wait, 20)
    go.set()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)

    assert {type(outcome) for outcome in outcomes} == {StorageUnavailable}
    assert len(asked) == 1


@pytest.mark.parametrize(("left_s", "renewed"), [(20 * 60, 1), (12 * 60, 2), (60, 2)], ids=["long", "soon over", "nearly over"])
async def test_credentials_are_renewed_before_they_end(left_s: int, renewed: int) -> None:
    asked: list[str] = []

    def fetch() -> dict[str, str]:
        left = left_s if not asked else 3600
        asked.append("credentials")
        return of(f"KEY{len(asked)}", left)

    wire = Kept()
    await wire.prepare()
    wire._session._credentials = RefreshableCredentials.create_from_metadata(fetch(), fetch, "test")

    for _ in range(3):
        await wire.call(*CALLS[0])

    assert len(asked) == renewed
    assert f"Credential=KEY{renewed}/" in wire.sent[-1][1]["authorization"]


class Renewals:
    """Credentials that are good for 12 minutes more, and whose renewal does as it is told."""

    def __init__(self, renew: Callable[[], dict[str, str]]) -> None:
        self._renew = renew
        self.asked = 0
        self.credentials: Any = RefreshableCredentials.create_from_metadata(of("OLD", 3600), self._fetch, "test")

    def _fetch(self) -> dict[str, str]:
        self.asked += 1
        return self._renew()

    async def near_their_end(self) -> Kept:
        wire = Kept()
        await wire.prepare()
        wire._session._credentials = self.credentials
        await wire.call(*CALLS[0])
        self.credentials._expiry_time = datetime.now(UTC) + timedelta(seconds=12 * 60)
        wire._session._tried_at = -60.0
        return wire


def of(key: str, left_s: float) -> dict[str, str]:
    ends = datetime.now(UTC) + timedelta(seconds=left_s)
    return {"access_key": key, "secret_key": "s", "token": "t", "expiry_time": ends.isoformat()}


async def test_a_renewal_that_takes_its_time_holds_up_no_call() -> None:
    begun, go = threading.Event(), threading.Event()

    def slowly() -> dict[str, str]:
        begun.set()
        go.wait(20)
        return of("NEW", 3600)

    renewals = Renewals(slowly)
    wire = await renewals.near_their_end()
    await wire.call(*CALLS[0])
    assert await asyncio.to_thread(begun.wait, 20)
    await wire.call(*CALLS[0])
    assert "Credential=OLD/" in wire.sent[-1][1]["authorization"]
    assert renewals.asked == 1

    go.set()
    await wire._renew()
    await wire.call(*CALLS[0])
    assert "Credential=NEW/" in wire.sent[-1][1]["authorization"]


async def test_a_renewal_that_fails_early_is_left_for_half_a_minute() -> None:
    def refused() -> dict[str, str]:
        raise CredentialRetrievalError(provider="test", error_msg="500")

    renewals = Renewals(refused)
    wire = await renewals.near_their_end()
    for _ in range(5):
        await wire.call(*CALLS[0])
        await asyncio.sleep(0.01)

    assert renewals.asked == 1
    assert "Credential=OLD/" in wire.sent[-1][1]["authorization"]


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "Throttling", "Message": "Rate exceeded"}}, "AssumeRole"),
        CredentialRetrievalError(provider="test", error_msg="500"),
        RuntimeError("out of date"),
        OSError("no such file"),
        KeyError("AccessKeyId"),
        ValueError("not a date"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_credentials_that_cannot_be_had_make_a_call_unavailable_whatever_their_source_raises(error: Exception) -> None:
    class Source:
        def get_frozen_credentials(self) -> object:
            raise error

    wire = Kept()
    await wire.prepare()
    wire._session._credentials = cast("Any", Source())
    with pytest.raises(StorageUnavailable):
        await wire.call(*CALLS[0])


async def test_whatever_breaks_on_the_way_to_aws_makes_a_call_unavailable() -> None:
    class Broken(Kept):
        async def send(self, service: Service, head: bytes, body: bytes) -> tuple[Head, bytes]:
            raise KeyError("a fault of ours, or of a library")

    with pytest.raises(StorageUnavailable):
        await Broken().call(*CALLS[0])


@pytest.mark.parametrize(
    ("status", "said", "kind", "code"),
    [
        (400, {"__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException"}, ConditionFailed, None),
        (400, {"__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException"}, TransactionCanceled, None),
        (400, {"__type": "com.amazon.coral.availability#ThrottlingException"}, Refused, "ThrottlingException"),
        (500, {"__type": "InternalServerError"}, Refused, "InternalServerError"),
        (400, {"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "no"}, Refused, "QueueDoesNotExist"),
        (503, {}, Refused, "503"),
        (400, {"__type": 5}, Refused, "5"),
        (502, ["not AWS's own words"], Refused, "502"),
        (200, [], StorageUnavailable, None),
    ],
)
async def test_an_error_has_the_name_that_aws_gave_it(
    status: int, said: object, kind: type[StorageUnavailable], code: str | None
) -> None:
    with pytest.raises(kind) as caught:
        await Kept(status, said).call(*CALLS[0])

    assert type(caught.value) is kind
    if code is not None:
        assert isinstance(caught.value, Refused)
        assert (caught.value.code, caught.value.status) == (code, status)


async def test_an_error_says_what_lay_there_and_why_a_transaction_was_canceled() -> None:
    item, reasons = {"digest": {"S": "d"}}, [{"Code": "None"}, {"Code": "ConditionalCheckFailed"}]
    with pytest.raises(ConditionFailed) as failed:
        await Kept(400, {"__type": "x#ConditionalCheckFailedException", "Item": item}).call(*CALLS[0])
    with pytest.raises(TransactionCanceled) as canceled:
        await Kept(400, {"__type": "x#TransactionCanceledException", "CancellationReasons": reasons}).call(*CALLS[4])

    assert failed.value.item == item
    assert canceled.value.reasons == reasons
    assert canceled.value.codes == ["None", "ConditionalCheckFailed"]


async def test_an_answer_that_was_damaged_is_not_believed() -> None:
    said = {"Items": [KEY]}
    whole = crc32(json.dumps(said).encode())

    assert await Kept(200, said, checksum=whole).call(*CALLS[1]) == said
    with pytest.raises(StorageUnavailable):
        await Kept(200, said, checksum=whole + 1).call(*CALLS[1])


async def test_a_query_is_read_to_its_last_page() -> None:
    class Paged(Kept):
        async def call(self, service: Service, operation: str, asked: Mapping[str, Any]) -> Mapping[str, Any]:
            await super().call(service, operation, asked)
            return {"Items": [{"n": len(self.sent)}], **({"LastEvaluatedKey": KEY} if len(self.sent) < 3 else {})}

    wire = Paged()

    assert await wire.query(*CALLS[1][::2]) == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert [json.loads(body).get("ExclusiveStartKey") for _, _, body in wire.sent] == [None, KEY, KEY]

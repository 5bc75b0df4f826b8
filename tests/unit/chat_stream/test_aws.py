"""Calls to AWS are, byte for byte of what counts, those that boto3 makes: same protocol, same signature, same endpoints."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from zlib import crc32

import boto3
import pytest
from botocore import auth as botocore_auth
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.credentials import RefreshableCredentials

from functions.chat_stream import aws
from functions.chat_stream.aws import Aws, ConditionFailed, Refused, Service, StorageUnavailable, TransactionCanceled
from functions.chat_stream.http_body import Head
from functions.chat_stream.session import Session

KEY = {"pk": {"S": "TURN#ü ☕"}, "sk": {"S": "TURN"}}
CALLS: list[tuple[Service, str, dict[str, Any]]] = [
    (aws.DYNAMODB, "PutItem", {"TableName": "t", "Item": KEY | {"durable": {"BOOL": False}, "at": {"N": "1"}}}),
    (aws.DYNAMODB, "Query", {"TableName": "t", "KeyConditionExpression": "pk = :pk", "ConsistentRead": True, "Limit": 4}),
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
PYTHONIC = {
    "PutItem": "put_item", "Query": "query", "UpdateItem": "update_item", "TransactWriteItems": "transact_write_items",
    "DeleteItem": "delete_item", "SendMessageBatch": "send_message_batch", "GetSecretValue": "get_secret_value",
}  # fmt: skip


class _Wire(Aws):
    """Keeps what would be sent, and answers as told."""

    def __init__(self, status: int = 200, said: object = None, checksum: int | None = None) -> None:
        super().__init__(Session())
        self.sent: list[tuple[str, dict[str, str], bytes]] = []
        content = json.dumps({} if said is None else said).encode()
        headers = [] if checksum is None else [(b"x-amz-crc32", b"%d" % checksum)]
        self._answer = Head(status, headers), content

    async def send(self, service: Service, head: bytes, body: bytes) -> tuple[Head, bytes]:
        first, *lines = head.decode("ascii").rstrip().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        self.sent.append((first, {name.lower(): value for name, value in headers.items()}, body))
        return self._answer


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Temporary ones, as Lambda's are, at one moment."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        "AWS_SESSION_TOKEN": "token",
        "AWS_DEFAULT_REGION": "eu-central-1",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(botocore_auth, "get_current_datetime", lambda: datetime(2026, 11, 24, 12, tzinfo=UTC))


def boto3_sends(service: str, operation: str, asked: Mapping[str, Any], only: str) -> tuple[str, dict[str, str], bytes]:
    """The URL, the headers and the body of boto3's own call; of the headers it signs, the ones named in `only`."""
    session: Any = boto3.Session()
    client = session.client(service, config=Config(parameter_validation=False, account_id_endpoint_mode="disabled"))
    seen: list[Any] = []

    def choose(request: Any, **_: Any) -> None:
        for name in set(request.headers) - set(only.split(";")):  # its own telemetry, which it would sign too
            if name.lower() not in only.split(";"):
                del request.headers[name]

    def keep(request: Any, **_: Any) -> AWSResponse:
        seen.append(request)
        raw: Any = SimpleNamespace(stream=lambda *_, **__: iter([b"{}"]))
        headers: Any = {}
        return AWSResponse(request.url, 200, headers, raw)

    client.meta.events.register("before-sign", choose)
    client.meta.events.register("before-send", keep)
    getattr(client, PYTHONIC[operation])(**asked)
    (request,) = seen
    headers = {name.lower(): value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()}
    return request.url, headers, request.body


@pytest.mark.parametrize(("service", "operation", "asked"), CALLS, ids=[call[1] for call in CALLS])
async def test_a_call_is_the_one_that_boto3_makes(service: Service, operation: str, asked: dict[str, Any]) -> None:
    wire = _Wire()

    await wire.call(service, operation, asked)

    ((first, headers, body),) = wire.sent
    signed = headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0]
    url, theirs, their_body = boto3_sends(service.name, operation, asked, only=signed)
    assert (first, f"https://{headers['host']}/") == ("POST / HTTP/1.1", url)
    assert json.loads(body) == json.loads(their_body)
    for name in ("x-amz-target", "content-type", "x-amz-date", "x-amz-security-token"):
        assert headers[name] == theirs[name], name
    assert int(headers["content-length"]) == len(body)


@pytest.mark.parametrize(("service", "operation", "asked"), CALLS, ids=[call[1] for call in CALLS])
async def test_the_signature_is_the_one_that_boto3_gives_to_the_same_bytes(
    service: Service, operation: str, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    wire = _Wire()
    await wire.call(service, operation, asked)
    ((_, headers, body),) = wire.sent
    signed = headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0]
    agent = headers["user-agent"]

    def same_bytes(params: dict[str, Any], **_: Any) -> None:
        params["body"] = body

    make: Any = boto3.Session.client

    def making(session: boto3.Session, name: str, config: Config) -> Any:
        client = make(session, name, config=config.merge(Config(user_agent=agent)))
        client.meta.events.register("before-call", same_bytes)
        return client

    monkeypatch.setattr(boto3.Session, "client", making)
    _, theirs, their_body = boto3_sends(service.name, operation, asked, only=signed)

    assert their_body == body
    assert theirs["authorization"] == headers["authorization"]


async def test_a_configured_endpoint_is_taken_for_its_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "http://localhost:4566")
    wire = _Wire()

    for service, operation, asked in (CALLS[0], CALLS[5]):
        await wire.call(service, operation, asked)

    assert [headers["host"] for _, headers, _ in wire.sent] == ["dynamodb.eu-central-1.amazonaws.com", "localhost:4566"]


async def test_without_a_region_or_credentials_a_call_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(StorageUnavailable):
        await _Wire().call(*CALLS[0])

    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(StorageUnavailable):
        await _Wire().call(*CALLS[0])


@pytest.mark.parametrize(("left_s", "renewed"), [(20 * 60, 1), (12 * 60, 2), (60, 2)], ids=["long", "soon over", "nearly over"])
async def test_credentials_are_renewed_before_they_end(left_s: int, renewed: int) -> None:
    asked: list[str] = []

    def fetch() -> dict[str, str]:
        left = left_s if not asked else 3600
        asked.append("credentials")
        ends = datetime.now(UTC) + timedelta(seconds=left)
        return {"access_key": f"KEY{len(asked)}", "secret_key": "s", "token": "t", "expiry_time": ends.isoformat()}

    wire = _Wire()
    await wire.prepare()
    wire._session._credentials = RefreshableCredentials.create_from_metadata(fetch(), fetch, "test")

    for _ in range(3):
        await wire.call(*CALLS[0])

    assert len(asked) == renewed
    assert f"Credential=KEY{renewed}/" in wire.sent[-1][1]["authorization"]


@pytest.mark.parametrize(
    ("status", "said", "kind", "code"),
    [
        (400, {"__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException"}, ConditionFailed, None),
        (400, {"__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException"}, TransactionCanceled, None),
        (400, {"__type": "com.amazon.coral.availability#ThrottlingException"}, Refused, "ThrottlingException"),
        (500, {"__type": "InternalServerError"}, Refused, "InternalServerError"),
        (400, {"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "no"}, Refused, "QueueDoesNotExist"),
        (503, {}, Refused, "503"),
        (200, [], StorageUnavailable, None),
    ],
)
async def test_an_error_has_the_name_that_aws_gave_it(
    status: int, said: object, kind: type[StorageUnavailable], code: str | None
) -> None:
    with pytest.raises(kind) as caught:
        await _Wire(status, said).call(*CALLS[0])

    assert type(caught.value) is kind
    if code is not None:
        assert isinstance(caught.value, Refused)
        assert caught.value.code == code


async def test_an_error_says_what_lay_there_and_why_a_transaction_was_canceled() -> None:
    item, reasons = {"digest": {"S": "d"}}, [{"Code": "None"}, {"Code": "ConditionalCheckFailed"}]
    with pytest.raises(ConditionFailed) as failed:
        await _Wire(400, {"__type": "x#ConditionalCheckFailedException", "Item": item}).call(*CALLS[0])
    with pytest.raises(TransactionCanceled) as canceled:
        await _Wire(400, {"__type": "x#TransactionCanceledException", "CancellationReasons": reasons}).call(*CALLS[3])

    assert failed.value.item == item
    assert canceled.value.codes == ["None", "ConditionalCheckFailed"]


async def test_an_answer_that_was_damaged_is_not_believed() -> None:
    said = {"Items": [KEY]}
    whole = crc32(json.dumps(said).encode())

    assert await _Wire(200, said, checksum=whole).call(*CALLS[1]) == said
    with pytest.raises(StorageUnavailable):
        await _Wire(200, said, checksum=whole + 1).call(*CALLS[1])

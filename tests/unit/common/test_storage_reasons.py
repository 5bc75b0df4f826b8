"""Why a call to AWS failed is one of few codes: told by the log and the metric, for every error that AWS or botocore knows."""

import json
import ssl
from itertools import pairwise
from typing import Any

import boto3
import botocore.exceptions
import botocore.loaders
import httpx2
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.stub import Stubber

from functions.common import aws
from functions.common.aws import Aws, Refused, StorageUnavailable
from functions.common.failures import Failures
from functions.common.log import FIELDS
from functions.common.session import NoCredentials, NoRegion, NotReady, Session
from functions.common.storage_faults import StorageFault, fault_of, fault_of_cancelled, fault_of_code
from functions.conversations.failing_calls import watch
from tests.support.aws_requests import Kept, signs_in

GET: Any = (aws.DYNAMODB, "GetItem", {"TableName": "t", "Key": {"pk": {"S": "a"}}})


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    signs_in(monkeypatch)


@pytest.mark.parametrize(
    ("code", "status", "fault"),
    [
        ("ThrottlingException", 400, "throttled"),
        ("ProvisionedThroughputExceededException", 400, "throttled"),
        ("RequestThrottled", 403, "throttled"),
        ("TooManyRequests", 429, "throttled"),
        ("ExpiredTokenException", 400, "credentials_expired"),
        ("UnrecognizedClientException", 400, "credentials_refused"),
        ("InvalidSignatureException", 400, "credentials_refused"),
        ("RequestExpired", 400, "clock_wrong"),
        ("AccessDeniedException", 400, "no_permission"),
        ("KmsAccessDenied", 400, "no_permission"),
        ("SomethingNew", 403, "no_permission"),
        ("ResourceNotFoundException", 400, "not_found"),
        ("AWS.SimpleQueueService.NonExistentQueue", 400, "not_found"),
        ("TransactionConflictException", 400, "conflict"),
        ("TransactionInProgressException", 400, "conflict"),
        ("ValidationException", 400, "rejected"),
        ("InternalServerError", 500, "unavailable"),
        ("503", 503, "unavailable"),
        ("", 0, "unknown"),
    ],
)
def test_an_error_that_aws_names_has_a_code_that_says_what_to_do(code: str, status: int, fault: str) -> None:
    assert fault_of_code(code, status) == fault
    response: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    assert fault_of(ClientError(response, "GetItem")) == fault


def test_every_error_of_the_services_models_is_known_and_none_is_taken_for_our_own_mistake() -> None:
    """Read from botocore's data: what each service says of its errors."""
    said_to_be_ours = {"ValidationException", "InvalidParameterException", "InvalidRequestException", "SerializationException"}
    loader = botocore.loaders.create_loader()
    wrong: list[tuple[str, str, str]] = []
    for service in ("dynamodb", "sqs", "secretsmanager", "sts", "kms"):
        for name, shape in loader.load_service_model(service, "service-2")["shapes"].items():
            if not shape.get("exception") or name in said_to_be_ours:
                continue
            text = name.lower()
            fault = fault_of_code(shape.get("error", {}).get("code", name), 500 if shape.get("fault") else 400)
            if ("throttl" in text or "throughputexceeded" in text) and fault is not StorageFault.THROTTLED:
                wrong.append((service, name, fault))
            if "accessdenied" in text and fault is not StorageFault.NO_PERMISSION:
                wrong.append((service, name, fault))
            if "expiredtoken" in text and fault is not StorageFault.CREDENTIALS_EXPIRED:
                wrong.append((service, name, fault))
    assert wrong == []


def errors_of_botocore() -> list[type[BotoCoreError]]:
    found = [one for one in vars(botocore.exceptions).values() if isinstance(one, type) and issubclass(one, BotoCoreError)]
    return sorted(found, key=lambda one: one.__name__)


@pytest.mark.parametrize("kind", errors_of_botocore(), ids=lambda kind: kind.__name__)
def test_an_error_of_botocore_s_own_has_a_code(kind: type[BotoCoreError]) -> None:
    fault = fault_of(kind.__new__(kind))
    name = kind.__name__
    if "Timeout" in name:
        assert fault is StorageFault.TIMED_OUT
    elif issubclass(kind, botocore.exceptions.SSLError):
        assert fault is StorageFault.UNTRUSTED
    elif "Connection" in name or issubclass(kind, botocore.exceptions.HTTPClientError):
        assert fault in {StorageFault.UNREACHABLE, StorageFault.TIMED_OUT, StorageFault.BROKEN_REPLY}
    elif "Credential" in name and "Config" not in name:
        assert fault in {StorageFault.NO_CREDENTIALS, StorageFault.CREDENTIALS_EXPIRED}
    elif name == "NoRegionError":
        assert fault is StorageFault.NO_REGION


STILL_EXPIRED = RuntimeError("Credentials were refreshed, but the refreshed credentials are still expired.")  # botocore's words


def chain(*errors: BaseException) -> BaseException:
    """The first, raised from the second, raised from the third, …"""
    for error, cause in pairwise(errors):
        error.__cause__ = cause
    return errors[0]


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (chain(StorageUnavailable(), httpx2.ReadTimeout("x")), "timed_out"),
        (chain(StorageUnavailable(), httpx2.ConnectTimeout("x")), "timed_out"),
        (chain(StorageUnavailable(), httpx2.ConnectError("x"), ConnectionRefusedError()), "unreachable"),
        (chain(StorageUnavailable(), httpx2.ConnectError("x"), ssl.SSLCertVerificationError()), "untrusted"),
        (chain(StorageUnavailable(), httpx2.ConnectError("x"), OSError("no such host")), "unreachable"),
        (chain(StorageUnavailable(), httpx2.ReadError("x")), "unreachable"),
        (chain(StorageUnavailable(), httpx2.RemoteProtocolError("x")), "broken_reply"),
        (StorageUnavailable("damaged on its way"), "broken_reply"),
        (chain(StorageUnavailable(), NoRegion()), "no_region"),
        (chain(StorageUnavailable(), NoCredentials()), "no_credentials"),
        (chain(StorageUnavailable(), NotReady(), botocore.exceptions.NoCredentialsError()), "no_credentials"),
        (chain(StorageUnavailable(), NotReady(), STILL_EXPIRED), "credentials_expired"),
        (
            chain(StorageUnavailable(), NotReady(), ClientError({"Error": {"Code": "AccessDenied"}}, "AssumeRole")),
            "no_permission",
        ),
        (chain(StorageUnavailable(), NotReady(), ClientError({"Error": {"Code": "Throttling"}}, "AssumeRole")), "throttled"),
        (Refused("ThrottlingException", 400, {}), "throttled"),
        (TimeoutError(), "timed_out"),
        (KeyError("x"), "unknown"),
    ],
)
def test_a_failure_is_told_by_what_led_to_it(error: BaseException, fault: str) -> None:
    assert fault_of(error) == fault


@pytest.mark.parametrize(
    ("codes", "fault"),
    [
        (["None", "ConditionalCheckFailed"], None),
        (["ConditionalCheckFailed", "TransactionConflict"], "conflict"),
        (["ThrottlingError"], "throttled"),
        (["ProvisionedThroughputExceeded", "None"], "throttled"),
        (["ValidationError"], "rejected"),
        (["ItemCollectionSizeLimitExceeded"], "rejected"),
        ([], "unknown"),
        (["None", "None"], "unknown"),
    ],
)
def test_a_cancelled_transaction_failed_unless_only_conditions_did_not_hold(codes: list[str], fault: str | None) -> None:
    assert fault_of_cancelled(codes) == fault


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[Any, ...]]:
    return [(line.message, *(vars(line)[name] for name in ("operation", "reason", "code"))) for line in caplog.records]


def counted(found: list[dict[str, Any]]) -> list[tuple[str, str, float]]:
    """Each metric line: the service, the reason, the count."""
    metrics = [line for line in found if "_aws" in line]
    for line in metrics:
        assert line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["service", "reason"]]
    return [(line["service"], line["reason"], line["StorageFailures"][0]) for line in metrics]


@pytest.mark.parametrize(
    ("status", "said", "reason", "code"),
    [
        (400, {"__type": "x#ThrottlingException"}, "throttled", "ThrottlingException"),
        (400, {"__type": "x#ExpiredTokenException"}, "credentials_expired", "ExpiredTokenException"),
        (400, {"__type": "x#AccessDeniedException"}, "no_permission", "AccessDeniedException"),
        (200, [], "broken_reply", "StorageUnavailable"),
    ],
)
async def test_a_failed_call_is_counted_and_named_in_the_log(
    status: int, said: object, reason: str, code: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    wire = Kept(status, said)
    wire.failed = Failures("chat-blue", "chat_stream").storage

    for _ in range(3):
        with pytest.raises(StorageUnavailable):
            await wire.call(*GET)

    assert counted(lines(capsys)) == [("chat_stream", reason, 1.0)] * 3
    assert told(caplog) == [("a call to AWS failed", "GetItem", reason, code)]  # an outage is not a line for each call


async def test_a_condition_that_does_not_hold_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    for said in (
        {"__type": "x#ConditionalCheckFailedException"},
        {"__type": "x#TransactionCanceledException", "CancellationReasons": [{"Code": "ConditionalCheckFailed"}]},
    ):
        wire = Kept(400, said)
        wire.failed = Failures("chat-blue", "chat_stream").storage
        with pytest.raises(Refused):
            await wire.call(*GET)
    assert lines(capsys) == []


async def test_a_call_without_a_region_says_so(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")

    with pytest.raises(StorageUnavailable):
        await Aws(Session(), Failures("chat-blue", "persist").storage).call(*GET)

    assert counted(lines(capsys)) == [("persist", "no_region", 1.0)]


def test_a_failed_call_of_a_boto3_client_is_counted_too(capsys: pytest.CaptureFixture[str]) -> None:
    client = boto3.client("dynamodb", region_name="eu-north-1", config=Config(retries={"total_max_attempts": 1}))
    watch(client, Failures("chat-blue", "conversations"))

    with Stubber(client) as stub:
        stub.add_client_error("get_item", "ThrottlingException", http_status_code=400)
        stub.add_client_error("put_item", "ConditionalCheckFailedException", http_status_code=400)
        for call in (
            lambda: client.get_item(TableName="t", Key={"pk": {"S": "a"}}),
            lambda: client.put_item(TableName="t", Item={"pk": {"S": "a"}}),
        ):
            with pytest.raises(ClientError):
                call()

    assert counted(lines(capsys)) == [("conversations", "throttled", 1.0)]


def test_a_boto3_client_that_reaches_nobody_is_counted_too(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    client = boto3.client(
        "dynamodb", endpoint_url="http://127.0.0.1:9", region_name="eu-north-1", config=Config(retries={"total_max_attempts": 1})
    )
    watch(client, Failures("chat-blue", "conversations"))

    with pytest.raises(BotoCoreError):
        client.get_item(TableName="t", Key={"pk": {"S": "a"}})

    assert counted(lines(capsys)) == [("conversations", "unreachable", 1.0)]
    assert told(caplog) == [("a call to AWS failed", "GetItem", "unreachable", "EndpointConnectionError")]


def test_the_log_has_room_for_what_a_failure_says() -> None:
    assert {"reason", "operation", "code"} <= FIELDS

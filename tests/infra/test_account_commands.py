"""What `make deploy` and `make redrive` say of an account, and the redrive itself, against an embedded AWS."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from aws_cdk import DefaultStackSynthesizer
from botocore.exceptions import ClientError

from infra import account, preflight, redrive
from infra.account import AccountError, check_ready, concurrency_advice, function_name, outputs, session
from infra.config import Config
from infra.resources import PERSIST
from local.clients import client
from local.resources import create_queue

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient

CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
)


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> pytest.MonkeyPatch:
    """No credentials and no region anywhere."""
    for name in CREDENTIALS:
        monkeypatch.delenv(name, raising=False)
    empty = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(empty / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(empty / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch


@pytest.fixture
def signed_in(bare_machine: pytest.MonkeyPatch, aws_endpoint: str) -> str:
    """Credentials of the embedded AWS, as CDK's own command line would find them."""
    for name, value in (("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "y"), ("AWS_REGION", "us-east-1")):
        bare_machine.setenv(name, value)
    bare_machine.setenv("AWS_ENDPOINT_URL", aws_endpoint)
    return aws_endpoint


def said(command: Any, *arguments: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        command(list(arguments))
    return str(stopped.value)


@pytest.mark.usefixtures("bare_machine")
def test_without_credentials_a_sentence_says_so() -> None:
    assert "There are no AWS credentials. Sign in" in said(preflight.main, "-c", "region=eu-central-1")


def test_without_a_region_a_sentence_says_so(bare_machine: pytest.MonkeyPatch) -> None:
    bare_machine.setenv("AWS_ACCESS_KEY_ID", "x")
    bare_machine.setenv("AWS_SECRET_ACCESS_KEY", "y")
    for command in (preflight.main, redrive.main):
        assert "There is no region. Set AWS_REGION" in said(command)


def test_when_aws_does_not_answer_a_sentence_says_so(signed_in: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert signed_in
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert "AWS does not answer" in said(redrive.main)


def test_a_profile_that_is_not_there_is_a_sentence(signed_in: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert signed_in
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert "There are no AWS credentials" in said(preflight.main)


class NoStacks(BaseHTTPRequestHandler):
    """CloudFormation's answer where there is no such stack. moto's takes ten seconds to be imported."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = (
            b'<ErrorResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><Error><Type>Sender</Type>'
            b"<Code>ValidationError</Code><Message>Stack with id chat-blue does not exist</Message></Error></ErrorResponse>"
        )
        self.send_response(400)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """A test's output is its own."""


def test_a_stage_that_was_never_deployed_is_a_sentence(signed_in: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert signed_in
    with ThreadingHTTPServer(("127.0.0.1", 0), NoStacks) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        assert said(redrive.main, "--stage", "blue") == "There is no stack chat-blue in us-east-1. Which stage, which region?"
        server.shutdown()


class Ssm:
    """The parameter that `cdk bootstrap` leaves."""

    def __init__(self, version: str | None) -> None:
        self._version = version

    def get_parameter(self, Name: str) -> Any:  # noqa: N803 - the API's
        assert Name == f"/cdk-bootstrap/{DefaultStackSynthesizer.DEFAULT_QUALIFIER}/version"
        if self._version is None:
            raise ClientError({"Error": {"Code": "ParameterNotFound", "Message": ""}}, "GetParameter")
        return {"Parameter": {"Value": self._version}}

    def get_caller_identity(self) -> Any:
        return {"Account": "111122223333"}


@pytest.mark.parametrize(("version", "ready"), [(None, False), ("5", False), ("30", True)])
def test_an_account_that_was_not_bootstrapped_is_told_how(
    monkeypatch: pytest.MonkeyPatch, version: str | None, ready: bool
) -> None:
    monkeypatch.setattr(account, "client", lambda _aws, _service: Ssm(version))
    aws = boto3.Session(region_name="eu-central-1")
    if ready:
        assert check_ready(aws) == "111122223333"
        return
    with pytest.raises(AccountError, match=r"cdk bootstrap aws://111122223333/eu-central-1"):
        check_ready(aws)


class Lambda:
    """An account's limit of functions at once."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit

    def get_account_settings(self) -> Any:
        if self._limit is None:
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": ""}}, "GetAccountSettings")
        return {"AccountLimit": {"ConcurrentExecutions": self._limit, "UnreservedConcurrentExecutions": self._limit}}


def advice(monkeypatch: pytest.MonkeyPatch, limit: int | None, **context: str) -> str | None:
    monkeypatch.setattr(account, "client", lambda _aws, _service: Lambda(limit))
    return concurrency_advice(boto3.Session(region_name="eu-central-1"), Config.from_context(context))


def test_a_new_account_is_told_what_to_ask_for(monkeypatch: pytest.MonkeyPatch) -> None:
    told = advice(monkeypatch, 10)
    assert told is not None
    assert told.startswith("Lambda runs at most 10 functions at once")
    command = "aws service-quotas request-service-quota-increase --region eu-central-1 --service-code lambda"
    assert f"{command} --quota-code L-B99A9384 --desired-value 1000\n" in told
    assert "-c persistConcurrency=2" in told


def test_an_account_with_room_is_told_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert advice(monkeypatch, 1000) is None
    assert advice(monkeypatch, 20_000, chatConcurrency="11000") is None


def test_what_is_to_be_reserved_counts_and_what_cannot_be_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lambda leaves 100 to functions without a reservation."""
    assert "--desired-value 11120\n" in str(advice(monkeypatch, 1000, chatConcurrency="11000"))
    assert "leave out chatConcurrency=950" in str(advice(monkeypatch, 1000, chatConcurrency="950"))


def test_a_limit_that_may_not_be_read_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "could not be read (AccessDeniedException)" in str(advice(monkeypatch, None))


def test_the_preflight_prints_it_and_goes_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(preflight, "check_ready", lambda _aws: "111122223333")
    monkeypatch.setattr(account, "client", lambda _aws, _service: Lambda(10))
    preflight.main(["-c", "region=eu-central-1"])
    assert "Lambda runs at most 10 functions at once" in capsys.readouterr().out


def test_a_setting_that_cannot_be_is_said_before_aws_is_asked() -> None:
    assert said(preflight.main, "-c", "turnS=901") == "infra: turnS is 901: it must be between 60 and 900"


class CloudFormation:
    """A stack of two functions, on two pages."""

    def get_paginator(self, operation: str) -> "CloudFormation":
        assert operation == "list_stack_resources"
        return self

    def paginate(self, StackName: str) -> Iterator[Any]:  # noqa: N803 - the API's
        found = {"PersistFunction1A": "Function", "ChatStreamFunctionRole": "Role", "ChatStreamFunction2B": "Function"}
        for logical, kind in found.items():
            physical = f"{StackName}-{logical}"
            page = {"LogicalResourceId": logical, "ResourceType": f"AWS::Lambda::{kind}", "PhysicalResourceId": physical}
            yield {"StackResourceSummaries": [page]}


def test_a_function_is_found_by_its_place_in_the_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "client", lambda _aws, _service: CloudFormation())
    aws = boto3.Session(region_name="eu-central-1")
    assert function_name(aws, "chat-prod", "ChatStreamFunction") == "chat-prod-ChatStreamFunction2B"
    with pytest.raises(AccountError, match="has no function Conversations"):
        function_name(aws, "chat-prod", "Conversations")


def test_the_region_is_the_one_that_cdk_is_given() -> None:
    assert preflight.region_of(["-c", "stage=x", "-c", "region=eu-west-1", "--require-approval", "never"]) == "eu-west-1"
    assert preflight.region_of(["--context", "region=eu-west-1"]) == "eu-west-1"
    assert preflight.region_of(["-c", "stage=x"]) is None


def test_what_cdk_json_sets_counts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of a pair may stand there, and half in the arguments."""
    (tmp_path / "cdk.json").write_text(json.dumps({"context": {"oidcIssuer": "https://i.example.com", "region": "eu-west-3"}}))
    monkeypatch.chdir(tmp_path)
    arguments = ["-c", "oidcAudience=chat"]
    assert Config.from_context(preflight.context_of(arguments)).own_provider
    assert preflight.region_of(arguments) == "eu-west-3"
    assert preflight.region_of(["-c", "region=us-east-1"]) == "us-east-1"


@pytest.fixture
def sqs(aws_endpoint: str) -> "SQSClient":
    made: SQSClient = client("sqs", aws_endpoint)
    return made


@pytest.fixture
def queues(sqs: "SQSClient", request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """A queue and its dead-letter queue, by their URLs."""
    name = "".join(letter if letter.isalnum() else "-" for letter in request.node.name)[:60]
    queue, dead = create_queue(sqs, PERSIST, name=name)
    yield queue, dead
    for url in (queue, dead):
        sqs.delete_queue(QueueUrl=url)


def bodies(sqs: "SQSClient", url: str) -> dict[str, str]:
    """Message id by body, of all that lies in a queue."""
    found: dict[str, str] = {}
    while page := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        found |= {message["Body"]: message["MessageId"] for message in page}
    return found


def test_a_redrive_puts_every_dead_letter_back_as_a_new_message(sqs: "SQSClient", queues: tuple[str, str]) -> None:
    queue, dead = queues
    ids = {str(n): sqs.send_message(QueueUrl=dead, MessageBody=str(n))["MessageId"] for n in range(25)}
    assert redrive.redrive(sqs, dead, queue, at_most=1000) == 25
    back = bodies(sqs, queue)
    assert back.keys() == ids.keys()
    assert not set(back.values()) & set(ids.values())
    assert redrive.redrive(sqs, dead, queue, at_most=1000) == 0


def test_a_redrive_can_begin_with_one(sqs: "SQSClient", queues: tuple[str, str]) -> None:
    queue, dead = queues
    for n in range(5):
        sqs.send_message(QueueUrl=dead, MessageBody=str(n))
    assert redrive.redrive(sqs, dead, queue, at_most=1) == 1
    assert len(bodies(sqs, queue)) == 1


def test_large_letters_go_in_batches_that_sqs_takes(sqs: "SQSClient", queues: tuple[str, str]) -> None:
    queue, dead = queues
    large = {f"{n}" + "x" * 900_000 for n in range(3)}
    for body in large:
        sqs.send_message(QueueUrl=dead, MessageBody=body)
    assert redrive.redrive(sqs, dead, queue, at_most=10) == 3
    assert bodies(sqs, queue).keys() == large


def test_a_letter_that_the_queue_refuses_stays_a_dead_letter(sqs: "SQSClient", queues: tuple[str, str]) -> None:
    queue, dead = queues
    for n in range(2):
        sqs.send_message(QueueUrl=dead, MessageBody=str(n))
    refusing = Refusing(sqs)
    with pytest.raises(AccountError, match=r"refused 1 of 2"):
        redrive.redrive(refusing, dead, queue, at_most=10)  # type: ignore[arg-type]
    attributes = sqs.get_queue_attributes(
        QueueUrl=dead,
        AttributeNames=["ApproximateNumberOfMessagesNotVisible"],  # hidden while it was being moved
    )["Attributes"]
    assert attributes["ApproximateNumberOfMessagesNotVisible"] == "1"


class Refusing:
    """SQS that takes half of a batch."""

    def __init__(self, sqs: "SQSClient") -> None:
        self._sqs = sqs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sqs, name)

    def send_message_batch(self, QueueUrl: str, Entries: Any) -> Any:  # noqa: N803 - the API's
        taken, refused = Entries[:1], Entries[1:]
        self._sqs.send_message_batch(QueueUrl=QueueUrl, Entries=taken)
        return {"Failed": [{"Id": entry["Id"], "Code": "InternalError", "SenderFault": False} for entry in refused]}


def test_outputs_are_read_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    class CloudFormation:
        def describe_stacks(self, StackName: str) -> Any:  # noqa: N803 - the API's
            assert StackName == "chat-blue"
            return {"Stacks": [{"Outputs": [{"OutputKey": "QueueUrl", "OutputValue": "https://q"}]}]}

    monkeypatch.setattr(account, "client", lambda _aws, _service: CloudFormation())
    assert json.dumps(dict(outputs(session("eu-west-1"), "chat-blue"))) == '{"QueueUrl": "https://q"}'

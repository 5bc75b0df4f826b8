"""persist as it is deployed: its zip under Lambda's own Python runtime client and emulator, with events as SQS makes them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from functions.common import keys
from functions.common.records import encode
from infra.resources import CONVERSATIONS, TURNS
from local.clients import client
from local.environment import REGION, aws_environment
from local.resources import queue_arn
from local.sqs_event import event_of
from tests.integration.persist.persist_world import CONVERSATION, finished, head, started
from tests.support.function import tools
from tests.support.function.emulator import Emulated, emulated
from tests.support.function.environment import Code
from tests.support.function.world import World

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient


@pytest.fixture(scope="module")
def persist(
    packaged: Callable[[str], Path], python: Path, emulator: Path, runtime_folder: Path, aws_endpoint: str
) -> Iterator[Emulated]:
    code = Code(packaged("persist"), "functions.persist.handler.handler", python)
    env = aws_environment(aws_endpoint) | {"CHAT_CONVERSATIONS_TABLE": CONVERSATIONS.name, "CHAT_TURNS_TABLE": TURNS.name}
    with emulated(emulator, code, [tools.RUNTIME_CLIENT, runtime_folder], env) as function:
        yield function


@pytest.fixture
def sqs(world: World) -> "SQSClient":
    made: SQSClient = client("sqs", world.endpoint)
    return made


def through_the_queue(sqs: "SQSClient", url: str, *bodies: str) -> dict[str, Any]:
    """An event of messages that SQS itself gave out."""
    for body in bodies:
        sqs.send_message(QueueUrl=url, MessageBody=body)
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"])["Messages"]
    assert len(messages) == len(bodies)
    return event_of(messages, queue_arn(sqs, url), REGION)


def test_a_turn_is_stored_and_its_receipt_written(persist: Emulated, world: World, sqs: "SQSClient") -> None:
    turn = head(1)
    event = through_the_queue(sqs, world.env()["CHAT_QUEUE_URL"], encode(started(turn, "hi")), encode(finished(turn, "hello")))
    assert persist.invoke(event) == {"batchItemFailures": []}
    dynamodb = client("dynamodb", world.endpoint)
    stored = dynamodb.query(
        TableName=CONVERSATIONS.name,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": keys.conversation_pk(CONVERSATION)}},
    )["Items"]
    messages = [item for item in stored if item["sk"]["S"].startswith("MSG#")]
    assert [(item["role"]["S"], item["content"]["S"]) for item in messages] == [("user", "hi"), ("assistant", "hello")]
    key = {keys.PK: {"S": keys.turn_pk(turn.turn_id, turn.user_id)}, keys.SK: {"S": keys.RECEIPT}}
    receipt = dynamodb.get_item(TableName=TURNS.name, Key=key)["Item"]
    assert receipt["conversation_id"] == {"S": CONVERSATION}


def test_only_the_message_that_is_no_record_comes_back(persist: Emulated, world: World, sqs: "SQSClient") -> None:
    event = through_the_queue(sqs, world.env()["CHAT_QUEUE_URL"], encode(started(head(2))), '{"v": 99}')
    poison = next(record["messageId"] for record in event["Records"] if record["body"] == '{"v": 99}')
    assert persist.invoke(event) == {"batchItemFailures": [{"itemIdentifier": poison}]}
    assert '"v": 99' not in persist.output

"""The embedded AWS does what the product's races are settled by, and grows no slower with what it holds."""

import asyncio
import json
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from infra.resources import CONVERSATIONS, PERSIST, TURNS
from local.aws_server import EmbeddedAws
from local.clients import client
from local.resources import create_queue, create_table

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_sqs import SQSClient


@pytest.fixture
def dynamodb(aws_endpoint: str) -> "DynamoDBClient":
    found: DynamoDBClient = client("dynamodb", aws_endpoint)
    return found


@pytest.fixture
def table(dynamodb: "DynamoDBClient") -> Iterator[str]:
    name = create_table(dynamodb, TURNS, f"turns-{uuid4()}")
    yield name
    dynamodb.delete_table(TableName=name)


@pytest.fixture
def queue(aws_endpoint: str) -> tuple["SQSClient", str]:
    sqs: SQSClient = client("sqs", aws_endpoint)
    return sqs, create_queue(sqs, PERSIST, f"persist-{uuid4()}", visibility_timeout_s=60)[0]


def key(pk: str, sk: str = "TURN") -> dict[str, Any]:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def setting(table: str, pk: str, text: str, **more: Any) -> Any:
    return {
        "TableName": table,
        "Key": key(pk),
        "UpdateExpression": "SET said = :text",
        "ExpressionAttributeValues": {":text": {"S": text}},
        **more,
    }


def said(dynamodb: "DynamoDBClient", table: str) -> dict[str, str]:
    return {item["pk"]["S"]: item["said"]["S"] for item in dynamodb.scan(TableName=table)["Items"]}


def test_a_cancelled_transaction_changes_nothing_and_says_why_for_each_of_its_parts(
    dynamodb: "DynamoDBClient", table: str
) -> None:
    for pk in ("a", "b"):
        dynamodb.update_item(**setting(table, pk, "old"))
    absent = {"ConditionExpression": "attribute_not_exists(pk)", "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    with pytest.raises(dynamodb.exceptions.TransactionCanceledException) as cancelled:
        dynamodb.transact_write_items(
            TransactItems=[
                {"Update": setting(table, "a", "new")},
                {"Put": {"TableName": table, "Item": {**key("c"), "said": {"S": "new"}}}},
                {"Update": setting(table, "b", "new", **absent)},
                {"ConditionCheck": {"TableName": table, "Key": key("d"), "ConditionExpression": "attribute_exists(pk)"}},
            ]
        )
    reasons: Any = cancelled.value.response["CancellationReasons"]
    assert [reason["Code"] for reason in reasons] == ["None", "None", "ConditionalCheckFailed", "ConditionalCheckFailed"]
    assert reasons[2]["Item"] == {**key("b"), "said": {"S": "old"}}
    assert said(dynamodb, table) == {"a": "old", "b": "old"}


def test_of_many_writers_at_once_a_condition_lets_one_pass(dynamodb: "DynamoDBClient", table: str) -> None:
    def claim(number: int) -> bool:
        try:
            dynamodb.transact_write_items(
                TransactItems=[
                    {"Update": setting(table, f"mine-{number}", "won")},
                    {"Update": setting(table, "one", str(number), ConditionExpression="attribute_not_exists(pk)")},
                ]
            )
        except dynamodb.exceptions.TransactionCanceledException:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(claim, range(24)))
    assert won.count(True) == 1
    assert said(dynamodb, table) == {"one": str(won.index(True)), f"mine-{won.index(True)}": "won"}


def test_a_repeated_transaction_under_one_token_is_carried_out_once(dynamodb: "DynamoDBClient", table: str) -> None:
    add: Any = {
        "TableName": table,
        "Key": key("count"),
        "UpdateExpression": "ADD times :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    }
    for _ in range(2):
        dynamodb.transact_write_items(TransactItems=[{"Update": add}], ClientRequestToken="a-token")
    assert dynamodb.get_item(TableName=table, Key=key("count"))["Item"]["times"] == {"N": "1"}


def test_a_failed_condition_shows_the_item_as_it_is(dynamodb: "DynamoDBClient", table: str) -> None:
    dynamodb.put_item(TableName=table, Item={**key("a"), "said": {"S": "old"}})
    with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException) as failed:
        dynamodb.put_item(
            TableName=table,
            Item=key("a"),
            ConditionExpression="attribute_not_exists(pk)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    assert failed.value.response["Item"]["said"] == {"S": "old"}  # type: ignore[typeddict-item]


def test_nothing_deletes_what_has_expired_so_that_readers_have_to_look() -> None:
    assert not [thread for thread in threading.enumerate() if "reaper" in thread.name]


def test_batches_read_and_write_what_single_calls_do(dynamodb: "DynamoDBClient", table: str) -> None:
    items = [{**key(str(number)), "said": {"S": str(number)}} for number in range(25)]
    written = dynamodb.batch_write_item(RequestItems={table: [{"PutRequest": {"Item": item}} for item in items]})
    assert written["UnprocessedItems"] == {}
    read = dynamodb.batch_get_item(RequestItems={table: {"Keys": [key(str(number)) for number in range(30)]}})
    assert {item["said"]["S"] for item in read["Responses"][table]} == {str(number) for number in range(25)}


def test_a_message_is_not_lost_on_a_reader_who_went_away(aws_endpoint: str, queue: tuple["SQSClient", str]) -> None:
    sqs, url = queue

    async def leave() -> None:
        reader, writer = await asyncio.open_connection(*aws_endpoint.removeprefix("http://").split(":"))
        body = json.dumps({"QueueUrl": url, "WaitTimeSeconds": 20}).encode()
        head = f"POST / HTTP/1.1\r\nhost: aws\r\nx-amz-target: AmazonSQS.ReceiveMessage\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.2)  # it waits
        writer.close()
        await writer.wait_closed()

    asyncio.run(leave())
    for _ in range(3):  # the server hears of the end before it answers what comes after
        sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    sqs.send_message(QueueUrl=url, MessageBody="for somebody who is there")
    received = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"]
    assert [message["Body"] for message in received] == ["for somebody who is there"]


class Counted:
    """An embedded AWS called without a socket, and how many calls of Python each request takes."""

    def __init__(self) -> None:
        self._app = EmbeddedAws()

    def __call__(self, operation: str, **asked: Any) -> int:
        body = json.dumps(asked).encode()
        answered: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            answered.append(message)

        scope = {"type": "http", "path": "/", "headers": [(b"x-amz-target", f"DynamoDB_20120810.{operation}".encode())]}
        count = 0

        def profile(_frame: Any, event: str, _arg: Any) -> None:
            nonlocal count
            count += event in {"call", "c_call"}

        async def run() -> None:
            sys.setprofile(profile)
            try:
                await self._app(scope, receive, send)
            finally:
                sys.setprofile(None)

        asyncio.run(run())
        assert answered[0]["status"] == 200, answered
        return count


@pytest.mark.slow
def test_what_a_call_costs_does_not_grow_with_what_is_stored(dynamodb: "DynamoDBClient") -> None:
    turns = create_table(dynamodb, TURNS, f"turns-{uuid4()}")
    conversations = create_table(dynamodb, CONVERSATIONS, f"conversations-{uuid4()}")
    call = Counted()

    def turn(number: int) -> dict[str, int]:
        """What a turn asks of the tables, each as a number of calls of Python."""
        pk, meta = f"TURN#{number:06}", {**key(f"CONV#{number:06}", "META"), "workspace_id": {"S": f"{number:06}"}}
        meta |= {"activity": {"S": f"at {number:06}"}, "said": {"S": "title"}}
        claim = {**key(pk), "said": {"S": "claim"}}
        return {
            "claim": call("PutItem", TableName=turns, Item=claim, ConditionExpression="attribute_not_exists(pk)"),
            "store": call(
                "TransactWriteItems",
                TransactItems=[
                    {"Put": {"TableName": conversations, "Item": meta, "ConditionExpression": "attribute_not_exists(pk)"}},
                    {"Update": setting(turns, pk, "receipt", ConditionExpression="attribute_exists(pk)")},
                ],
            ),
            "look": call(
                "Query",
                TableName=turns,
                KeyConditionExpression="pk = :pk AND sk BETWEEN :from AND :to",
                ExpressionAttributeValues={":pk": {"S": pk}, ":from": {"S": "A"}, ":to": {"S": "Z"}},
            ),
            "list": call(
                "Query",
                TableName=conversations,
                IndexName="by_activity",
                KeyConditionExpression="workspace_id = :workspace",
                ExpressionAttributeValues={":workspace": {"S": f"{number:06}"}},
            ),
        }

    turn(0)
    few = turn(1)
    for number in range(2, 2500):
        turn(number)
    many = turn(2500)
    for table in (turns, conversations):
        dynamodb.delete_table(TableName=table)
    assert {name: many[name] / few[name] < 1.2 for name in few} == dict.fromkeys(few, True), (few, many)

"""The embedded tables undo a cancelled transaction whole, and touch nothing that it does not name."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from infra.resources import TURNS
from local.resources import create_table
from tests.support import moto_transactions


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    moto_transactions.install()
    with mock_aws():
        client = boto3.client("dynamodb", region_name="us-east-1")
        create_table(client, TURNS)
        yield client


def _key(pk: str, sk: str) -> dict[str, dict[str, str]]:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def _set(pk: str, sk: str, text: str) -> dict[str, Any]:
    values = {":text": {"S": text}}
    return {
        "Update": {
            "TableName": TURNS.name,
            "Key": _key(pk, sk),
            "UpdateExpression": "SET said = :text",
            "ExpressionAttributeValues": values,
        }
    }


def _said(dynamodb: Any) -> dict[str, str]:
    rows = dynamodb.scan(TableName=TURNS.name)["Items"]
    return {f"{row['pk']['S']}/{row['sk']['S']}": row["said"]["S"] for row in rows}


def test_a_cancelled_transaction_leaves_every_item_as_it_was(dynamodb: Any) -> None:
    dynamodb.transact_write_items(TransactItems=[_set("a", "1", "old"), _set("a", "2", "old"), _set("b", "1", "old")])
    absent = {"TableName": TURNS.name, "Key": _key("c", "1"), "ConditionExpression": "attribute_exists(pk)"}
    put = {"Put": {"TableName": TURNS.name, "Item": {**_key("b", "1"), "said": {"S": "new"}}}}
    delete = {"Delete": {"TableName": TURNS.name, "Key": _key("a", "2")}}
    with pytest.raises(dynamodb.exceptions.TransactionCanceledException):
        dynamodb.transact_write_items(
            TransactItems=[_set("a", "1", "new"), _set("d", "1", "new"), put, delete, {"ConditionCheck": absent}]
        )
    assert _said(dynamodb) == {"a/1": "old", "a/2": "old", "b/1": "old"}


def test_a_transaction_that_holds_is_written(dynamodb: Any) -> None:
    dynamodb.transact_write_items(TransactItems=[_set("a", "1", "old")])
    dynamodb.transact_write_items(TransactItems=[_set("a", "1", "new"), _set("b", "1", "new")])
    assert _said(dynamodb) == {"a/1": "new", "b/1": "new"}


def test_an_expression_that_was_read_before_is_read_right_with_other_names_values_and_items(dynamodb: Any) -> None:
    def put(sk: str, name: str, text: str) -> dict[str, Any]:
        answer = dynamodb.update_item(
            TableName=TURNS.name,
            Key=_key("a", sk),
            UpdateExpression="SET #name = if_not_exists(#name, :text) ADD times :one REMOVE gone",
            ExpressionAttributeNames={"#name": name},
            ExpressionAttributeValues={":text": {"S": text}, ":one": {"N": "1"}},
            ReturnValues="ALL_NEW",
        )
        return {key: next(iter(value.values())) for key, value in answer["Attributes"].items() if key not in {"pk", "sk"}}

    assert put("1", "said", "one") == {"said": "one", "times": "1"}
    assert put("1", "said", "two") == {"said": "one", "times": "2"}
    assert put("1", "heard", "two") == {"said": "one", "heard": "two", "times": "3"}
    assert put("2", "said", "two") == {"said": "two", "times": "1"}


@pytest.mark.parametrize("wrong", ["SET said = :text SET heard = :text", "SET said = :text, said = :text", "SET pk = :text"])
def test_an_expression_that_dynamodb_refuses_is_refused_each_time(dynamodb: Any, wrong: str) -> None:
    for _ in range(2):
        with pytest.raises(dynamodb.exceptions.ClientError, match="ValidationException"):
            dynamodb.update_item(
                TableName=TURNS.name,
                Key=_key("a", "1"),
                UpdateExpression=wrong,
                ExpressionAttributeValues={":text": {"S": "x"}},
            )
    assert _said(dynamodb) == {}

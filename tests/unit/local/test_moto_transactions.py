"""The embedded tables undo a cancelled transaction whole, and touch nothing that it does not name."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from infra.resources import TURNS
from local import moto_transactions
from local.resources import create_table


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

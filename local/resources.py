"""Creates the tables and the queue of infra/resources.py through boto3, as the CDK stack would."""

import json
from typing import TYPE_CHECKING, Any

from infra.resources import Queue, Table

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_sqs import SQSClient


def create_table(client: "DynamoDBClient", spec: Table, name: str | None = None) -> str:
    """Creates the table, under `name` if given, with its indexes and its TTL; returns its name."""
    name = name or spec.name
    string_keys = {spec.partition_key, spec.sort_key}
    options: dict[str, Any] = {}
    if spec.indexes:
        options["GlobalSecondaryIndexes"] = [
            {
                "IndexName": index.name,
                "KeySchema": _key_schema(index.partition_key, index.sort_key),
                "Projection": {"ProjectionType": "ALL"},
            }
            for index in spec.indexes
        ]
        string_keys |= {key for index in spec.indexes for key in (index.partition_key, index.sort_key)}
    client.create_table(
        TableName=name,
        KeySchema=_key_schema(spec.partition_key, spec.sort_key),
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in sorted(string_keys)],
        BillingMode="PAY_PER_REQUEST",
        **options,
    )
    if spec.ttl_attribute:
        client.update_time_to_live(TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": spec.ttl_attribute})
    return name


def create_queue(
    client: "SQSClient", spec: Queue, name: str | None = None, visibility_timeout_s: int | None = None
) -> tuple[str, str]:
    """Creates the queue and its dead-letter queue `<name>-dead`; returns both URLs, the queue's first.

    `visibility_timeout_s` replaces the spec's: a developer does not wait three minutes for a redelivery.
    """
    name = name or spec.name
    dead = client.create_queue(
        QueueName=f"{name}-dead", Attributes={"MessageRetentionPeriod": str(spec.dead_letter_retention_s)}
    )["QueueUrl"]
    timeout = spec.visibility_timeout_s if visibility_timeout_s is None else visibility_timeout_s
    queue = client.create_queue(
        QueueName=name,
        Attributes={
            "VisibilityTimeout": str(timeout),
            "MessageRetentionPeriod": str(spec.retention_s),
            "RedrivePolicy": json.dumps(
                {"deadLetterTargetArn": queue_arn(client, dead), "maxReceiveCount": spec.max_receive_count}
            ),
        },
    )["QueueUrl"]
    return queue, dead


def queue_arn(client: "SQSClient", url: str) -> str:
    """The ARN of the queue at `url`."""
    return client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def _key_schema(partition_key: str, sort_key: str) -> Any:
    return [{"AttributeName": partition_key, "KeyType": "HASH"}, {"AttributeName": sort_key, "KeyType": "RANGE"}]

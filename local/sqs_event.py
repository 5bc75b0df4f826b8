"""What an SQS event source mapping hands a function, and how it reads the answer.

https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html and …/services-sqs-errorhandling.html
"""

from collections.abc import Mapping, Sequence
from typing import Any

Message = Mapping[str, Any]


def event_of(messages: Sequence[Message], queue_arn: str, region: str) -> dict[str, Any]:
    """The event for a batch, from the messages of boto3's `receive_message`."""
    return {"Records": [_record(message, queue_arn, region) for message in messages]}


def _record(message: Message, queue_arn: str, region: str) -> dict[str, Any]:
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": dict(message.get("Attributes", {})),
        "messageAttributes": {
            name: {
                **{key[0].lower() + key[1:]: value for key, value in attribute.items()},
                "stringListValues": [],
                "binaryListValues": [],
            }
            for name, attribute in message.get("MessageAttributes", {}).items()
        },
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": region,
    }


class WholeBatchFailed(Exception):
    """The answer is none that Lambda takes for a partial failure, so it takes every message of the batch as failed."""


def failed_ids(response: object, sent: set[str]) -> set[str]:
    """The ids of the messages the function gave back, as `ReportBatchItemFailures` reads them; raises WholeBatchFailed.

    None, an empty object and an empty or null list are success. An identifier that is empty, null, under another name, or of no
    message of this batch fails the whole batch.
    """
    if response is None:
        return set()
    if not isinstance(response, Mapping):
        raise WholeBatchFailed("the response is not an object")
    failures = response.get("batchItemFailures")
    if failures is None:
        return set()
    if not isinstance(failures, list):
        raise WholeBatchFailed("batchItemFailures is not a list")
    named = [failure.get("itemIdentifier") if isinstance(failure, Mapping) else None for failure in failures]
    ids = {name for name in named if isinstance(name, str) and name in sent}
    if len(ids) < len(set(map(repr, named))):
        raise WholeBatchFailed("an item identifier is of no message in the batch")
    return ids

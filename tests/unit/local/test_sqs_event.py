"""How the event source mapping writes a batch and reads what the function answers."""

import pytest

from local.sqs_event import WholeBatchFailed, event_of, failed_ids

SENT = {"a", "b", "c"}


@pytest.mark.parametrize("response", [None, {}, {"batchItemFailures": None}, {"batchItemFailures": []}, {"other": 1}])
def test_nothing_named_is_complete_success(response: object) -> None:
    assert failed_ids(response, SENT) == set()


def test_the_named_messages_failed_and_only_they() -> None:
    response = {"batchItemFailures": [{"itemIdentifier": "a"}, {"itemIdentifier": "c"}, {"itemIdentifier": "a"}]}
    assert failed_ids(response, SENT) == {"a", "c"}


@pytest.mark.parametrize(
    "failures",
    [
        [{"itemIdentifier": ""}],
        [{"itemIdentifier": None}],
        [{"itemIdentifier": 7}],
        [{"messageId": "a"}],
        [{"itemIdentifier": "a"}, {"itemIdentifier": "unknown"}],
        ["a"],
        "a",
    ],
)
def test_a_malformed_answer_fails_the_whole_batch(failures: object) -> None:
    with pytest.raises(WholeBatchFailed):
        failed_ids({"batchItemFailures": failures}, SENT)


@pytest.mark.parametrize("response", ["ok", [], 1, True])
def test_an_answer_that_is_no_object_fails_the_whole_batch(response: object) -> None:
    with pytest.raises(WholeBatchFailed):
        failed_ids(response, SENT)


def test_a_record_has_the_fields_and_the_spelling_of_lambda() -> None:
    message = {
        "MessageId": "m",
        "ReceiptHandle": "r",
        "Body": "{}",
        "MD5OfBody": "d",
        "Attributes": {"ApproximateReceiveCount": "2"},
        "MessageAttributes": {"kind": {"StringValue": "x", "DataType": "String"}},
    }
    assert event_of([message], "arn:aws:sqs:eu-central-1:123456789012:persist", "eu-central-1") == {
        "Records": [
            {
                "messageId": "m",
                "receiptHandle": "r",
                "body": "{}",
                "attributes": {"ApproximateReceiveCount": "2"},
                "messageAttributes": {
                    "kind": {"stringValue": "x", "dataType": "String", "stringListValues": [], "binaryListValues": []}
                },
                "md5OfBody": "d",
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:persist",
                "awsRegion": "eu-central-1",
            }
        ]
    }

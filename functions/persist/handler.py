"""The entry: a batch of the queue in, the messages that must come again out."""

import os
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import boto3
from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.persist.entries import Tables
from functions.persist.errors import PersistError
from functions.persist.inbox import Message, take_in
from functions.persist.pace import Pace
from functions.persist.store import CLIENT_CONFIG, Store

METRICS_NAMESPACE: Final = "streaming-first-chat"  # where no deployment gives its own
LAG_METRIC: Final = "PersistLag"
_VALUES: Final = 99  # Powertools flushes by itself at the 100 values an EMF metric may have, and warns when flushed again


def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """SQS's event source calls this; it needs ReportBatchItemFailures."""
    messages = [
        Message(raw["messageId"], raw["body"], int(raw["attributes"]["ApproximateReceiveCount"])) for raw in event["Records"]
    ]
    taken = take_in(messages, _store(), Pace(lambda: context.get_remaining_time_in_millis() / 1000))

    def tell(record: SQSRecord) -> None:
        result = taken[record.message_id].result
        if isinstance(result, PersistError):
            raise result

    # The batch is stored as a whole, for the sake of few calls; Powertools then hears of each record what became of it.
    processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
    response = process_partial_response(event, tell, processor, context)
    _measure([stored.lag_s for stored in taken.values() if stored.lag_s is not None])
    return response


def _measure(lags_s: Sequence[float]) -> None:
    metrics = _metrics()
    for start in range(0, len(lags_s), _VALUES):
        for lag_s in lags_s[start : start + _VALUES]:
            metrics.add_metric(LAG_METRIC, MetricUnit.Seconds, lag_s)
        metrics.flush_metrics()
        metrics.clear_metrics()  # a flush keeps them when POWERTOOLS_METRICS_DISABLED is set


@cache
def _store() -> Store:
    return Store(boto3.client("dynamodb", config=CLIENT_CONFIG), Tables.from_env(os.environ))


@cache
def _metrics() -> Metrics:
    return Metrics(namespace=os.environ.get("POWERTOOLS_METRICS_NAMESPACE") or METRICS_NAMESPACE, service="persist")

"""The entry: a batch of the queue in, the messages that must come again out."""

import gc
import os
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.common.aws import Aws
from functions.common.failures import METRICS_NAMESPACE, Failures
from functions.common.log import get_logger
from functions.common.session import Session
from functions.common.variables import warn_of_unknown
from functions.persist.entries import Tables
from functions.persist.errors import PersistError
from functions.persist.inbox import Message, take_in
from functions.persist.pace import Pace
from functions.persist.store import Store

LAG_METRIC: Final = "PersistLag"
_VALUES: Final = 100  # as many may an EMF metric have in a line


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
    response = process_partial_response(event, tell, processor)
    _measure([stored.lag_s for stored in taken.values() if stored.lag_s is not None])
    _settle_in()
    return response


def _measure(lags_s: Sequence[float]) -> None:
    metrics = _metrics()
    for start in range(0, len(lags_s), _VALUES):
        # Put there at once: add_metric writes all of the metric's values into a debug line, for each value anew.
        values = list(lags_s[start : start + _VALUES])
        metrics.metric_set[LAG_METRIC] = {"Unit": MetricUnit.Seconds.value, "StorageResolution": 60, "Value": values}
        metrics.flush_metrics()
        metrics.clear_metrics()  # a flush keeps them when POWERTOOLS_METRICS_DISABLED is set


@cache
def _store() -> Store:
    warn_of_unknown(os.environ, get_logger("persist").warning)
    failures = Failures(os.environ.get("POWERTOOLS_METRICS_NAMESPACE") or METRICS_NAMESPACE, "persist")
    return Store(Aws(Session(), failures.storage), Tables.from_env(os.environ))


@cache
def _settle_in() -> None:
    """Once per process, after its first batch, which makes the last of what lives as long as the process: from then on the
    collector looks at a batch's objects only.

    It would walk through the libraries' seventy thousand again and again, for a batch makes many objects that live to its end.
    """
    gc.freeze()


@cache
def _metrics() -> Metrics:
    return Metrics(namespace=os.environ.get("POWERTOOLS_METRICS_NAMESPACE") or METRICS_NAMESPACE, service="persist")

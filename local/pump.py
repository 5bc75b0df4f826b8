"""The event source mapping between the queue and `persist`, imitated: `python -m local.pump`.

One batch at a time, as one instance of a function would take them. What succeeded is deleted; what failed stays invisible until
its timeout, is delivered again, and ends in the dead-letter queue after `maxReceiveCount`: that part is the queue's own.
"""

import json
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from infra.resources import PERSIST, PERSIST_TIMEOUT_S
from local.child import say_ready
from local.clients import client
from local.context import LambdaContext
from local.environment import REGION
from local.resources import queue_arn
from local.sqs_event import WholeBatchFailed, event_of, failed_ids

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient

Handler = Callable[[dict[str, Any], Any], object]

_LONG_POLL_S: Final = 1  # a message ends the wait; so long it may take until the pump hears that it is to end
_AGAIN_S: Final = 0.05
_DRAIN_S: Final = 5.0
logger = logging.getLogger("persist")


class Pump:
    """Takes messages from the queue at `url` to `handler`. `tell` is called with the ids handled and those that failed."""

    def __init__(
        self,
        sqs: "SQSClient",
        url: str,
        handler: Handler,
        batch_size: int = PERSIST.batch_size,
        timeout_s: float = PERSIST_TIMEOUT_S,
    ) -> None:
        self._sqs = sqs
        self._url = url
        self._arn = queue_arn(sqs, url)
        self._handler = handler
        self._batch_size = batch_size
        self._timeout_s = timeout_s

    def run(self, until: threading.Event) -> None:
        """Pumps until the event is set; a queue that does not answer is asked again."""
        while not until.is_set():
            try:
                self.deliver(_LONG_POLL_S)
            except (BotoCoreError, ClientError) as error:
                logger.warning("the queue does not answer: %s", type(error).__name__)
                until.wait(_AGAIN_S * 20)

    def drain(self, within_s: float) -> None:
        """Delivers what is ready now, and what follows from it, until nothing is left or the time is up."""
        end = time.monotonic() + within_s
        while time.monotonic() < end and self.deliver():
            pass

    def deliver(self, wait_s: int = 0) -> int:
        """Delivers one batch, waiting that many seconds for one; returns its size."""
        messages = self._sqs.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=self._batch_size,
            WaitTimeSeconds=wait_s,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        ).get("Messages", [])
        if messages:
            failed = self._invoke(messages)
            self._delete([message for message in messages if message["MessageId"] not in failed])
        return len(messages)

    def _invoke(self, messages: Sequence[Any]) -> set[str]:
        """The ids of the messages that failed: all of them when the function raises or answers nonsense."""
        sent: set[str] = {message["MessageId"] for message in messages}
        # Through JSON and back, so that the function sees what Lambda's runtime would give it.
        event = json.loads(json.dumps(event_of(messages, self._arn, REGION)))
        try:
            response = self._handler(event, LambdaContext("persist", self._timeout_s))
            return failed_ids(json.loads(json.dumps(response)), sent)
        except WholeBatchFailed as reason:
            logger.error("the whole batch failed: %s", reason)
        except Exception:  # Lambda, too, takes any exception of the function as the failure of its batch
            logger.exception("the whole batch failed")
        return sent

    def _delete(self, messages: Sequence[Any]) -> None:
        if not messages:
            return
        entries: Any = [{"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]} for number, message in enumerate(messages)]
        for failure in self._sqs.delete_message_batch(QueueUrl=self._url, Entries=entries).get("Failed", []):
            logger.warning("a message was not deleted and will come again: %s", failure["Code"])


def connect(sqs: "SQSClient", url: str, handler: Handler, end: threading.Event) -> Pump | None:
    """A pump on a queue that may not exist yet; None when the end comes first."""
    while not end.is_set():
        try:
            return Pump(sqs, url, handler)
        except (BotoCoreError, ClientError):
            end.wait(_AGAIN_S)
    return None


def main(env: Mapping[str, str]) -> None:
    from functions.persist.handler import handler

    logging.basicConfig(format="%(levelname)s %(message)s")  # from WARNING up: botocore talks below that
    end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end.set())
    pump = connect(client("sqs", env["AWS_ENDPOINT_URL"]), env["CHAT_QUEUE_URL"], handler, end)
    if pump is None:
        return
    say_ready()
    pump.run(end)
    pump.drain(_DRAIN_S)


if __name__ == "__main__":
    main(os.environ)

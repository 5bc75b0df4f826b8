"""The whole path in one process: the streaming function, a scripted model, an embedded AWS, persist on its queue."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any
from unittest import mock

from functions.chat_stream import app
from functions.common import keys
from functions.common.aws import Aws
from functions.common.records import Record, decode
from infra.resources import CONVERSATIONS, PERSIST, TURNS
from local.clients import client
from local.environment import aws_environment, queue_url
from local.model.script import Pace, ScriptedModel
from local.pump import Pump
from local.resources import create_queue, create_table
from tests.support import http
from tests.support.chat import Api, serving, settings
from tests.support.wire import Wire

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_sqs import SQSClient


class System:
    """`api` is a client of the function; `wire` carries the calls of its AWS clients; `model` plays scripts."""

    def __init__(self, endpoint: str, model: ScriptedModel, stack: ExitStack) -> None:
        self.endpoint = endpoint
        self.model = model
        self.wire = Wire()
        self.queue_url = queue_url(endpoint)
        self.dynamodb: DynamoDBClient = _client("dynamodb", endpoint)
        self.sqs: SQSClient = _client("sqs", endpoint)
        self._stack = stack
        self._delivering = threading.Lock()
        self._serving = threading.Lock()

    @property
    def api(self) -> Api:
        with self._serving:  # two threads that ask first at once get the same one
            if not hasattr(self, "_api"):
                self._api = self.serve()
        return self._api

    def serve(self, **env: str) -> Api:
        """A client of a new server of the function: another instance, with settings of its own."""
        url = self._stack.enter_context(serving(settings(self.model.url, TURNS.name, self.queue_url, **env)))
        api = Api(url)
        self._stack.callback(api.close)
        return api

    def pump(self) -> Pump:
        from functions.persist.handler import handler

        return Pump(self.sqs, self.queue_url, handler)

    def persist(self) -> None:
        """Stores what the queue holds now, and what is being stored."""
        with self._delivering:
            self.pump().drain(10)

    def persisting(self) -> None:
        """From here on the queue is emptied as it fills."""
        end, sent = threading.Event(), threading.Event()
        self.wire.after("SendMessageBatch", sent.set)
        pump = self.pump()

        def run() -> None:
            while not end.is_set():
                sent.clear()
                with self._delivering:
                    delivered = pump.deliver()
                if not delivered:
                    sent.wait(0.2)  # what was delayed, or comes again, tells nobody

        thread = threading.Thread(target=run, name="pump", daemon=True)
        thread.start()

        def stop() -> None:
            end.set()
            sent.set()
            thread.join(10)

        self._stack.callback(stop)

    def queued(self) -> list[Record]:
        """The records in the queue, settle records apart, taken out of it."""
        records: list[Record] = []
        while messages := self.sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10).get("Messages"):
            records += [decode(message["Body"]) for message in messages]
            for message in messages:
                self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
        return records

    def messages(self, conversation_id: str) -> list[dict[str, Any]]:
        """The conversation's stored messages in order, each as plain values."""
        page = self.dynamodb.query(
            TableName=CONVERSATIONS.name,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :prefix)",
            ExpressionAttributeValues={":pk": {"S": keys.conversation_pk(conversation_id)}, ":prefix": {"S": "MSG#"}},
            ConsistentRead=True,
        )
        return [{name: next(iter(value.values())) for name, value in item.items()} for item in page["Items"]]


@contextmanager
def system(endpoint: str, pace: Pace) -> Iterator[System]:
    """A system with nothing stored, on the embedded AWS at `endpoint`."""
    empty_aws(endpoint)
    with ExitStack() as stack:
        tables = {
            "CHAT_CONVERSATIONS_TABLE": CONVERSATIONS.name,
            "CHAT_TURNS_TABLE": TURNS.name,
            "POWERTOOLS_TRACE_DISABLED": "true",
        }
        stack.enter_context(mock.patch.dict("os.environ", aws_environment(endpoint) | tables))
        model = stack.enter_context(ScriptedModel(pace))
        made = System(endpoint, model, stack)
        watched = type("Aws", (Aws,), {"send": made.wire.around(Aws.send)})  # the streaming function's, not persist's
        stack.enter_context(mock.patch.object(app, "Aws", watched))
        yield made


def empty_aws(endpoint: str) -> None:
    """The embedded AWS as it was made, with the tables and the queue."""
    http.post(f"{endpoint}/_ministack/reset").raise_for_status()
    for table in (CONVERSATIONS, TURNS):
        create_table(_client("dynamodb", endpoint), table)
    create_queue(_client("sqs", endpoint), PERSIST, visibility_timeout_s=1)


_client = cache(client)  # making one takes longer than a request

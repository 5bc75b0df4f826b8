"""The pump against a real queue: what is deleted, what comes again, what ends in the dead-letter queue."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from infra.resources import PERSIST
from local.clients import client
from local.pump import Pump, connect
from local.resources import create_queue
from tests.support.waiting import until

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient

Event = dict[str, Any]


class Function:
    """A handler that records its events and answers as it is told."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.contexts: list[Any] = []
        self.answer: Callable[[Event], object] = lambda _: {"batchItemFailures": []}
        self.called = threading.Event()

    def __call__(self, event: Event, context: Any) -> object:
        self.events.append(event)
        self.contexts.append(context)
        self.called.set()
        return self.answer(event)

    @property
    def bodies(self) -> list[list[str]]:
        return [[record["body"] for record in event["Records"]] for event in self.events]

    def fails(self, *bodies: str) -> None:
        self.answer = lambda event: {
            "batchItemFailures": [{"itemIdentifier": one["messageId"]} for one in event["Records"] if one["body"] in bodies]
        }


@dataclass
class Queue:
    sqs: "SQSClient"
    url: str
    dead_letter_url: str

    def send(self, *bodies: str, delay_s: int = 0) -> None:
        for body in bodies:
            self.sqs.send_message(QueueUrl=self.url, MessageBody=body, DelaySeconds=delay_s)

    def counts(self, url: str | None = None) -> tuple[int, int]:
        """How many messages wait, and how many are out."""
        names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=url or self.url, AttributeNames=names)["Attributes"]
        return int(found[names[0]]), int(found[names[1]])

    def make_visible(self) -> None:
        """What the visibility timeout does in time."""
        self.sqs.set_queue_attributes(QueueUrl=self.url, Attributes={"VisibilityTimeout": "0"})


@pytest.fixture
def sqs(aws_endpoint: str) -> "SQSClient":
    found: SQSClient = client("sqs", aws_endpoint)
    return found


@pytest.fixture
def queue(sqs: "SQSClient") -> Queue:
    """A queue whose messages stay invisible for a minute once received."""
    return Queue(sqs, *create_queue(sqs, PERSIST, f"persist-{uuid4()}", visibility_timeout_s=60))


@pytest.fixture
def quick(sqs: "SQSClient") -> Queue:
    """A queue whose messages are visible again at once, and die after two deliveries."""
    return Queue(sqs, *create_queue(sqs, replace(PERSIST, max_receive_count=2), f"persist-{uuid4()}", visibility_timeout_s=0))


@pytest.fixture
def function() -> Function:
    return Function()


def test_what_succeeds_is_deleted(queue: Queue, function: Function) -> None:
    queue.send("a", "b")
    assert Pump(queue.sqs, queue.url, function).deliver() == 2
    assert queue.counts() == (0, 0)


def test_a_batch_has_at_most_ten_messages(queue: Queue, function: Function) -> None:
    queue.send(*(str(number) for number in range(13)))
    pump = Pump(queue.sqs, queue.url, function)
    assert [pump.deliver(), pump.deliver(), pump.deliver()] == [10, 3, 0]


def test_only_the_messages_given_back_stay(queue: Queue, function: Function) -> None:
    queue.send("a", "bad", "c")
    function.fails("bad")
    Pump(queue.sqs, queue.url, function).deliver()
    assert queue.counts() == (0, 1)


def test_a_message_given_back_comes_again_after_its_timeout_with_a_higher_count(quick: Queue, function: Function) -> None:
    quick.send("a", "bad")
    function.fails("bad")
    pump = Pump(quick.sqs, quick.url, function)
    pump.deliver()
    pump.deliver()
    assert function.bodies == [["a", "bad"], ["bad"]]
    counts = [event["Records"][-1]["attributes"]["ApproximateReceiveCount"] for event in function.events]
    assert counts == ["1", "2"]


def raise_error(_: Event) -> object:
    raise RuntimeError("broken")


def unknown_id(_: Event) -> object:
    return {"batchItemFailures": [{"itemIdentifier": "unknown"}]}


def not_json(_: Event) -> object:
    return {"batchItemFailures": {1, 2}}


@pytest.mark.parametrize("answer", [raise_error, unknown_id, not_json])
def test_an_error_or_a_nonsense_answer_fails_the_whole_batch(
    queue: Queue, function: Function, answer: Callable[[Event], object]
) -> None:
    queue.send("a", "b")
    function.answer = answer
    Pump(queue.sqs, queue.url, function).deliver()
    assert queue.counts() == (0, 2)


def test_after_its_last_delivery_a_message_lies_in_the_dead_letter_queue(quick: Queue, function: Function) -> None:
    quick.send("poison", "fine")
    function.fails("poison")
    pump = Pump(quick.sqs, quick.url, function)
    while pump.deliver():
        pass
    assert function.bodies == [["poison", "fine"], ["poison"]]
    assert quick.counts() == (0, 0)
    dead = quick.sqs.receive_message(QueueUrl=quick.dead_letter_url)["Messages"]
    assert [message["Body"] for message in dead] == ["poison"]


def test_a_delayed_message_is_delivered_after_its_delay(queue: Queue, function: Function) -> None:
    pump = Pump(queue.sqs, queue.url, function)
    sent = time.monotonic()
    queue.send("later", delay_s=1)
    until(lambda: pump.deliver(wait_s=1))
    assert time.monotonic() - sent >= 1


def test_the_function_sees_what_lambda_would_give_it(queue: Queue, function: Function) -> None:
    queue.sqs.send_message(
        QueueUrl=queue.url, MessageBody="é", MessageAttributes={"kind": {"DataType": "String", "StringValue": "x"}}
    )
    Pump(queue.sqs, queue.url, function, timeout_s=30).deliver()
    record = function.events[0]["Records"][0]
    assert record["body"] == "é"
    assert record["eventSource"] == "aws:sqs"
    assert record["eventSourceARN"].endswith(queue.url.rpartition("/")[2])
    assert record["messageAttributes"]["kind"]["stringValue"] == "x"
    assert {"ApproximateReceiveCount", "SentTimestamp", "ApproximateFirstReceiveTimestamp"} <= record["attributes"].keys()
    assert json.dumps(function.events[0])
    context = function.contexts[0]
    assert 20_000 < context.get_remaining_time_in_millis() <= 30_000
    assert context.aws_request_id
    assert context.invoked_function_arn.endswith(":function:persist")


def test_a_message_is_handed_over_as_soon_as_it_is_sent(
    queue: Queue, function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pump asks three times a minute, and the queue looks at itself no more often: what was sent has to wake both."""
    monkeypatch.setattr("local.pump._LONG_POLL_S", 20)
    monkeypatch.setattr("local.aws_server._LOOK_S", 60)
    pump, end = Pump(queue.sqs, queue.url, function), threading.Event()
    thread = threading.Thread(target=pump.run, args=(end,), daemon=True)
    thread.start()
    for number in range(5):
        function.called.clear()
        queue.send(str(number))
        assert function.called.wait(20)
    assert function.bodies == [[str(number)] for number in range(5)]
    end.set()
    queue.send("so that it asks whether to go on")
    thread.join(20)
    assert not thread.is_alive()


def test_draining_delivers_all_that_is_ready_and_ends(queue: Queue, function: Function) -> None:
    queue.send(*(str(number) for number in range(25)))
    Pump(queue.sqs, queue.url, function).drain(10)
    assert sum(map(len, function.bodies)) == 25
    assert queue.counts() == (0, 0)


def test_connecting_waits_for_a_queue_that_is_not_there_yet(sqs: "SQSClient", aws_endpoint: str, function: Function) -> None:
    name = f"persist-{uuid4()}"
    url = f"{aws_endpoint}/123456789012/{name}"
    threading.Timer(0.2, create_queue, (sqs, PERSIST, name)).start()
    pump = connect(sqs, url, function, threading.Event())
    assert pump is not None
    assert pump.deliver() == 0


def test_connecting_gives_up_when_the_system_ends(sqs: "SQSClient", aws_endpoint: str, function: Function) -> None:
    end = threading.Event()
    threading.Timer(0.1, end.set).start()
    assert connect(sqs, f"{aws_endpoint}/123456789012/none", function, end) is None

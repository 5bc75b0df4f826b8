"""persist as a process: the function's own handler, fed batches as SQS's event source feeds it.

python -m bench.servers.persister store MESSAGES BATCH    stores so many, prints {"messages", "seconds", "cpu_s"}
python -m bench.servers.persister alone MESSAGES BATCH    the same calls without persist, prints {"boto3": …, "direct": …}
python -m bench.servers.persister pump                    stores what the queue delivers, prints {"turn_id": delivered at, …}
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import boto3
from botocore import xform_name

from functions.common.aws import Aws, Service
from functions.common.ids import new_id
from functions.common.records import Answer, NewMessage, TurnFinished, TurnHead, TurnStarted, Usage, decode, encode
from functions.common.session import Session
from functions.common.times import iso
from functions.persist.entries import Tables
from functions.persist.handler import handler
from functions.persist.inbox import Message, take_in
from functions.persist.pace import Pace
from functions.persist.store import DYNAMODB, Store
from infra.resources import PERSIST_TIMEOUT_S
from local.clients import client
from local.context import LambdaContext
from local.sqs_event import event_of

_ARN: Final = "arn:aws:sqs:eu-central-1:123456789012:persist"
_QUESTION: Final = "How does a stream reach its reader? " * 5
_ANSWER: Final = "The model is asked first, and what it says is relayed as it comes. " * 25
_POLL_S: Final = 5

Call = tuple[str, Mapping[str, Any]]


def store(messages: int, batch: int) -> dict[str, float]:
    """How long `messages` take; two batches more to begin with."""
    events = _events(messages, batch)
    for event in events[:2]:
        _handle(event)

    def rest() -> None:
        for event in events[2:]:
            _handle(event)

    return {"messages": (len(events) - 2) * batch, **_timed(rest)}


def alone(messages: int, batch: int) -> dict[str, dict[str, float]]:
    """The calls that storing them makes, made again with nothing of persist around them: by boto3, and in our own way."""
    made = _Kept(Session())
    store = Store(made, Tables.from_env(os.environ))
    events = _events(messages, batch)
    for event in events[2:]:
        take_in([Message(each["messageId"], each["body"], 1) for each in event["Records"]], store, Pace(lambda: 30.0))
    store.close()
    count = (len(events) - 2) * batch
    ways = {"boto3": _by_boto3, "direct": _directly}
    return {name: {"messages": count, **repeated(made.calls)} for name, repeated in ways.items()}


class _Kept(Aws):
    """Keeps what it is asked for."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.calls: list[Call] = []

    async def call(self, service: Service, operation: str, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        self.calls.append((operation, asked))
        return await super().call(service, operation, asked)


def _by_boto3(made: Sequence[Call]) -> dict[str, float]:
    using = boto3.client("dynamodb")

    def repeat(calls: Sequence[Call]) -> None:
        for operation, asked in calls:
            getattr(using, xform_name(operation))(**asked)

    repeat(made[:4])
    return _timed(lambda: repeat(made))


def _directly(made: Sequence[Call]) -> dict[str, float]:
    aws = Aws(Session())

    async def repeat(calls: Sequence[Call]) -> None:
        for operation, asked in calls:
            await aws.call(DYNAMODB, operation, asked)

    with asyncio.Runner() as runner:
        runner.run(repeat(made[:4]))
        told = _timed(lambda: runner.run(repeat(made)))
        runner.run(aws.close())
    return told


def _timed(work: Callable[[], None]) -> dict[str, float]:
    began, cpu = time.perf_counter(), time.process_time()
    work()
    return {"seconds": time.perf_counter() - began, "cpu_s": time.process_time() - cpu}


def _events(messages: int, batch: int) -> list[dict[str, Any]]:
    """Half of the messages turns' beginnings, half answers, each turn another user's; and two batches more."""
    turns = [_turn() for _ in range((messages + 3 * batch) // 2)]
    # An answer comes seconds after its question, so not in the same batch: here half the run later.
    half = len(turns) // 2
    bodies = [encode(record) for i in range(len(turns)) for record in (turns[i].asked, turns[i - half].answered)]
    batches = [bodies[start : start + batch] for start in range(0, len(bodies) - batch + 1, batch)]
    return [_event(some) for some in batches[: messages // batch + 2]]


def pump() -> None:
    """Until killed. The time told is time.monotonic's, when the batch was in hand."""
    sqs = client("sqs", os.environ["AWS_ENDPOINT_URL"])
    while True:
        reply = sqs.receive_message(QueueUrl=os.environ["CHAT_QUEUE_URL"], MaxNumberOfMessages=10, WaitTimeSeconds=_POLL_S)
        if messages := reply.get("Messages"):
            delivered = time.monotonic()
            _handle(event_of(messages, _ARN, "eu-central-1"))
            turns = {record.turn.turn_id for message in messages if isinstance(record := decode(message["Body"]), TurnStarted)}
            print(json.dumps(dict.fromkeys(turns, delivered)), flush=True)


def _handle(event: dict[str, Any]) -> None:
    answer: Any = handler(event, LambdaContext("persist", PERSIST_TIMEOUT_S))  # type: ignore[arg-type]
    if failures := answer["batchItemFailures"]:
        raise RuntimeError(f"persist gave {len(failures)} messages back")


class _Turn(NamedTuple):
    asked: TurnStarted
    answered: TurnFinished


def _turn() -> _Turn:
    turn_id, user_id, conversation_id, message_id = (new_id() for _ in range(4))
    now = iso(time.time())
    head = TurnHead(
        turn_id=turn_id,
        user_id=user_id,
        workspaces=[user_id],
        workspace_id=user_id,
        conversation_id=conversation_id,
        new=True,
        bud_id="default",
        model="bench-model",
        title="How does a stream reach its reader?",
        parent_id=message_id,
        depth=1,
        digest=turn_id.replace("-", ""),
        started_at=now,
    )
    asked = NewMessage(id=message_id, parent_id=None, depth=0, role="user", content=_QUESTION)
    spent = Usage(input_tokens=50, output_tokens=400, total_tokens=450)
    answer = Answer(content=_ANSWER, status="complete", finish_reason="stop", usage=spent, spent=spent, finished_at=now)
    return _Turn(TurnStarted(turn=head, messages=[asked]), TurnFinished(turn=head, answer=answer))


def _event(bodies: list[str]) -> dict[str, Any]:
    attributes = {"ApproximateReceiveCount": "1"}
    messages = [
        {"MessageId": new_id(), "ReceiptHandle": "-", "Body": body, "MD5OfBody": "-", "Attributes": attributes} for body in bodies
    ]
    return event_of(messages, _ARN, "eu-central-1")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["store", messages, batch]:
            print(json.dumps(store(int(messages), int(batch))))
        case ["alone", messages, batch]:
            print(json.dumps(alone(int(messages), int(batch))))
        case _:
            pump()

"""The work of one turn, measured: the turn engine, the outbox and persist run as they are, over meters, in virtual time.

Nothing of it is written down here a second time: a different checkpoint interval, one more write, one more log line is another
`Work` at the next run. What is counted is a turn in a conversation that exists, without a fault, a race or a stop.
"""

import asyncio
import io
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, redirect_stdout
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, cast

from botocore import xform_name

from bench.cost import clock
from bench.cost.provider import PacedModel, Shape
from bench.cost.tables import Meter, MeteredTables, Usage
from functions.chat_stream import turn as engine
from functions.chat_stream.buds import FOLDER, load
from functions.chat_stream.deadline import Deadline
from functions.chat_stream.metrics import Meter as Metrics
from functions.chat_stream.outbox import Outbox
from functions.chat_stream.quota import QuotaTable
from functions.chat_stream.request import TurnRequest, read_body, turn_request
from functions.chat_stream.settings import Limits, ModelSettings, Timing
from functions.chat_stream.turns_table import TurnsTable
from functions.common.access import Caller
from functions.common.aws import DYNAMODB, SQS, Aws, Service
from functions.common.failures import METRICS_NAMESPACE
from functions.common.ids import new_id
from functions.common.quotas import Quotas
from functions.common.records import decode, encode
from functions.common.times import iso
from functions.persist import handler, inbox
from functions.persist.entries import Tables
from functions.persist.inbox import Message, take_in
from functions.persist.pace import Pace
from functions.persist.store import Store
from infra import resources

CALL_S: Final = 0.005  # a call to storage, as in the benches; it moves the schedule by less than a write
QUEUE_S: Final = 0.05  # from the queue's reply to the beginning of persist
TABLES: Final = Tables(resources.CONVERSATIONS.name, resources.TURNS.name)
_FIRST: Final = Shape(answer_tokens=20, earlier_messages=0)


@dataclass(frozen=True, slots=True)
class Lines:
    """Log events and their bytes."""

    count: int
    size: int


@dataclass(frozen=True, slots=True)
class Stored:
    """What persist did for one record, alone in its batch. `body_bytes` is the queue message's."""

    body_bytes: int
    meter: Meter
    log: Lines


@dataclass(frozen=True, slots=True)
class Work:
    """All that one turn asked of AWS. `duration_s` is how long chat_stream was busy with it."""

    shape: Shape
    duration_s: float
    request_bytes: int
    response_bytes: int
    prompt_bytes: int
    chat: Meter
    log: Lines
    sends: Sequence[int]  # bytes of each SendMessageBatch
    records: Mapping[str, Stored]  # by kind
    batch_calls: int  # persist's calls to DynamoDB for a full batch of turns' beginnings

    def usage(self, table: str) -> Usage:
        """Of one table, by both functions."""
        total = Usage()
        for meter in (self.chat, *(stored.meter for stored in self.records.values())):
            total.add(meter.of(table))
        return total


@dataclass
class _Queue:
    """Takes the place of SQS: delivers to persist in virtual time."""

    deliver: Callable[[str], None]
    sends: list[int] = field(default_factory=list)

    def send_message_batch(self, QueueUrl: str, Entries: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:  # noqa: N803
        del QueueUrl
        self.sends.append(sum(len(entry["MessageBody"].encode()) for entry in Entries))
        loop = asyncio.get_running_loop()
        for entry in Entries:
            loop.call_later(entry["DelaySeconds"] + QUEUE_S, self.deliver, entry["MessageBody"])
        return {"Successful": [{"Id": entry["Id"]} for entry in Entries]}


class _InPlace(Aws):
    """Calls at once, `call_s` later on the loop's clock."""

    def __init__(self, clients: Mapping[str, object], call_s: float) -> None:
        self._clients = clients
        self._call_s = call_s

    async def call(self, service: Service, operation: str, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        await asyncio.sleep(self._call_s)
        method: Any = getattr(self._clients[service.name], xform_name(operation))
        answer: Mapping[str, Any] = method(**asked)
        return answer

    async def close(self) -> None:
        """There are no connections."""


class _World:
    """The tables, the queue, persist and the ports of one turn after the other."""

    def __init__(self, timing: Timing) -> None:
        self.timing = timing
        self.tables = MeteredTables((resources.CONVERSATIONS, resources.TURNS))
        self.queue = _Queue(self._deliver)
        self.chat = Meter()
        self.records: dict[str, dict[str, Stored]] = {}
        aws = _InPlace({DYNAMODB.name: self.tables, SQS.name: self.queue}, CALL_S)
        self.tables.meter = self.chat
        self._turns, self._quota = TurnsTable(aws, TABLES.turns), QuotaTable(aws, TABLES.turns, Quotas())
        self._outbox = Outbox(aws, "queue", resources.SETTLE_DELAY_S)

    def begin(self, request: TurnRequest, shape: Shape) -> engine.Turn:
        ports = engine.Ports(PacedModel(shape), self._turns, self._outbox, self._quota, Metrics(METRICS_NAMESPACE))
        return engine.Turn(request, ports, self.timing, Limits(), Deadline.after(self.timing.turn_s))

    def store(self, bodies: Sequence[str]) -> tuple[Meter, Lines]:
        """One invocation of persist, metered for itself."""
        meter = Meter()
        self.tables.meter, before = meter, self.tables.meter
        messages = [Message(new_id(), body, 1) for body in bodies]
        # persist's loop is its own, and real: a thread runs one at a time, and here the virtual one runs.
        with _logged() as log, ThreadPoolExecutor(1) as thread:
            taken = thread.submit(self._take_in, messages).result()
            # The entry's own line of figures; with the virtual lag, for the real one is another at each run.
            if lags := [QUEUE_S for stored in taken.values() if stored.lag_s is not None]:
                handler._measure(lags)
        self.tables.meter = before
        return meter, _count(log)

    def _take_in(self, messages: Sequence[Message]) -> Mapping[str, inbox.Stored]:
        with closing(Store(_InPlace({DYNAMODB.name: self.tables}, 0), TABLES)) as store:
            return take_in(messages, store, Pace(lambda: float(resources.PERSIST_TIMEOUT_S)))

    def _deliver(self, body: str) -> None:
        record = decode(body)
        meter, log = self.store([body])
        self.records.setdefault(record.turn.turn_id, {})[record.kind] = Stored(len(body.encode()), meter, log)


class _Keeps:
    """A reader for whose sake a log keeps all its frames."""

    sent = 0

    def on_change(self) -> None:
        """They are counted at the end."""


@lru_cache(maxsize=32)
def measure(shape: Shape, timing: Timing | None = None) -> Work:
    """The work of a turn of that shape."""
    return clock.run(_measure(shape, timing or Timing(settle_delay_s=resources.SETTLE_DELAY_S)))


async def _measure(shape: Shape, timing: Timing) -> Work:
    world = _World(timing)
    first, _ = _request(_FIRST, conversation=None)
    with _logged():
        await world.begin(first, _FIRST).run()
    world.tables.meter = world.chat = Meter()
    world.queue.sends.clear()

    request, size = _request(shape, conversation=first.head.conversation_id)
    loop = asyncio.get_running_loop()
    began = loop.time()
    with _logged() as log:
        turn = world.begin(request, shape)
        turn.log.listen(_Keeps())
        await turn.run()
    duration = loop.time() - began
    await asyncio.sleep(resources.SETTLE_DELAY_S + 1)
    return Work(
        shape=shape,
        duration_s=round(duration, 3),
        request_bytes=size,
        response_bytes=sum(map(len, turn.log.frames)),
        prompt_bytes=len(json.dumps(list(request.prompt))),
        chat=world.chat,
        log=_count(log),
        sends=tuple(world.queue.sends),
        records=world.records[request.head.turn_id],
        batch_calls=world.store([_beginning() for _ in range(resources.PERSIST.batch_size)])[0].calls,
    )


def _request(shape: Shape, conversation: str | None) -> tuple[TurnRequest, int]:
    """A user's next message after the earlier ones, with the size of its body."""
    roles = [("user", "assistant")[index % 2] for index in range(shape.earlier_messages)] + ["user"]
    messages = [{"id": new_id(), "role": role, "content": "x" * shape.message_bytes} for role in roles]
    body = {"turnId": new_id(), "messages": messages, **({"parentId": messages[-2]["id"]} if conversation else {})}
    raw = json.dumps(body).encode()
    settings = ModelSettings("", None, None, "gpt-5-mini", ("gpt-5-mini",))
    caller = Caller(_USER, frozenset())
    return turn_request(read_body(raw, Limits()), conversation, caller, load(FOLDER, settings), Limits(), iso(time.time())), len(
        raw
    )


_USER: Final = "6b1f0c1e-2f5d-4a53-9b52-5d2a1f0e7c11"  # as long as a Cognito `sub`


def _beginning() -> str:
    request, _ = _request(_FIRST, conversation=None)
    return encode(request.started)


@contextmanager
def _logged() -> Iterator[io.StringIO]:
    """What the functions write to standard output, where Lambda would find it: log lines, and metrics."""
    text = io.StringIO()
    handlers = {id(one): one for logger in (engine.logger, inbox.logger) for one in [logger.registered_handler]}
    kept = {key: cast("Any", one).setStream(text) for key, one in handlers.items()}
    try:
        with redirect_stdout(text):
            yield text
    finally:
        for key, one in handlers.items():
            cast("Any", one).setStream(kept[key])


def _count(text: io.StringIO) -> Lines:
    lines = text.getvalue().splitlines()
    return Lines(len(lines), sum(len(line.encode()) for line in lines))

"""From the bodies of queue messages to what became of each: decoded, each distinct one stored once, logged and measured."""

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from functions.common.log import get_logger
from functions.common.records import Record, TurnFinished, TurnStarted, decode
from functions.persist.batch import Result, store_batch
from functions.persist.errors import PersistError, Poison
from functions.persist.job import Outcome
from functions.persist.pace import Pace
from functions.persist.receipts import CONVERSATION_NOT_FOUND, DUPLICATE_TURN
from functions.persist.store import Store

logger = get_logger("persist")


class Message(NamedTuple):
    """What matters of a message of the queue."""

    message_id: str
    body: str
    receive_count: int


class Stored(NamedTuple):
    """What became of a message; `lag_s` is the time from the fact to its storing, where it was stored just now."""

    result: Result
    lag_s: float | None


def take_in(messages: Sequence[Message], store: Store, pace: Pace) -> Mapping[str, Stored]:
    """What became of each message, by its id. Messages with the same body are one record."""
    decoded = {body: _decode(body) for body in {message.body: None for message in messages}}
    records = {body: record for body, record in decoded.items() if not isinstance(record, Poison)}
    results = dict(zip(records, store_batch(list(records.values()), store, pace), strict=True)) if records else {}
    now = time.time()
    taken: dict[str, Stored] = {}
    for message in messages:
        record = decoded[message.body]
        result = record if isinstance(record, Poison) else results[message.body]
        taken[message.message_id] = Stored(result, None if isinstance(record, Poison) else _lag_s(record, result, now))
        _log(message, record, result)
    return taken


def _decode(body: str) -> Record | Poison:
    try:
        record = decode(body)
        for moment in _moments(record):
            datetime.fromisoformat(moment)
    except ValueError as error:
        return Poison(type(error).__name__)  # its own text may quote the message
    return record


def _moments(record: Record) -> Iterable[str]:
    yield record.turn.started_at
    if isinstance(record, TurnFinished):
        yield record.answer.finished_at


def _lag_s(record: Record, result: Result, now: float) -> float | None:
    if result is not Outcome.STORED or not isinstance(record, TurnStarted | TurnFinished):
        return None
    *_, happened = _moments(record)
    return max(0.0, now - datetime.fromisoformat(happened).timestamp())


_WORTH_A_LINE: Final = {
    Outcome.REFUSED: "the turn's conversation is not there for it",
    Outcome.DUPLICATE: "the turn's id belongs to another request",
    Outcome.OTHER_RUN: "another run of the turn is stored",
}
_CODE: Final = {Outcome.REFUSED: CONVERSATION_NOT_FOUND, Outcome.DUPLICATE: DUPLICATE_TURN, Outcome.OTHER_RUN: DUPLICATE_TURN}


def _log(message: Message, record: Record | Poison, result: Result) -> None:
    about: dict[str, object] = {"record_id": message.message_id, "receive_count": message.receive_count}
    if not isinstance(record, Poison):
        about |= {"kind": record.kind, "turn_id": record.turn.turn_id}
    if isinstance(result, PersistError):
        logger.warning("a record was not stored", extra=about | {"code": result.code, "error": type(result).__name__})
    elif result in _WORTH_A_LINE:
        logger.info(_WORTH_A_LINE[result], extra=about | {"code": _CODE[result]})

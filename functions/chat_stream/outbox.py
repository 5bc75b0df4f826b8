"""The outbox: a turn's records on their way into the queue, tried until accepted or out of time."""

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from functions.chat_stream.deadline import Deadline
from functions.common.aws import SQS, Aws, StorageUnavailable
from functions.common.log import get_logger
from functions.common.records import SQS_MAX_BYTES, Record, SettleTurn, encode
from functions.common.storage_faults import fault_of_code

logger = get_logger("chat_stream")
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 2.0
_BATCH_ENTRIES: Final = 10  # SQS: "a batch of 1 to 10 messages"


class Outbox:
    """Sends records to one queue. Delivery is at least once: a reply that was lost is sent again."""

    def __init__(self, aws: Aws, queue_url: str, settle_delay_s: int) -> None:
        self._aws = aws
        self._queue_url = queue_url
        self._settle_delay_s = settle_delay_s

    async def send(
        self, records: Sequence[Record], deadline: Deadline, on_accepted: Callable[[Record], None] = lambda _: None
    ) -> bool:
        """Whether the queue accepted all the records by the deadline. Tells `on_accepted` of each that it did."""
        left = list(records)
        pause = _FIRST_PAUSE_S
        while True:
            tried, left = left, await self._try(left, deadline)
            kept = {id(record) for record in left}
            for record in tried:
                if id(record) not in kept:
                    on_accepted(record)
            if not left or deadline.left() <= pause:
                return not left
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    async def _try(self, records: Sequence[Record], deadline: Deadline) -> list[Record]:
        """The records that were not accepted."""
        refused: list[Record] = []
        for batch in _batches(records):
            try:
                async with asyncio.timeout(deadline.left()):
                    refused += await self._send_batch(batch)
            except (StorageUnavailable, TimeoutError) as error:
                logger.warning(
                    "the queue does not answer", extra={"error": type(error).__name__, "turn_id": records[0].turn.turn_id}
                )
                refused += [record for record, _ in batch]
        return refused

    async def _send_batch(self, batch: Sequence[tuple[Record, str]]) -> list[Record]:
        entries = [self._entry(str(index), record, body) for index, (record, body) in enumerate(batch)]
        reply = await self._aws.call(SQS, "SendMessageBatch", {"QueueUrl": self._queue_url, "Entries": entries})
        accepted = {entry.get("Id") for entry in reply.get("Successful", ())}
        refused = [record for index, (record, _) in enumerate(batch) if str(index) not in accepted]
        if refused:
            codes = sorted({str(failure.get("Code")) for failure in reply.get("Failed", ())})
            kinds = [record.kind for record in refused]
            logger.warning("the queue refused records", extra={"code": codes, "kind": kinds})
            for code in codes:
                self._aws.failed("SendMessageBatch", fault_of_code(code, 400), code)
        return refused

    def _entry(self, entry_id: str, record: Record, body: str) -> dict[str, Any]:
        delay = self._settle_delay_s if isinstance(record, SettleTurn) else 0
        return {"Id": entry_id, "MessageBody": body, "DelaySeconds": delay}


def _batches(records: Sequence[Record]) -> Iterator[list[tuple[Record, str]]]:
    """Records with their bodies, in batches that SQS takes: the limit on bytes is the whole batch's."""
    batch: list[tuple[Record, str]] = []
    size = 0
    for record in records:
        body = encode(record)
        length = len(body.encode())
        if batch and (size + length > SQS_MAX_BYTES or len(batch) == _BATCH_ENTRIES):
            yield batch
            batch, size = [], 0
        batch.append((record, body))
        size += length
    if batch:
        yield batch

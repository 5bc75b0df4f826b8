"""Puts what lies in the dead-letter queue back into the queue: `make redrive STAGE=prod`.

Each record is sent before it is deleted, as a new message: killed in between, it is in both, which persist stores once.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from infra.account import AccountError, client, outputs, session, told_plainly
from infra.config import Config

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient
    from types_boto3_sqs.type_defs import MessageTypeDef

_BATCH: Final = 10  # SQS: "a batch of 1 to 10 messages"
_HIDDEN_S: Final = 60  # while it is moved nobody else may move it
_MAX_BATCH_BYTES: Final = 1024 * 1024  # SQS: a batch is as large as a message at most


def redrive(sqs: "SQSClient", dead: str, queue: str, at_most: int) -> int:
    """Moves up to `at_most` messages, by the queues' URLs; returns how many. Raises AccountError when the queue refuses one."""
    moved = 0
    while moved < at_most:
        page = sqs.receive_message(
            QueueUrl=dead,
            MaxNumberOfMessages=min(_BATCH, at_most - moved),
            VisibilityTimeout=_HIDDEN_S,
            WaitTimeSeconds=2,  # asks all of SQS's servers: a short poll may miss messages
        )
        if not (messages := page.get("Messages", [])):
            break
        for batch in _batches(messages):
            _move(sqs, dead, queue, batch)
            moved += len(batch)
    return moved


def _move(sqs: "SQSClient", dead: str, queue: str, batch: "Sequence[MessageTypeDef]") -> None:
    entries: Any = [{"Id": str(index), "MessageBody": message["Body"]} for index, message in enumerate(batch)]
    refused = {failure["Id"] for failure in sqs.send_message_batch(QueueUrl=queue, Entries=entries).get("Failed", [])}
    sent: Any = [
        {"Id": str(index), "ReceiptHandle": message["ReceiptHandle"]}
        for index, message in enumerate(batch)
        if str(index) not in refused
    ]
    if sent:
        sqs.delete_message_batch(QueueUrl=dead, Entries=sent)
    if refused:
        raise AccountError(f"The queue refused {len(refused)} of {len(batch)} messages; they are still in the dead-letter queue.")


def _batches(messages: "Sequence[MessageTypeDef]") -> "list[list[MessageTypeDef]]":
    batches: list[list[MessageTypeDef]] = []
    room = 0
    for message in messages:
        size = len(message["Body"].encode())
        if size > room:
            batches.append([])
            room = _MAX_BATCH_BYTES
        batches[-1].append(message)
        room -= size
    return batches


@told_plainly
def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m infra.redrive", description=__doc__)
    parser.add_argument("--stage", default="prod")
    parser.add_argument("--region")
    parser.add_argument("--at-most", type=int, default=10_000, help="records to move; try 1 first")
    given = parser.parse_args(arguments)
    aws = session(given.region)
    found = outputs(aws, Config(stage=given.stage).stack_name)
    moved = redrive(client(aws, "sqs"), found["DeadLetterQueueUrl"], found["QueueUrl"], given.at_most)
    print(f"{moved} records went back into the queue." if moved else "The dead-letter queue is empty.")  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])

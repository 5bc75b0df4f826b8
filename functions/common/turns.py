"""Reading a turn from the `turns` table: its claim, its receipt, its checkpoints, and what they say of its state.

Three functions read turns (a resume, the settling, a conversation with an answer under way); they all read them here.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from functions.common import keys
from functions.common.access import Caller
from functions.common.events import Event, from_log, text_of
from functions.common.records import Usage

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

Item = Mapping[str, Any]

# A running turn shows a sign of life every 5 s at the latest (a checkpoint or a heartbeat). Three missed ones: it is dead.
HEARTBEAT_S: Final = 5.0
DEAD_AFTER_S: Final = 15.0
STREAMING: Final = "streaming"
INTERRUPTED: Final = "interrupted"
FAILED: Final = "failed"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A run of events, the first of which has the id `first`."""

    first: int
    events: Sequence[Event]

    @property
    def last(self) -> int:
        return self.first + len(self.events) - 1


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """What persist's receipt says of the answer it has stored. `chars` are those of the answer and the reasoning together, None
    in receipts of versions that did not say.
    """

    status: str
    finish_reason: str | None = None
    error: str | None = None
    usage: Usage | None = None
    chars: int | None = None


@dataclass(frozen=True, slots=True)
class TurnView:
    """A turn as the table shows it at one moment.

    `log_over` says that no event will follow: the run has sealed its log, or is dead. That can be later than the answer's being
    stored (`over`), for the answer is queued before the log's last events are written.

    `lost` says that the answer is not saved and the same turn may be sent again: the queue refused it, or its run died before the
    queue had the turn's beginning. `anew` says that this happened: what readers saw before is no part of this log. `owner` is the
    run that holds the claim, `claimed_at` the claim's own last sign of life, in milliseconds.

    `conversation_id` and `workspace_id` are known once persist has stored the turn (before that, `workspace_id` is what the
    caller named, if anything). `refused` is the error code persist answered instead. Times are epoch seconds.
    """

    status: str
    digest: str | None
    updated_at: float
    durable: bool
    stop_requested: bool
    log_over: bool
    conversation_id: str | None = None
    workspace_id: str | None = None
    refused: str | None = None
    checkpoints: Sequence[Checkpoint] = field(default=())
    lost: bool = False
    anew: bool = False
    owner: str | None = None
    claimed_at: int = 0
    answer: "StoredAnswer | None" = None

    @property
    def text(self) -> tuple[str, str]:
        """The answer and the reasoning so far."""
        return text_of(event for checkpoint in self.checkpoints for event in checkpoint.events)

    @property
    def over(self) -> bool:
        return self.status != STREAMING

    def visible_to(self, caller: Caller) -> bool:
        """Whether the caller may see it. The key already holds the user; a workspace may have been left since."""
        return self.workspace_id is None or caller.may_touch(self.workspace_id)


def read_turn(client: "DynamoDBClient", table: str, turn_id: str, user_id: str) -> TurnView | None:
    """The turn with all its checkpoints, or None when there is none or it has expired. Strongly consistent."""
    return view(_items(client, turn_query(table, turn_id, user_id)))


def checkpoint_keys(client: "DynamoDBClient", table: str, turn_id: str, user_id: str) -> list[keys.Key]:
    """The keys of a turn's checkpoints, the items that hold its text. Strongly consistent."""
    items = _items(client, checkpoint_keys_query(table, turn_id, user_id))
    return [keys.Key(item[keys.PK]["S"], item[keys.SK]["S"]) for item in items]


def turn_query(table: str, turn_id: str, user_id: str, first: int = 0) -> dict[str, Any]:
    """The query for a turn's items: all, or without the checkpoints that begin before event `first`."""
    return {
        "TableName": table,
        "KeyConditionExpression": "pk = :pk AND sk >= :from",
        "ExpressionAttributeValues": {":pk": {"S": keys.turn_pk(turn_id, user_id)}, ":from": {"S": keys.events_sk(first)}},
        "ConsistentRead": True,
    }


def status_query(table: str, turn_id: str, user_id: str) -> dict[str, Any]:
    """The query for a turn with at most its last checkpoints: one page, one small read."""
    return {
        "TableName": table,
        "KeyConditionExpression": "pk = :pk",
        "ExpressionAttributeValues": {":pk": {"S": keys.turn_pk(turn_id, user_id)}},
        "ConsistentRead": True,
        "ScanIndexForward": False,
        "Limit": 4,  # TURN, STOP, RECEIPT sort behind the checkpoints: these, then the newest of those
    }


def checkpoint_keys_query(table: str, turn_id: str, user_id: str) -> dict[str, Any]:
    return {
        "TableName": table,
        "KeyConditionExpression": "pk = :pk AND begins_with(sk, :events)",
        "ExpressionAttributeValues": {":pk": {"S": keys.turn_pk(turn_id, user_id)}, ":events": {"S": keys.EVENTS_PREFIX}},
        "ProjectionExpression": "pk, sk",
        "ConsistentRead": True,
    }


def _items(client: "DynamoDBClient", query: dict[str, Any]) -> list[Item]:
    """Of all the pages."""
    items: list[Item] = []
    for page in client.get_paginator("query").paginate(**query):
        items += page["Items"]
    return items


def is_live(item: Item, now: float) -> bool:
    """Whether an item counts. DynamoDB deletes an expired one within days: until then it is as good as absent. One without the
    attribute does not expire, there as here.
    """
    return keys.EXPIRES not in item or float(item[keys.EXPIRES]["N"]) > now


def is_forgotten(items: Sequence[Item]) -> bool:
    """Whether a turn's items say that its conversation was deleted."""
    now = time.time()
    return any(item["sk"]["S"] == keys.TURN and keys.FORGOTTEN in item and is_live(item, now) for item in items)


def view(items: Sequence[Item], now: float | None = None) -> TurnView | None:
    """What a turn's items say; None without a live claim. An expired item can stay readable for days: it is left out here."""
    now = time.time() if now is None else now
    live = {item["sk"]["S"]: item for item in items if is_live(item, now)}
    claim, receipt = live.get(keys.TURN), live.get(keys.RECEIPT, {})
    if claim is None or keys.FORGOTTEN in claim:
        return None
    if _text(receipt, "digest") not in (None, _text(claim, "digest")):
        receipt = {}  # persist's word on another request of the same id
    owner = _text(claim, keys.OWNER)
    rows = sorted(
        (item for sk, item in live.items() if sk.startswith(keys.EVENTS_PREFIX) and _text(item, keys.OWNER) in (None, owner)),
        key=lambda item: str(item["sk"]["S"]),
    )
    seen = max(_seconds(item["at"]) for item in (claim, *rows))
    sealed = claim["status"]["S"] != STREAMING
    log_over = sealed or now - seen > DEAD_AFTER_S
    # A claim of a version that did not say is taken for queued: it nearly always was.
    stored = {"conversation_id", "answer_status", "refused"} & receipt.keys()
    queued = bool(stored) or any(item.get(keys.QUEUED, {"BOOL": keys.QUEUED not in claim})["BOOL"] for item in (claim, *rows))
    answer = _stored_answer(receipt)
    status = claim["status"]["S"]
    if not sealed:
        status = answer.status if answer else (INTERRUPTED if log_over else STREAMING)
    refused = _text(receipt, "refused")
    if refused and status != STREAMING:
        status = FAILED  # whatever its run said: it was over before persist could tell it
    return TurnView(
        status=status,
        digest=_text(claim, "digest"),
        updated_at=seen,
        durable=not refused and (claim.get("durable", {}).get("BOOL", False) or "answer_status" in receipt),
        stop_requested=keys.STOP in live,
        log_over=log_over,
        conversation_id=_text(receipt, "conversation_id"),
        workspace_id=_text(receipt, "workspace_id") or _text(claim, "workspace_id"),
        refused=refused,
        checkpoints=tuple(Checkpoint(_first(item), from_log(item["events"]["S"])) for item in rows),
        lost=answer is None and (claim.get(keys.LOST, {}).get("BOOL", False) or (log_over and not sealed and not queued)),
        anew=keys.ANEW in claim,
        owner=owner,
        claimed_at=int(claim["at"]["N"]),
        answer=answer,
    )


def _stored_answer(receipt: Item) -> StoredAnswer | None:
    if (status := _text(receipt, "answer_status")) is None:
        return None
    usage, chars = _text(receipt, "usage"), receipt.get("answer_chars")
    return StoredAnswer(
        status,
        _text(receipt, "finish_reason"),
        _text(receipt, "error"),
        Usage.model_validate_json(usage) if usage else None,
        int(chars["N"]) if chars else None,
    )


def _first(item: Item) -> int:
    return int(item["sk"]["S"].removeprefix(keys.EVENTS_PREFIX))


def _seconds(milliseconds: Mapping[str, str]) -> float:
    return int(milliseconds["N"]) / 1000


def _text(item: Item, name: str) -> str | None:
    return item[name]["S"] if name in item else None

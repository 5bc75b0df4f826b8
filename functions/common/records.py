"""The queue's wire records: what `chat_stream` sends and `persist` stores.

A turn sends `TurnStarted` when it begins, `TurnFinished` when it ends, and a delayed `SettleTurn` in case it never does. Each
carries the whole head of the turn, so each can be stored alone, twice, and in any order.
"""

import base64
import re
import zlib
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter

# SQS: "The minimum message size is 1 byte, the maximum is 1,048,576 bytes" for a message and for a batch of them.
SQS_MAX_BYTES: Final = 1_048_576
SQS_MAX_DELAY_S: Final = 900
SETTLE_ROOM: Final = 16 * 1024  # for a settling in the same batch: its head has every workspace that a token can name
_PLAIN_MAX_BYTES: Final = 192 * 1024  # above this a body is compressed
_COMPRESSED: Final = "z1:"
# SQS takes #x9 #xA #xD #x20-#xD7FF #xE000-#xFFFD #x10000-#x10FFFF; JSON already escapes what is below #x20.
_REFUSED_BY_SQS = re.compile("[\ufffe\uffff]")

Role = Literal["system", "user", "assistant"]
FinalStatus = Literal["complete", "stopped", "truncated", "failed"]
AnswerStatus = Literal["complete", "stopped", "truncated", "failed", "interrupted"]


class _Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Usage(_Wire):
    """Tokens of one model call, as the provider counts them."""

    input_tokens: int
    output_tokens: int
    total_tokens: int

    def public(self) -> dict[str, int]:
        """As the API writes it."""
        return {"inputTokens": self.input_tokens, "outputTokens": self.output_tokens, "totalTokens": self.total_tokens}


class TurnHead(_Wire):
    """What every record of a turn repeats.

    `workspace_id` is where a new conversation is made (`new`), or the one the caller named, or None when a conversation is
    continued by its id alone; then `workspaces` decides (None: every workspace). `depth` is the answer's place in its branch,
    counted from 0; `digest` tells two requests of the same id apart; `owner` tells two runs of one request apart (None in records
    of versions that did not say): only the run that holds the turn's claim has its answer stored.
    """

    turn_id: str
    user_id: str
    workspaces: list[str] | None
    workspace_id: str | None
    conversation_id: str
    new: bool
    bud_id: str
    model: str
    title: str | None
    parent_id: str | None
    depth: int
    digest: str
    started_at: str
    owner: str | None = None


class NewMessage(_Wire):
    """A message the turn adds to its branch, before the answer."""

    id: str
    parent_id: str | None
    depth: int
    role: Role
    content: str
    meta: dict[str, JsonValue] = {}


class Answer(_Wire):
    """The assistant's message as it ended. `error` is the API's error code of a turn that failed.

    `usage` is what the provider counted; `spent` is that or, where it counted nothing, an estimate: what the user's days sum up.
    """

    content: str
    reasoning: str = ""
    status: AnswerStatus
    finish_reason: str | None = None
    usage: Usage | None = None
    spent: Usage | None = None
    error: str | None = None
    finished_at: str


class TurnStarted(_Wire):
    v: Literal[1] = 1
    kind: Literal["turn_started"] = "turn_started"
    turn: TurnHead
    messages: list[NewMessage]


class TurnFinished(_Wire):
    v: Literal[1] = 1
    kind: Literal["turn_finished"] = "turn_finished"
    turn: TurnHead
    answer: Answer


class SettleTurn(_Wire):
    """Asks persist to store the turn from its checkpoints if no answer ever came."""

    v: Literal[1] = 1
    kind: Literal["settle_turn"] = "settle_turn"
    turn: TurnHead


Record = TurnStarted | TurnFinished | SettleTurn
_RECORD: TypeAdapter[Record] = TypeAdapter(Annotated[Record, Field(discriminator="kind")])


class RecordTooLarge(ValueError):
    """The record does not fit a queue message, even compressed."""


def encode(record: Record) -> str:
    """The body of the queue message; raises RecordTooLarge above what SQS takes beside a settle record.

    JSON, so that a dead letter can be read; zlib in base 85 above 192 KiB, because JSON's escapes can double a text and SQS's
    limit counts the escaped bytes.
    """
    text = record.model_dump_json(exclude_defaults=False)
    if not text.isascii():
        text = _REFUSED_BY_SQS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    raw = text.encode()
    if len(raw) <= _PLAIN_MAX_BYTES:
        return text
    packed = _COMPRESSED + base64.b85encode(zlib.compress(raw, 1)).decode()
    if len(packed) > SQS_MAX_BYTES - SETTLE_ROOM:
        raise RecordTooLarge(f"{record.kind} of turn {record.turn.turn_id} takes {len(packed)} bytes")
    return packed


def decode(body: str) -> Record:
    """The record in a queue message's body; raises ValueError (pydantic's ValidationError is one) when it is not one of ours."""
    if body.startswith(_COMPRESSED):
        # zlib.error is not a ValueError.
        try:
            body = zlib.decompress(base64.b85decode(body[len(_COMPRESSED) :])).decode()
        except zlib.error as error:
            raise ValueError("a compressed record that does not decompress") from error
    return _RECORD.validate_json(body)

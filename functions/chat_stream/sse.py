"""The API's own encoding of a turn's events: `id: <n>\\ndata: <json>\\n\\n` (docs/api.md, "Sending a message")."""

from json.encoder import encode_basestring as quote
from typing import Any, Final

from pydantic_core import to_json

from functions.common.events import Complete, ConversationCreated, Event, Failed, PersistPending, Reasoning, Start, Token

KEEPALIVE: Final = b": keepalive\n\n"
HEADERS: Final = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
)


def encode(number: int, event: Event) -> bytes:
    """The frame of event `number`. JSON's escapes keep any text of the model inside its string: it can end no line."""
    if isinstance(event, Token):
        return f'id: {number}\ndata: {{"type":"token","content":{quote(event.content)}}}\n\n'.encode()
    if isinstance(event, Reasoning):
        return f'id: {number}\ndata: {{"type":"reasoning","content":{quote(event.content)}}}\n\n'.encode()
    return b"id: %d\ndata: %s\n\n" % (number, to_json(_document(event)))


def _document(event: Event) -> dict[str, Any]:
    match event:
        case Start(turn_id, model):
            return {"type": "start", "turnId": turn_id, "model": model}
        case ConversationCreated(conversation_id):
            return {"type": "conversationCreated", "conversationId": conversation_id}
        case PersistPending(turn_id):
            return {"type": "persistPending", "turnId": turn_id}
        case Failed(code, message, retryable, partial):
            return {"type": "error", "code": code, "message": message, "retryable": retryable, "partial": partial}
        case Complete(turn_id, conversation_id, finish_reason, status, usage, durable):
            return {
                "type": "complete",
                "turnId": turn_id,
                "conversationId": conversation_id,
                "finishReason": finish_reason,
                "status": status,
                "usage": usage and usage.public(),
                "durable": durable,
            }
        case _:
            raise TypeError(type(event).__name__)

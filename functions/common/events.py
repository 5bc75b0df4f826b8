"""A turn's events, as values: what the client sees, what the log keeps, what a resume replays.

How they look on the wire is the business of an encoder; how they lie in the `turns` table is `to_log` and `from_log`.
"""

import json
from collections.abc import Iterable
from json.encoder import encode_basestring as quote
from typing import Any, NamedTuple

from functions.common.records import Usage


class Start(NamedTuple):
    turn_id: str
    model: str


class Token(NamedTuple):
    content: str


class Reasoning(NamedTuple):
    content: str


class ConversationCreated(NamedTuple):
    conversation_id: str


class PersistPending(NamedTuple):
    turn_id: str


class Failed(NamedTuple):
    """The turn failed: `code` is one of docs/api.md's, `partial` says whether text was produced and saved."""

    code: str
    message: str
    retryable: bool
    partial: bool


class Complete(NamedTuple):
    turn_id: str
    conversation_id: str | None
    finish_reason: str | None
    status: str
    usage: Usage | None
    durable: bool


Event = Start | Token | Reasoning | ConversationCreated | PersistPending | Failed | Complete

_LETTER: dict[type[Any], str] = {
    Start: "s",
    Token: "t",
    Reasoning: "r",
    ConversationCreated: "c",
    PersistPending: "p",
    Failed: "f",
    Complete: "z",
}
_KIND = {letter: kind for kind, letter in _LETTER.items()}


def is_terminal(event: Event) -> bool:
    """Whether nothing may follow the event."""
    return isinstance(event, Failed | Complete)


def to_log(events: Iterable[Event]) -> str:
    """Events as one compact JSON array, `[["t","Hel"],["t","lo"]]`: a few bytes more than the text itself."""
    return joined(map(log_row, events))


def log_row(event: Event) -> str:
    """One event as JSON, to be `joined` with others."""
    if type(event) is Token:
        return f'["t",{quote(event.content)}]'
    parts = [part.model_dump() if isinstance(part, Usage) else part for part in event]
    return json.dumps([_LETTER[type(event)], *parts], ensure_ascii=False, separators=(",", ":"))


def joined(rows: Iterable[str]) -> str:
    return f"[{','.join(rows)}]"


def from_log(stored: str) -> list[Event]:
    """The events `to_log` wrote."""
    events: list[Event] = []
    for letter, *parts in json.loads(stored):
        if letter == "z" and parts[4] is not None:
            parts[4] = Usage(**parts[4])
        events.append(_KIND[letter](*parts))
    return events


def text_of(events: Iterable[Event]) -> tuple[str, str]:
    """The answer and the reasoning that the events add up to."""
    events = list(events)
    return (
        "".join(event.content for event in events if isinstance(event, Token)),
        "".join(event.content for event in events if isinstance(event, Reasoning)),
    )

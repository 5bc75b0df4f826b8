"""A turn of the packaged function: the event that asks for it, and what comes back."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from functions.common.sse import SSEDecoder
from tests.support.chat import user
from tests.support.function.environment import Function
from tests.support.function.runtime_api import Invocation
from tests.support.function.world import World

TURN: Final = json.dumps({"messages": [user("hi")]}).encode()


def events(invocation: Invocation) -> Iterator[tuple[float, dict[str, Any]]]:
    """The turn's events with the time each arrived at Lambda."""
    decoder = SSEDecoder()
    for chunk in invocation.body():
        for message in decoder.feed(chunk.data):
            yield chunk.at, json.loads(message.data)


def kinds(invocation: Invocation) -> list[str]:
    return [event["type"] for _, event in events(invocation)]


def document(invocation: Invocation) -> Any:
    """A response that is no stream, whole."""
    return json.loads(b"".join(chunk.data for chunk in invocation.body()))


def chat(function: Function, world: World, seconds: float = 60, headers: Mapping[str, str] | None = None) -> Invocation:
    return function.api.invoke(world.event("POST", "/api/chat", TURN, world.token_header() | dict(headers or {})), seconds)

"""The streaming function as a server on a real socket, in this process, with a scripted model and an embedded AWS."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
import uvicorn
from starlette.applications import Starlette

from functions.chat_stream.app import create_app
from functions.chat_stream.settings import Settings
from functions.common.sse import Message, SSEDecoder
from local.model.script import Step, token, wait_for
from tests.support import http
from tests.support.prompt_server import PromptServer


@dataclass
class Seen:
    """One event as a client saw it: its number, its JSON, and when it came (monotonic seconds)."""

    id: int
    event: dict[str, Any]
    at: float

    @property
    def type(self) -> str:
        return str(self.event["type"])


@dataclass
class Stream:
    """A stream read to its end."""

    status: int
    headers: Mapping[str, str]
    began: float
    events: list[Seen] = field(default_factory=list)
    comments: int = 0
    problem: dict[str, Any] = field(default_factory=dict)

    @property
    def types(self) -> list[str]:
        """The kinds of events in order, runs of one kind once."""
        kinds = [seen.type for seen in self.events]
        return [kind for index, kind in enumerate(kinds) if index == 0 or kinds[index - 1] != kind]

    @property
    def text(self) -> str:
        assert self.status == 200, self.problem
        return "".join(seen.event["content"] for seen in self.events if seen.type == "token")

    @property
    def last(self) -> dict[str, Any]:
        return self.events[-1].event

    @staticmethod
    def seen(message: Message) -> Seen:
        return Seen(int(message.id or 0), json.loads(message.data), time.monotonic())

    def first(self, kind: str) -> Seen:
        return next(seen for seen in self.events if seen.type == kind)


def user(content: str, **fields: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **fields}


def read(response: httpx2.Response, until: str | None = None, heard: Callable[[Seen], None] | None = None) -> Stream:
    """Reads the stream to its end, or through the first event of type `until`. `heard` is called with each event as it comes."""
    stream = Stream(response.status_code, response.headers, time.monotonic())
    if response.headers["content-type"].partition(";")[0] != "text/event-stream":
        stream.problem = json.loads(response.read())
        return stream
    decoder = SSEDecoder()
    for chunk in response.iter_raw():
        stream.comments += chunk.count(b": keepalive\n\n")
        for message in decoder.feed(chunk):
            seen = Stream.seen(message)
            stream.events.append(seen)
            if heard is not None:
                heard(seen)
            if seen.type == until:
                return stream
    return stream


class Lockstep:
    """An answer whose every token is made once the reader has the one before: one that is held back anywhere is the last.

    The model plays `steps`, the reader passes `heard` to `read`.
    """

    def __init__(self, *words: str, wait_s: float = 20) -> None:
        self.words = list(words)
        self.steps: list[Step] = []
        self._read = [threading.Event() for _ in words]
        for word, event in zip(words, self._read, strict=True):
            self.steps += [token(word), wait_for(event, wait_s)]

    def heard(self, seen: Seen) -> None:
        if seen.type == "token":
            next(event for event in self._read if not event.is_set()).set()


class Api:
    """A client of one server of the API."""

    def __init__(self, url: str, token: str | None = None) -> None:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self.http = http.client(url, timeout=30, headers=headers)

    def close(self) -> None:
        self.http.close()

    def post(self, body: Mapping[str, Any], conversation_id: str | None = None, until: str | None = None) -> Stream:
        """POSTs a turn and reads its stream."""
        with self.streaming(body, conversation_id) as response:
            return read(response, until)

    @contextmanager
    def streaming(self, body: Mapping[str, Any], conversation_id: str | None = None) -> Iterator[httpx2.Response]:
        path = f"/api/chat/{conversation_id}" if conversation_id else "/api/chat"
        with self.http.stream("POST", path, json=body) as response:
            yield response

    def say(self, content: str, **fields: Any) -> Stream:
        return self.post({"messages": [user(content)], **fields})

    def resume(self, turn_id: str, after: int = 0) -> Stream:
        with self.http.stream("GET", f"/api/turns/{turn_id}/stream", headers={"last-event-id": str(after)}) as response:
            return read(response)

    def turn(self, turn_id: str) -> dict[str, Any]:
        document: dict[str, Any] = self.http.get(f"/api/turns/{turn_id}").json()
        return document

    def stop(self, turn_id: str) -> httpx2.Response:
        return self.http.post(f"/api/turns/{turn_id}/stop")


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """The base URL of the function under uvicorn, in a thread; ends its turns when left."""
    app: Starlette = create_app(settings)
    server = PromptServer(uvicorn.Config(app, "127.0.0.1", 0, log_level="error", access_log=False, lifespan="on", ws="none"))
    thread = threading.Thread(target=server.run, name="chat_stream", daemon=True)
    thread.start()
    assert server.serving.wait(20), "the server did not start"
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        app.state.turns.end_all()
        server.end()
        thread.join(20)
        assert not thread.is_alive(), "the server did not end"


def settings(model_url: str, turns_table: str, queue_url: str, **env: str) -> Settings:
    return Settings.from_env(
        {
            "OPENAI_BASE_URL": model_url,
            "OPENAI_API_KEY": "sk-test",
            "CHAT_TURNS_TABLE": turns_table,
            "CHAT_QUEUE_URL": queue_url,
            "DEFAULT_MODEL": "test-model",
            "MODELS": "test-model,other-model",
            **env,
        }
    )

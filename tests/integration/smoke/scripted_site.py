"""A deployment on a real socket that behaves well, but for what a test spoils."""

import hashlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

TOKEN: Final = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"
CONVERSATION: Final = "00000000-0000-7000-8000-000000000001"
WORDS: Final = ("one ", "two ", "three ", "four ")


@dataclass
class Behaviour:
    """What is wrong with it. `direct` is what its function URL answers; `ending` replaces fields of the turn's last event."""

    lets_strangers_in: bool = False
    believes_forgeries: bool = False
    collects_all: bool = False
    collects_tokens: bool = False
    creates: bool = True
    stored_text: str = "".join(WORDS)
    keeps_what_is_deleted: bool = False
    direct: int = 403
    ignores_stops: bool = False
    refuses_renames: bool = False
    wants_digests: bool = True  # as CloudFront and Lambda do
    refuses_encoded_queries: bool = False
    refuses_plain_queries: bool = False
    turn_status: str = "complete"
    words: tuple[str, ...] = WORDS
    breaks_off: bool = False
    goes_on: threading.Event | None = None  # a turn waits for it after two words
    ending: dict[str, Any] | None = None


@contextmanager
def scripted_site(behaviour: Behaviour) -> Iterator[str]:
    handler = type("Handler", (_Handler,), {"behaviour": behaviour, "deleted": False, "question": "", "stopped": set()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    behaviour: Behaviour
    deleted: bool
    question: str
    stopped: set[str]

    def do_GET(self) -> None:
        if self.path == "/api/health":
            self._json(200, {"status": "ok", "version": "1"})
        elif self.path == "/direct":
            self._json(self.behaviour.direct, {})
        elif self._is_let_in():
            if self.path.startswith("/api/turns/"):
                self._json(200, {"status": self.behaviour.turn_status})
            elif "?" in self.path:
                self._list(self.path.partition("not")[2].removesuffix("mine"))
            else:
                self._read()

    def _list(self, mark: str) -> None:
        encoded = mark.startswith("%")
        if self.behaviour.refuses_encoded_queries if encoded else self.behaviour.refuses_plain_queries:
            self._mismatch()
        else:
            self._json(403, {"code": "forbidden_workspace"})

    def do_DELETE(self) -> None:
        if self._fits(b"") and self._is_let_in():
            type(self).deleted = not self.behaviour.keeps_what_is_deleted
            self._json(204, None)

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        if not self._fits(raw) or not self._is_let_in():
            return
        if self.path.endswith("/stop"):
            type(self).stopped.add(self.path.split("/")[-2])
            self._json(202, {})
        elif not (body := json.loads(raw)):
            self._json(400, {"code": "invalid_request"})
        else:
            type(self).question = body["messages"][0]["content"]
            self._stream(self._events(body.get("turnId", "")))

    def do_PATCH(self) -> None:
        raw = self.rfile.read(int(self.headers["content-length"]))
        if self._fits(raw) and self._is_let_in():
            self._json(*((415, {}) if self.behaviour.refuses_renames else (200, json.loads(raw))))

    def _fits(self, body: bytes) -> bool:
        if not self.behaviour.wants_digests or self.headers.get("x-amz-content-sha256") == hashlib.sha256(body).hexdigest():
            return True
        self._mismatch()
        return False

    def _mismatch(self) -> None:
        self._json(403, {"message": "The request signature we calculated does not match"}, "InvalidSignatureException")

    def _read(self) -> None:
        if self.deleted:
            self._json(404, {"code": "not_found"})
            return
        contents = (("user", self.question), ("assistant", self.behaviour.stored_text))
        self._json(200, {"messages": [{"role": role, "content": content} for role, content in contents]})

    def _is_let_in(self) -> bool:
        given = self.headers.get("authorization")
        good = given == f"Bearer {TOKEN}" or (given is None and self.behaviour.lets_strangers_in)
        if good or (given is not None and self.behaviour.believes_forgeries):
            return True
        self._json(401, {"code": "unauthenticated"})
        return False

    def _events(self, turn_id: str) -> Iterator[dict[str, Any]]:
        yield {"type": "start"}
        for index, word in enumerate(self.behaviour.words):
            yield {"type": "token", "content": word}
            if index == 1 and self.behaviour.goes_on is not None:
                self.behaviour.goes_on.wait(10)
            if turn_id in self.stopped and not self.behaviour.ignores_stops:
                yield {"type": "complete", "status": "stopped", "durable": True, "conversationId": CONVERSATION}
                return
            if index == 1 and self.behaviour.creates:
                yield {"type": "conversationCreated", "conversationId": CONVERSATION}
        good = {"type": "complete", "status": "complete", "durable": True, "conversationId": CONVERSATION}
        yield good | (self.behaviour.ending or {})

    def _stream(self, events: Iterator[dict[str, Any]]) -> None:
        """At the pace of a quick model, each event in a write of its own, unless something collects them."""
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        if self.behaviour.breaks_off:
            self.send_header("content-length", "1000000")  # so that the end comes before what was announced
        self.end_headers()
        held = b""
        for event in events:
            held += b"data: " + json.dumps(event).encode() + b"\n\n"
            if event["type"] == "token":
                time.sleep(0.03)
            last = event["type"] not in {"start", "token", "conversationCreated"}
            if last and self.behaviour.breaks_off:
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            if last or not (self.behaviour.collects_all or (self.behaviour.collects_tokens and event["type"] != "start")):
                self.wfile.write(held)
                held = b""

    def _json(self, status: int, document: Any, error: str | None = None) -> None:
        body = b"" if document is None else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        if error is not None:
            self.send_header("x-amzn-errortype", error)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """A test's output is its own."""

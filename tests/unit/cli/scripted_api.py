"""A real HTTP server that answers as a test scripts it, and keeps what it was asked."""

import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Step = bytes | Callable[[], object]  # what is sent, or what is waited for before the next is


@dataclass(frozen=True)
class Reply:
    steps: tuple[Step, ...]
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


def document(value: object, status: int = 200) -> Reply:
    return Reply((json.dumps(value).encode(),), status)


def problem(status: int, title: str, code: str, detail: str = "", **headers: str) -> Reply:
    body = {"type": f"urn:problem:{code}", "title": title, "status": status, "code": code, "detail": detail}
    return Reply((json.dumps(body).encode(),), status, "application/problem+json", headers)


def stream(*steps: Step, cut: bool = False) -> Reply:
    """An event stream; `cut` breaks the connection off instead of ending the body."""
    return Reply(steps, content_type="text/event-stream; charset=utf-8", cut=cut)


def frame(number: int, kind: str, **fields: object) -> bytes:
    return f"id: {number}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def start(number: int = 1) -> bytes:
    return frame(number, "start", turnId="0199aaaa-0000-7000-8000-000000000000", model="test-model")


def complete(number: int, status: str = "complete", conversation: str | None = "conv-1", *, durable: bool = True) -> bytes:
    usage = {"inputTokens": 3, "outputTokens": 8, "totalTokens": 11}
    return frame(
        number,
        "complete",
        turnId="t",
        conversationId=conversation,
        finishReason="stop",
        status=status,
        usage=usage,
        durable=durable,
    )


class ScriptedApi:
    """`on` scripts the answers to a route in order; the last one is repeated."""

    def __init__(self, host: str, port: int) -> None:
        self.url = f"http://{host}:{port}"
        self.requests: list[Request] = []
        self._routes: dict[tuple[str, str], list[Reply]] = {}
        self._lock = threading.Lock()

    def on(self, method: str, path: str, *replies: Reply) -> None:
        self._routes[method, path] = list(replies)

    def asked(self, method: str, path: str) -> list[Request]:
        return [request for request in self.requests if request.method == method and fnmatch(request.path, path)]

    def answer(self, request: Request) -> Reply:
        with self._lock:
            self.requests.append(request)
            for (method, path), replies in self._routes.items():
                if method == request.method and fnmatch(request.path, path):
                    return replies.pop(0) if len(replies) > 1 else replies[0]
        return problem(404, "There is nothing here", "not_found")


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that has read the last event may leave before the body's end.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def scripted_api(host: str = "127.0.0.1") -> Iterator[ScriptedApi]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            self._play(api.answer(Request(self.command, path, query, headers, body)))

        do_POST = do_GET  # noqa: N815 - the base class's names

        def _play(self, reply: Reply) -> None:
            self.send_response(reply.status)
            for name, value in {"content-type": reply.content_type, "transfer-encoding": "chunked", **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            for step in reply.steps:
                if callable(step):
                    step()
                else:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(step), step))
            if reply.cut:
                self.close_connection = True
            else:
                self.wfile.write(b"0\r\n\r\n")

        def log_message(self, *_: object) -> None:
            pass

    with _Server((host, 0), Handler) as http:
        api = ScriptedApi(host, http.server_address[1])
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield api
        finally:
            http.shutdown()
            thread.join()

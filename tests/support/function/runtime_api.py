"""Lambda's side of a function: the Runtime, Extensions and SnapStart APIs on a loopback port, keeping when each byte arrived.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html, …/runtimes-extensions-api.html and …/runtimes-custom.html,
"Response streaming". The Runtime Interface Emulator speaks the first of them too, but it buffers what is streamed.
"""

import json
import queue
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

_RUNTIME: Final = "/2018-06-01/runtime"
_EXTENSION: Final = "/2020-01-01/extension"
CREDENTIALS: Final = "/credentials"  # SnapStart gives a function its credentials by this way, not in its environment
_CREDENTIALS_LIVE: Final = timedelta(hours=6)
_NULS: Final = bytes(8)  # what ends the prelude of a streamed HTTP response
_WAIT_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a response, as one chunk of the request that carried it: when it arrived (monotonic), and its bytes."""

    at: float
    data: bytes


@dataclass
class Invocation:
    """One event on its way through the function, and what came back for it."""

    event: Mapping[str, Any]
    seconds: float
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    began: float = 0.0  # when the function took it; monotonic
    mode: str = ""
    content_type: str = ""
    trailers: dict[str, str] = field(default_factory=dict)
    error: dict[str, Any] | None = None
    ended: threading.Event = field(default_factory=threading.Event)
    _arrived: "queue.SimpleQueue[Chunk | None]" = field(default_factory=queue.SimpleQueue)
    _prelude: dict[str, Any] | None = None

    def chunks(self) -> Iterator[Chunk]:
        """What was streamed, as it comes; to be read once. Raises queue.Empty when nothing comes for long."""
        while (chunk := self._arrived.get(timeout=_WAIT_S)) is not None:
            yield chunk

    def body(self) -> Iterator[Chunk]:
        """The same without the prelude, which `prelude` holds from the first of them on."""
        head = b""
        for chunk in self.chunks():
            if self._prelude is not None:
                yield chunk
                continue
            head += chunk.data
            document, nuls, rest = head.partition(_NULS)
            if nuls:
                self._prelude = json.loads(document)
                yield Chunk(chunk.at, rest)

    @property
    def prelude(self) -> dict[str, Any]:
        """Status and headers of a streamed HTTP response."""
        assert self._prelude is not None, "no prelude has come"
        return self._prelude

    def result(self) -> Any:
        """The whole response of a function that does not stream, parsed."""
        return json.loads(b"".join(chunk.data for chunk in self.chunks()))


class RuntimeApi:
    """The APIs at `address`. `invoke` hands the function an event; `init_errors` are what it reported of its start."""

    def __init__(self) -> None:
        self.registered = threading.Event()
        self.asked = threading.Event()  # for its first event: initialisation is over
        self.asked_for_restore = threading.Event()
        self.restore_failed: list[str] = []
        self.init_errors: list[str] = []
        self.credentials_given = 0
        self._restore = threading.Event()
        self._closing = threading.Event()
        self._waiting: queue.SimpleQueue[Invocation | None] = queue.SimpleQueue()
        self._running: dict[str, Invocation] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._closing.set()
        self._restore.set()
        self._waiting.put(None)
        self._server.shutdown()
        self._server.server_close()

    def invoke(self, event: Mapping[str, Any], seconds: float = 60) -> Invocation:
        """Hands the event over; the function has `seconds` for it."""
        invocation = Invocation(event, seconds)
        self._running[invocation.id] = invocation
        self._waiting.put(invocation)
        return invocation

    def restore(self) -> None:
        """Goes on after the snapshot that the function said it is ready for."""
        self._restore.set()

    def next_invocation(self) -> Invocation | None:
        self.asked.set()
        return None if self._closing.is_set() else self._waiting.get()

    def running(self, invocation_id: str) -> Invocation:
        return self._running[invocation_id]

    def wait_for_restore(self) -> None:
        self.asked_for_restore.set()
        self._restore.wait()

    def wait_for_the_end(self) -> None:
        self._closing.wait()


def _handler_of(api: RuntimeApi) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        pass

    Handler.api = api
    return Handler


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    api: RuntimeApi

    def handle(self) -> None:
        with suppress(ConnectionError):  # the function was killed
            super().handle()

    def do_GET(self) -> None:
        match self.path:
            case p if p == f"{_RUNTIME}/invocation/next":
                self._next()
            case p if p == f"{_RUNTIME}/restore/next":
                self.api.wait_for_restore()
                self._answer(200)
            case p if p == f"{_EXTENSION}/event/next":
                self.api.wait_for_the_end()
                self.close_connection = True
            case p if p == CREDENTIALS:
                self._credentials()
            case _:
                self._answer(404)

    def do_POST(self) -> None:
        path = self.path.removeprefix(f"{_RUNTIME}/invocation/")
        if path.endswith("/response") and path != self.path:
            self._response(self.api.running(path.removesuffix("/response")))
            self._answer(202)
            return
        body = b"".join(chunk.data for chunk in self._chunks())
        if path.endswith("/error") and path != self.path:
            invocation = self.api.running(path.removesuffix("/error"))
            invocation.error = json.loads(body)
            self._end(invocation)
        elif self.path == f"{_EXTENSION}/register":
            self.api.registered.set()
            self._answer(200, {"Lambda-Extension-Identifier": str(uuid.uuid4())}, b"{}")
            return
        elif self.path in {f"{_RUNTIME}/init/error", f"{_EXTENSION}/init/error"}:
            self.api.init_errors.append(body.decode())
        elif self.path == f"{_RUNTIME}/restore/error":
            self.api.restore_failed.append(body.decode())
        else:
            self._answer(404)
            return
        self._answer(202)

    def _next(self) -> None:
        invocation = self.api.next_invocation()
        if invocation is None:
            self.close_connection = True
            return
        invocation.began = time.monotonic()
        headers = {
            "Lambda-Runtime-Aws-Request-Id": invocation.id,
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + invocation.seconds) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-central-1:123456789012:function:chat:live",
            "Lambda-Runtime-Trace-Id": "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0",
            "Content-Type": "application/json",
        }
        self._answer(200, headers, json.dumps(invocation.event).encode())

    def _response(self, invocation: Invocation) -> None:
        invocation.mode = self.headers.get("Lambda-Runtime-Function-Response-Mode", "")
        invocation.content_type = self.headers.get("Content-Type", "")
        for chunk in self._chunks():
            invocation._arrived.put(chunk)
        invocation.trailers = self._trailers
        self._end(invocation)

    def _end(self, invocation: Invocation) -> None:
        invocation._arrived.put(None)
        invocation.ended.set()

    def _chunks(self) -> Iterator[Chunk]:
        """The body of the request, each chunk as soon as it is whole; trailers into `_trailers`."""
        self._trailers: dict[str, str] = {}
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            yield Chunk(time.monotonic(), self.rfile.read(int(self.headers.get("Content-Length") or 0)))
            return
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            data = self.rfile.read(size)
            self.rfile.readline()
            yield Chunk(time.monotonic(), data)
        while line := self.rfile.readline().strip():
            name, _, value = line.decode().partition(":")
            self._trailers[name.lower()] = value.strip()

    def _credentials(self) -> None:
        self.api.credentials_given += 1
        expiry = (datetime.now(UTC) + _CREDENTIALS_LIVE).strftime("%Y-%m-%dT%H:%M:%SZ")
        document = {"AccessKeyId": "AKIATEST", "SecretAccessKey": "secret", "Token": "session", "Expiration": expiry}
        self._answer(200, {"Content-Type": "application/json"}, json.dumps(document).encode())

    def _answer(self, status: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """A test's output is its own."""

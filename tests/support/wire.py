"""Faults of AWS, injected where a request would go on the wire: the embedded AWS itself never fails.

That is botocore's `before-send` for a client of boto3, and `Aws.send` for the functions that have none.
"""

import asyncio
import io
import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, Final

import httpx2
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ReadTimeoutError

from functions.common.aws import Aws, Service
from functions.common.http_body import Head

Effect = Callable[[Any], AWSResponse | None]
_Send = Callable[[Aws, Service, bytes, bytes], Awaitable[tuple[Head, bytes]]]
# A busy machine takes its time; a table that hangs is played here.
_PATIENCE_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was about to go out: when (monotonic), which operation, and its decoded JSON body."""

    at: float
    service: str
    operation: str
    body: dict[str, Any]


class Wire:
    """Records the calls of the clients it is attached to and the bytes that came back, and plays faults on some of them."""

    def __init__(self) -> None:
        self._effects: list[tuple[str, Effect]] = []
        self._calls: list[Call] = []
        self._listeners: list[tuple[str, Callable[[], None]]] = []
        self._lock = threading.Lock()
        self.bytes_read = 0

    def attach(self, client: Any) -> None:
        client.meta.events.register("before-send", self._before_send)
        client.meta.events.register("after-call", self._after_call)

    def around(self, send: _Send) -> _Send:
        """`Aws.send`, watched."""

        async def sent(aws: Aws, service: Service, head: bytes, body: bytes) -> tuple[Head, bytes]:
            first, *lines = head.decode().rstrip().split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines)
            request = SimpleNamespace(url=f"http://{headers['host']}{first.split()[1]}", body=body, headers=headers)
            operation = headers["x-amz-target"].rpartition(".")[2]
            try:
                played = await asyncio.to_thread(self._before_send, request, f"before-send.{service.name}.{operation}")
            except ReadTimeoutError as error:
                raise httpx2.ReadTimeout("no response") from error
            if played is not None:
                return Head(played.status_code, []), played.content
            answer, content = await send(aws, replace(service, read_s=_PATIENCE_S), head, body)
            self._came_back(operation, content)
            return answer, content

        return sent

    def calls(self, operation: str | None = None) -> list[Call]:
        with self._lock:
            return [call for call in self._calls if operation in (None, call.operation)]

    def after(self, operation: str, do: Callable[[], None]) -> None:
        """From here on, `do` is called after every call of the operation."""
        self._listeners.append((operation, do))

    @contextmanager
    def fault(self, operation: str, effect: Effect) -> Iterator[None]:
        """Plays `effect` on every call of an operation (`SendMessageBatch`), of a service (`sqs`), while the block runs."""
        entry = (operation, effect)
        with self._lock:
            self._effects.append(entry)
        try:
            yield
        finally:
            with self._lock:
                self._effects.remove(entry)

    def _before_send(self, request: Any, event_name: str, **_: Any) -> AWSResponse | None:
        service, operation = event_name.split(".")[1:]
        body: dict[str, Any] = json.loads(request.body or b"{}")
        with self._lock:
            self._calls.append(Call(time.monotonic(), service, operation, body))
            effects = [effect for name, effect in self._effects if name in (operation, service)]
        for effect in effects:
            if (response := effect(request)) is not None:
                return response
        return None

    def _after_call(self, http_response: AWSResponse, model: Any, **_: Any) -> None:
        self._came_back(model.name, http_response.content)

    def _came_back(self, operation: str, content: bytes) -> None:
        with self._lock:
            self.bytes_read += len(content)
        for name, do in self._listeners:
            if name == operation:
                do()


class _Raw(io.BytesIO):
    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self.getvalue()


def answer(status: int, body: dict[str, Any]) -> Effect:
    """The service answers this instead."""

    def effect(request: Any) -> AWSResponse:
        raw: Any = _Raw(json.dumps(body).encode())
        headers: Any = {"content-type": "application/x-amz-json-1.0"}
        return AWSResponse(request.url, status, headers, raw)

    return effect


def throttled() -> Effect:
    return answer(400, {"__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException", "message": "slow down"})


def broken() -> Effect:
    return answer(500, {"__type": "InternalServerError", "message": "oops"})


def hangs(seconds: float) -> Effect:
    """No answer for so long, and then none at all, as a client's time-out would have it."""

    def effect(request: Any) -> AWSResponse:
        time.sleep(seconds)
        raise ReadTimeoutError(endpoint_url=request.url)

    return effect


def held(go: threading.Event) -> Effect:
    """No answer until the event is set, and then none at all."""

    def effect(request: Any) -> AWSResponse:
        go.wait(30)
        raise ReadTimeoutError(endpoint_url=request.url)

    return effect


def late(seconds: float) -> Effect:
    """The request goes out, but only after so long."""

    def effect(request: Any) -> AWSResponse | None:
        time.sleep(seconds)
        return None

    return effect


def times(count: int, effect: Effect) -> Effect:
    """The effect, for the first `count` calls only."""
    left = iter(range(count))

    def limited(request: Any) -> AWSResponse | None:
        return effect(request) if next(left, None) is not None else None

    return limited

"""The embedded AWS: MiniStack's DynamoDB and SQS behind uvicorn, in a thread of this process.

MiniStack answers on one event loop and never waits inside a call, so every call, a transaction too, is whole before the next
begins. Its own server is left out: it looks at each request for forty services, and a waiting ReceiveMessage looks at the queue
ten times a second. Here a message that was sent is handed over at once.
"""

import asyncio
import json
import logging
import os
import socket
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from functools import cache
from typing import Any, Final, NamedTuple
from unittest import mock
from uuid import uuid4

import uvicorn

from local.environment import ACCOUNT, LOOPBACK, REGION, endpoint
from local.faults import Faults, error

Answer = tuple[int, dict[str, str], bytes]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

FAULTS: Final = "/faults"
_RECEIVE: Final = "AmazonSQS.ReceiveMessage"
_LOOK_S: Final = 0.2  # for a message whose delay or time-out is over: nothing else tells of it
_IDLE_S: Final = 300  # AWS, too, closes a connection that is idle for minutes, not for seconds
logger = logging.getLogger("aws")


class _MiniStack(NamedTuple):
    app: Any
    dynamodb: Any
    sqs: Any
    request_scope: Callable[[str, str], AbstractContextManager[None]]


@cache
def _ministack() -> _MiniStack:
    """MiniStack, imported once a process.

    Its import starts a thread that deletes what has expired, which DynamoDB may keep for days; it sets up the log of the process;
    and it reads settings under names as common as AUTH, which here are the user's own.
    """
    with (
        mock.patch.object(threading.Thread, "start"),
        mock.patch.object(logging, "basicConfig"),
        mock.patch.dict(os.environ, clear=True),
    ):
        from ministack.app import app  # type: ignore[import-untyped]
        from ministack.core.responses import request_scope  # type: ignore[import-untyped]
        from ministack.services import dynamodb, sqs  # type: ignore[import-untyped]
    # It counts the bytes of the request's JSON, each letter beyond ASCII six times; DynamoDB counts those of the items.
    dynamodb._DDB_TXN_MAX_BYTES *= 6
    return _MiniStack(app, dynamodb, sqs, request_scope)


class EmbeddedAws:
    """An ASGI application. With `faulty`, `PUT /faults` switches faults on (local/faults.py)."""

    def __init__(self, faulty: bool = False) -> None:
        self._faults = Faults() if faulty else None
        self._ministack = _ministack()
        self._sent = asyncio.Event()  # replaced each time the queues changed

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        target = headers.get("x-amz-target", "")
        service = target.partition(".")[0].partition("_")[0]
        if service in {"DynamoDB", "AmazonSQS"}:
            body = await _body(receive)
            answer = await self._answer_or_fail(service, target, headers, body, receive)
        elif scope["path"] == FAULTS and self._faults is not None:
            self._faults.switch(json.loads(await _body(receive)))
            answer = 204, {}, b""
        else:  # what a test asks of another service, or `POST /_ministack/reset`, which empties all of them
            await self._ministack.app(scope, receive, send)
            return
        await _send(send, answer)

    async def _answer_or_fail(self, service: str, target: str, headers: dict[str, str], body: bytes, receive: Receive) -> Answer:
        def carry_out() -> Awaitable[Answer]:
            return self._answer(service, target, headers, body, receive)

        try:
            return await (self._faults.around(service, carry_out) if self._faults else carry_out())
        except Exception:  # AWS would answer an error of its own in the same way
            logger.exception("%s failed", target)
            return error(500, "InternalServerError")

    async def _answer(self, service: str, target: str, headers: dict[str, str], body: bytes, receive: Receive) -> Answer:
        with self._ministack.request_scope(ACCOUNT, REGION):
            if service == "DynamoDB":
                return await _call(self._ministack.dynamodb, headers, body)
            if target == _RECEIVE:
                return await self._receive_message(headers, json.loads(body), receive)
            answer = await _call(self._ministack.sqs, headers, body)
        self._sent.set()
        self._sent = asyncio.Event()
        return answer

    async def _receive_message(self, headers: dict[str, str], asked: dict[str, Any], receive: Receive) -> Answer:
        """A long poll, over as soon as there is a message, or nobody who waits for one."""
        loop = asyncio.get_running_loop()
        end = loop.time() + asked.get("WaitTimeSeconds", 0)
        body = json.dumps({**asked, "WaitTimeSeconds": 0}).encode()
        left = asyncio.ensure_future(_until_left(receive))
        try:
            while True:
                sent = self._sent
                answer = await _call(self._ministack.sqs, headers, body)
                wait_s = end - loop.time()
                if wait_s <= 0 or answer[0] != 200 or b'"Messages"' in answer[2]:
                    return answer
                changed = asyncio.ensure_future(sent.wait())
                await asyncio.wait({changed, left}, timeout=min(wait_s, _LOOK_S), return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
                if left.done():
                    return answer
        finally:
            left.cancel()


class Server:
    """An embedded AWS on loopback from `start` to `stop`; port 0 takes a free one."""

    def __init__(self, port: int = 0, faulty: bool = False) -> None:
        # It listens from here on: whoever calls before the thread runs waits a moment.
        self._listener = socket.create_server((LOOPBACK, port), backlog=512)
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.url = endpoint(self._listener.getsockname()[1])
        config = uvicorn.Config(
            EmbeddedAws(faulty), lifespan="off", access_log=False, log_config=None, log_level="warning", http="httptools",
            ws="none", server_header=False, timeout_keep_alive=_IDLE_S, timeout_graceful_shutdown=1,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self.serve, name="embedded AWS", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def serve(self) -> None:
        self._server.run(sockets=[self._listener])

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)


async def _call(service: Any, headers: dict[str, str], body: bytes) -> Answer:
    answer: Answer = await service.handle_request("POST", "/", headers, body, {})
    return answer


async def _body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def _until_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(send: Send, answer: Answer) -> None:
    status, headers, body = answer
    told = {**headers, "content-length": str(len(body)), "x-amzn-requestid": str(uuid4())}
    lines = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in told.items()]
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body})

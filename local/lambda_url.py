"""A function URL on loopback: each HTTP request becomes one invocation of `conversations` (`python -m local.lambda_url`)."""

import asyncio
import json
import logging
import os
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import uvicorn

from infra.edge_rules import INVOCATION_BYTES
from local.child import say_ready
from local.context import LambdaContext
from local.environment import LOOPBACK
from local.url_event import Answer, answer_of, event_of

Handler = Callable[[dict[str, Any], Any], object]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

# Lambda's limit of an event and of what a function returns, https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
_MAX_BYTES: Final = INVOCATION_BYTES
_TIMEOUT_S: Final = 30.0
_ERRORS: Final = {413: "Request Entity Too Large", 502: "Internal Server Error"}
logger = logging.getLogger("conversations")


class FunctionUrl:
    """An ASGI application around a Lambda handler. One invocation at a time: that is what an instance of a function does."""

    def __init__(self, name: str, handler: Handler, timeout_s: float = _TIMEOUT_S) -> None:
        self._name = name
        self._handler = handler
        self._timeout_s = timeout_s
        self._instance = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        body = await _body(receive)
        if body is None:
            return
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        source_ip = (scope.get("client") or (LOOPBACK, 0))[0]
        path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
        event = event_of(scope["method"], path, query, headers, body, source_ip)
        if _weight(event) > _MAX_BYTES:
            await _send(send, _error(413))
            return
        loop = asyncio.get_running_loop()
        await _send(send, await loop.run_in_executor(self._instance, self._invoke, event))

    def _invoke(self, event: dict[str, Any]) -> Answer:
        try:
            response = self._handler(json.loads(json.dumps(event)), LambdaContext(self._name, self._timeout_s))
            if _weight(response) > _MAX_BYTES:
                logger.error("the function returned more than Lambda passes on")
                return _error(502)
            return answer_of(json.loads(json.dumps(response)))
        except Exception:  # Lambda, too, answers 502 to whatever a function raises
            logger.exception("the invocation failed")
            return _error(502)


async def _body(receive: Receive) -> bytes | None:
    """The request's body, at most one chunk above the limit; None when the client left first."""
    body, more = b"", True
    while more and len(body) <= _MAX_BYTES:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _weight(document: object) -> int:
    return len(json.dumps(document, ensure_ascii=False).encode())


def _error(status: int) -> Answer:
    return Answer(status, [("content-type", "application/json")], json.dumps({"Message": _ERRORS[status]}).encode())


async def _send(send: Send, answer: Answer) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers if name != "content-length"]
    headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


class _Server(uvicorn.Server):
    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        say_ready()


def main(env: Mapping[str, str]) -> None:
    import boto3

    from functions.conversations.handler import handler

    logging.basicConfig(format="%(levelname)s %(message)s")  # from WARNING up: botocore talks below that
    # The function makes its client at the first request; the half second of reading the SDK's models need not wait for that.
    threading.Thread(target=boto3.client, args=("dynamodb",), daemon=True).start()
    app = FunctionUrl("conversations", handler)
    config = uvicorn.Config(
        app, LOOPBACK, int(env["PORT"]), lifespan="off", access_log=False, log_config=None, log_level="warning", http="h11"
    )
    _Server(config).run()


if __name__ == "__main__":
    main(os.environ)

"""The one door: sends each request to the process that answers it, and serves the web client.

Bytes go through the moment they come. It stands where CloudFront stands on AWS, so what a client may not say there
(`x-amzn-*`, `x-forwarded-*`) does not pass here either.
"""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

from functions.common.problems import MEDIA_TYPE, NotFound, Problem, Unavailable
from local.proxy import Unreachable, Upstream
from local.site import Site

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

CHAT: Final = ("/api/chat", "/api/turns", "/api/buds", "/api/health", "/api/config")
CONVERSATIONS: Final = ("/api/conversations", "/api/usage", "/api/openapi.json")


class Front:
    """The ASGI application. `chat` and `conversations` are the base URLs of the processes behind it."""

    def __init__(self, chat: Sequence[str], conversations: str, site: Path) -> None:
        self._routes = ((CHAT, Upstream(chat)), (CONVERSATIONS, Upstream([conversations])))
        self._site = Site(site)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        if path != "/api" and not path.startswith("/api/"):
            await self._site(scope, receive, send)
            return
        for prefixes, upstream in self._routes:
            if any(path == prefix or path.startswith(f"{prefix}/") for prefix in prefixes):
                try:
                    await upstream(scope, receive, send)
                except Problem as problem:
                    await _answer(send, problem)
                except Unreachable:
                    await _answer(send, Unavailable("This part of the system is starting or has failed; try again in a moment."))
                return
        await _answer(send, NotFound())

    async def close(self) -> None:
        for _, upstream in self._routes:
            await upstream.close()


async def _answer(send: Send, problem: Problem) -> None:
    body = problem.body()
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

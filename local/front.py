"""The one door: sends each request to the process that answers it, and serves the web client.

Bytes go through the moment they come. It stands where CloudFront stands on AWS, so what a client may not say there
(`x-amzn-*`, `x-forwarded-*`) does not pass here either.
"""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

from functions.common.problems import MEDIA_TYPE, NotFound, Problem, Unavailable
from infra.edge_rules import READ_TIMEOUT_S
from local.proxy import Silent, Unreachable, Upstream
from local.site import Site
from local.strict_edge import CARRIED, Application, StrictEdge, adapted, no_answer

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

CHAT: Final = ("/api/chat", "/api/turns", "/api/buds", "/api/health", "/api/config")
CONVERSATIONS: Final = ("/api/conversations", "/api/usage", "/api/openapi.json")


class Front:
    """The ASGI application. `chat` and `conversations` are the base URLs of the processes behind it.

    With `strict` it also refuses what the deployment's edge refuses; `sign_in_origins` are for its Content-Security-Policy then.
    """

    def __init__(
        self, chat: Sequence[str], conversations: str, site: Path, *, strict: bool = False, sign_in_origins: Sequence[str] = ()
    ) -> None:
        silence_s = READ_TIMEOUT_S if strict else None
        self._chat = Upstream(chat, silence_s=silence_s)
        self._conversations = Upstream([conversations], passes=[CARRIED] if strict else (), silence_s=silence_s)
        self._routes = ((CHAT, self._chat), (CONVERSATIONS, self._conversations))
        self._site = Site(site)
        self._edge: StrictEdge | None = None
        if strict:
            origins = adapted(_forwarding(self._chat)), _forwarding(self._conversations), self._site
            self._edge = StrictEdge(*origins, sign_in_origins)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if self._edge is not None:
            await self._edge(scope, receive, send)
            return
        path: str = scope["path"]
        if path != "/api" and not path.startswith("/api/"):
            await self._site(scope, receive, send)
            return
        for prefixes, upstream in self._routes:
            if any(path == prefix or path.startswith(f"{prefix}/") for prefix in prefixes):
                await _forwarding(upstream)(scope, receive, send)
                return
        await _answer(send, NotFound())

    async def close(self) -> None:
        for _, upstream in self._routes:
            await upstream.close()


def _forwarding(upstream: Upstream) -> Application:
    """The upstream, with an answer in its place where it gives none."""

    async def forward(scope: Any, receive: Receive, send: Send) -> None:
        try:
            await upstream(scope, receive, send)
        except Problem as problem:
            await _answer(send, problem)
        except Silent:
            raise no_answer() from None
        except Unreachable:
            await _answer(send, Unavailable("This part of the system is starting or has failed; try again in a moment."))

    return forward


async def _answer(send: Send, problem: Problem) -> None:
    body = problem.body()
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

"""The web client's files, and a plain page in their place until they are built."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.staticfiles import StaticFiles

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

_PAGE: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>streaming-first chat</title>
<style>
body { font: 16px/1.6 system-ui, sans-serif; max-width: 46rem; margin: 4rem auto; padding: 0 1rem }
pre { background: #8882; padding: 1rem; overflow: auto }
</style>
<h1>The API is running</h1>
<p>The web client has not been built in this copy. Try the API in a terminal:</p>
<pre>uv run chat "hello"</pre>
<pre>curl -N -X POST ORIGIN/api/chat -H 'content-type: application/json' \\
  -d '{"messages":[{"role":"user","content":"hi"}]}'</pre>
<p>Every route is described in <a href="/api/openapi.json">/api/openapi.json</a>.
What you store here lasts as long as this process.</p>
"""


class Site:
    """An ASGI application for a folder with a single-page client. A path that names no file is the client's own route."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        response = await self._response(scope)
        await response(scope, receive, send)

    async def _response(self, scope: Any) -> Response:
        if scope["method"] not in {"GET", "HEAD"}:
            return PlainTextResponse("Method Not Allowed", 405, {"allow": "GET, HEAD"})
        if not (self._folder / "index.html").is_file():
            return _page(scope)
        files = StaticFiles(directory=self._folder)  # here, not at start: the client may be built while the system runs
        path = scope["path"].lstrip("/") or "index.html"
        try:
            response = await files.get_response(path, scope)
        except HTTPException as error:
            # A file that is missing is missing; only a route of the client is answered by its page.
            if error.status_code != 404 or "." in path.rpartition("/")[2]:
                return PlainTextResponse(error.detail, error.status_code)
            path = "index.html"
            response = await files.get_response(path, scope)
        # The build names its assets by their content; only the page that names them may change.
        response.headers["cache-control"] = "public, max-age=31536000, immutable" if path.startswith("assets/") else "no-cache"
        return response


def _page(scope: Any) -> Response:
    if scope["path"] not in {"/", "/index.html"}:
        return PlainTextResponse("Not Found", 404)
    host, port = scope["server"][:2]
    return HTMLResponse(_PAGE.replace("ORIGIN", f"http://{host}:{port}"), headers={"cache-control": "no-cache"})

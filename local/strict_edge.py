"""A front as strict as the deployment's: what CloudFront, with origin access control, and Lambda refuse is refused here too.

`make run` is kinder than a deployment: nothing signs requests on this machine. `CHAT_STRICT_EDGE=1` takes the difference away, as
far as AWS documents it, so that a client which works here works there. What only TLS or an account can show is not imitated:
HTTPS alone, compression of the site, how CloudFront signs a query.

https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-restricting-access-to-lambda.html
https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/RequestAndResponseBehaviorCustomOrigin.html
"""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

from infra import edge_rules
from local.url_event import event_of

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Application = Callable[[Any, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

DIGEST: Final = b"x-amz-content-sha256"
CARRIED: Final = edge_rules.AUTHORIZATION_HEADER.encode()
_UNSIGNED: Final = frozenset({"GET", "HEAD"})  # without a body, so that CloudFront knows the digest by itself
_BODY_S: Final = 30.0
_EMPTY: Final = hashlib.sha256(b"").hexdigest().encode()
_FUNCTION_HOST: Final = b"function.lambda-url.invalid"  # Host is the function URL's, never the endpoint's
_SIGNATURE: Final = b"AWS4-HMAC-SHA256 Credential=edge/20260101/local/lambda/aws4_request, SignedHeaders=host, Signature=0"
_REMOVED: Final = frozenset({b"expect", b"x-forwarded-proto", b"x-http-method-override", b"x-real-ip"})
_MISMATCH: Final = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing "
    "method. Consult the service documentation for details."
)
_DENIED: Final = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
_PAGE: Final = "<html><title>ERROR: The request could not be satisfied</title><h1>{status} ERROR</h1>{why}</html>"


class Refused(Exception):
    """A response in place of the function's."""

    def __init__(self, status: int, body: bytes, media_type: str, error_type: str | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.headers: Headers = [(b"content-type", media_type.encode())]
        if error_type is not None:
            self.headers.append((b"x-amzn-errortype", error_type.encode()))


class _Left(Exception):
    """The visitor's connection ended within the body."""


class StrictEdge:
    """An ASGI application before `chat`, `conversations` and `site`, which are what the distribution's origins are there."""

    def __init__(
        self, chat: Application, conversations: Application, site: Application, sign_in_origins: Sequence[str] = ()
    ) -> None:
        self._chat = chat
        self._conversations = conversations
        self._site = site
        added = edge_rules.response_headers(sign_in_origins)
        # This machine has no TLS: a browser told to use nothing else would find nothing.
        policy = added["content-security-policy"].removesuffix("; upgrade-insecure-requests")
        added = {**added, "content-security-policy": policy}
        self._added = [(name.encode(), value.encode()) for name, value in added.items()]

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        respond = self._responding(send)
        try:
            await self._pass_on(scope, receive, respond)
        except Refused as refused:
            headers = [*refused.headers, (b"content-length", str(len(refused.body)).encode())]
            await respond({"type": "http.response.start", "status": refused.status, "headers": headers})
            await respond({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else refused.body})
        except _Left:
            return

    async def _pass_on(self, scope: Any, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        streamed = any(fnmatchcase(path, pattern) for pattern in edge_rules.STREAMED)
        of_api = streamed or fnmatchcase(path, edge_rules.API)
        _check_size(scope)
        _check_method(scope, edge_rules.API_METHODS if of_api else edge_rules.SITE_METHODS)
        if not of_api:
            await self._site(_page_of(scope), receive, _denying(send))
            return
        body = await _whole(receive)
        _check_body(scope, body)
        signed = _signed(scope)
        _check_size(signed)
        _check_invocation(signed, body)
        await (self._chat if streamed else self._conversations)(signed, _again(body, receive), send)

    def _responding(self, send: Send) -> Send:
        """Puts the distribution's headers on a response; they take the place of the origin's own."""
        names = {name for name, _ in self._added}

        async def respond(message: Any) -> None:
            if message["type"] == "http.response.start":
                kept = [(name, value) for name, value in message.get("headers", []) if name.lower() not in names]
                own = [(b"via", b"1.1 local.cloudfront.net (CloudFront)"), (b"x-amz-cf-id", uuid4().hex.encode())]
                message = {**message, "headers": [*kept, *self._added, *own]}
            await send(message)

        return respond


def origins_of(issuer: str | None) -> tuple[str, ...]:
    """Where the browser goes to sign in, for the Content-Security-Policy; as infra/sign_in.py has it."""
    if not issuer:
        return ()
    parts = urlsplit(issuer)
    return (f"{parts.scheme}://{parts.netloc}",)


def _check_size(scope: Any) -> None:
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    url = len(scope["raw_path"]) + len(query)
    headers = sum(len(name) + len(value) + len(b": \r\n") for name, value in scope["headers"])
    request_line = len(scope["method"]) + url + len(b"  HTTP/1.1\r\n")
    if url > edge_rules.URL_BYTES or request_line + headers > edge_rules.REQUEST_BYTES:
        raise _page(413, "The request is too large.")


def _check_method(scope: Any, allowed: frozenset[str]) -> None:
    if scope["method"] not in allowed:
        raise _page(403, "This distribution is not configured to allow the HTTP request method that was used for this request.")


def _check_body(scope: Any, body: bytes) -> None:
    """The signature is CloudFront's, over the digest that the client names; Lambda compares it with the body that arrives."""
    digests = [value for name, value in scope["headers"] if name == DIGEST]
    if scope["method"] in _UNSIGNED:
        if body:
            raise _page(403, "Bad request: a GET request has no body.")
        digests = digests or [_EMPTY]
    if digests != [hashlib.sha256(body).hexdigest().encode()]:
        message = json.dumps({"message": _MISMATCH}).encode()
        raise Refused(403, message, "application/json", "InvalidSignatureException")


def _check_invocation(scope: Any, body: bytes) -> None:
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
    event = event_of(scope["method"], path, query, headers, body, "127.0.0.1")
    if len(json.dumps(event, ensure_ascii=False).encode()) > edge_rules.INVOCATION_BYTES:
        text = f"Request must be smaller than {edge_rules.INVOCATION_BYTES} bytes for the InvokeFunction operation"
        message = json.dumps({"Message": text}).encode()
        raise Refused(413, message, "application/json", "RequestEntityTooLargeException")


def _signed(scope: Any) -> Any:
    """The request as the function URL gets it: the client's token under the other name, CloudFront's signature in its place."""
    token = [value for name, value in scope["headers"] if name == b"authorization"]
    dropped = {b"authorization", b"host", CARRIED, *_REMOVED}
    kept = [(name, value) for name, value in scope["headers"] if name not in dropped and not name.startswith(b"x-edge-")]
    kept += [(b"host", _FUNCTION_HOST), (b"authorization", _SIGNATURE)]
    return {**scope, "headers": [*kept, *((CARRIED, value) for value in token[:1])]}


def adapted(application: Application) -> Application:
    """What the Lambda Web Adapter does between the function URL and `chat_stream`: the token gets its first name back."""

    async def adapt(scope: Any, receive: Receive, send: Send) -> None:
        carried = dict(scope["headers"]).get(CARRIED)
        headers = [pair for pair in scope["headers"] if carried is None or pair[0] != b"authorization"]
        if carried is not None:
            headers.append((b"authorization", carried))
        await application({**scope, "headers": headers}, receive, send)

    return adapt


def _page_of(scope: Any) -> Any:
    """infra/edge_functions/one_page.js: a path without a file's extension is a route of the web client."""
    path: str = scope["path"]
    return {**scope, "path": "/index.html", "raw_path": b"/index.html"} if "." not in path.rpartition("/")[2] else scope


def _denying(send: Send) -> Send:
    """S3 tells nobody who may not list the bucket that a file is missing: it says 403."""
    denied = False

    async def deny(message: Any) -> None:
        nonlocal denied
        if message["type"] == "http.response.start" and message["status"] == 404:
            denied = True
            headers = [(b"content-type", b"application/xml"), (b"content-length", str(len(_DENIED)).encode())]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
        elif not denied:
            await send(message)
        elif not message.get("more_body", False):
            await send({"type": "http.response.body", "body": _DENIED})

    return deny


async def _whole(receive: Receive) -> bytes:
    """The body: nothing can be said of its digest before its end. Lambda gets no larger one than an invocation holds."""
    body, more, ends = b"", True, asyncio.get_running_loop().time() + _BODY_S
    while more:
        try:
            async with asyncio.timeout_at(ends):
                message = await receive()
        except TimeoutError:
            raise _page(408, "The request took too long.") from None
        if message["type"] == "http.disconnect":
            raise _Left
        body += message.get("body", b"")
        if len(body) > edge_rules.INVOCATION_BYTES:
            raise _page(413, "The request is too large.")
        more = message.get("more_body", False)
    return body


def _again(body: bytes, receive: Receive) -> Receive:
    """The body once more, in one piece; afterwards what the visitor does."""
    given = False

    async def again() -> Any:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def no_answer() -> Refused:
    """For a function that was silent for longer than CloudFront waits."""
    return _page(504, "The origin did not respond in time.")


def _page(status: int, why: str) -> Refused:
    """CloudFront's own error."""
    return Refused(status, _PAGE.format(status=status, why=why).encode(), "text/html")

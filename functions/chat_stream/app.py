"""The ASGI application of the streaming function: the same behind the Lambda Web Adapter, under uvicorn, in a container."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from functions.chat_stream import buds
from functions.chat_stream.local_quota import LocalQuota
from functions.chat_stream.metrics import SERVICE, Meter
from functions.chat_stream.model import Model
from functions.chat_stream.outbox import Outbox
from functions.chat_stream.quota import QuotaTable
from functions.chat_stream.response import SERVER_SEND
from functions.chat_stream.routes import Answer, Routes
from functions.chat_stream.running import RunningTurns
from functions.chat_stream.secret import ModelKey
from functions.chat_stream.settings import Settings
from functions.chat_stream.snapshot import Snapshot
from functions.chat_stream.turn import Ports
from functions.chat_stream.turns_table import TurnsTable
from functions.common import problems
from functions.common.access import Caller
from functions.common.auth import IssuerUnavailable, NeedKeys, Refusal, TokenVerifier, Unauthenticated
from functions.common.aws import Aws
from functions.common.failures import Failures
from functions.common.log import get_logger
from functions.common.session import Session
from functions.common.shared_call import SharedCall

logger = get_logger("chat_stream")

Handler = Callable[[Request, Caller], Awaitable[Answer]]
OpenHandler = Callable[[Request], Awaitable[Answer]]


def create_app(settings: Settings) -> Starlette:
    """The application. `app.state.turns` are its running turns: a server that must go ends them before it closes.

    Raises InvalidBud when an assistant's file is not right. Does no I/O but reading those files.
    """
    failures = Failures(settings.metrics_namespace, SERVICE)
    session = Session()
    aws = Aws(session, failures.storage)
    key = ModelKey(settings.model, aws)
    model = Model(settings.model.base_url, key, settings.model.think, settings.auth.ca_bundle)
    table = TurnsTable(aws, settings.turns_table)
    outbox = Outbox(aws, settings.queue_url, settings.timing.settle_delay_s)
    quota = QuotaTable(aws, settings.turns_table, settings.quotas)
    ports = Ports(model, table, outbox, quota, Meter(settings.metrics_namespace))
    turns = RunningTurns(ports, settings.timing, settings.limits, LocalQuota(settings.quotas))
    routes = Routes(settings, buds.load(buds.FOLDER, settings.model), turns, table, quota)
    verifier = TokenVerifier(settings.auth)
    signed_in = _SignedIn(verifier, failures)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        if not settings.in_lambda:  # there, what is done before the first request is paid for before the first token
            await aws.prepare()
        yield
        turns.end_all()
        await turns.wait()
        await model.close()
        await aws.close()

    app = _App(
        routes=[
            *(Route(path, signed_in(handler), methods=[method]) for method, path, handler in _private(routes)),
            *(Route(path, _open(handler), methods=["GET"]) for path, handler in _public(routes)),
            *(Snapshot(session, aws, key, model, verifier).routes() if settings.in_lambda else ()),
        ],
        middleware=[],
        exception_handlers={problems.Problem: _problem_response, HTTPException: _http_exception},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.add_middleware(_LastResort)
    app.state.turns = turns
    return app


def _private(routes: Routes) -> list[tuple[str, str, Handler]]:
    """Every route that needs a token."""
    return [
        ("POST", "/api/chat", routes.chat),
        ("POST", "/api/chat/{conversation_id}", routes.chat),
        ("GET", "/api/turns/{turn_id}", routes.turn),
        ("GET", "/api/turns/{turn_id}/stream", routes.stream),
        ("POST", "/api/turns/{turn_id}/stop", routes.stop),
        ("GET", "/api/buds", routes.list_buds),
    ]


def _public(routes: Routes) -> list[tuple[str, OpenHandler]]:
    return [("/api/config", routes.config), ("/api/health", routes.health)]


class _App(Starlette):
    """Puts the server's own `send` where no middleware is around it yet."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[SERVER_SEND] = send
        await super().__call__(scope, receive, send)


class _SignedIn:
    """Wraps a handler so that it is called only for a caller whose token holds."""

    def __init__(self, verifier: TokenVerifier, failures: Failures) -> None:
        self._verifier = verifier
        self._failures = failures
        self._refresh = SharedCall(self._fetch_keys)  # one thread for all who wait

    def __call__(self, handler: Handler) -> Callable[[Request], Awaitable[ASGIApp]]:
        async def endpoint(request: Request) -> ASGIApp:
            return await handler(request, await self._caller(request))

        return endpoint

    async def _caller(self, request: Request) -> Caller:
        """The token's caller. The network is asked only for a key never seen, and beside the request for keys grown old."""
        authorization = request.headers.get("authorization")
        try:
            try:
                caller = self._verifier.verify(authorization)
            except NeedKeys:
                await self._refresh()
                caller = self._verifier.verify(authorization)
        except (Unauthenticated, NeedKeys) as error:
            reason = error.reason if isinstance(error, Unauthenticated) else Refusal.UNKNOWN_KEY
            logger.info("not signed in", extra={"reason": reason})
            self._failures.sign_in(reason)
            raise problems.AuthenticationRequired from None
        except IssuerUnavailable as error:
            logger.error("sign-in cannot be checked", extra={"reason": error.reason})
            self._failures.sign_in(error.reason)
            raise problems.Unavailable("Sign-in cannot be checked right now", headers={"retry-after": "5"}) from None
        if self._verifier.stale:
            self._refresh.start()
        return caller

    async def _fetch_keys(self) -> None:
        if fault := await asyncio.to_thread(self._verifier.refresh):
            logger.warning("the issuer's keys were not fetched; those from before still count", extra={"reason": fault})
            self._failures.sign_in(fault)


def _open(handler: OpenHandler) -> Callable[[Request], Awaitable[ASGIApp]]:
    async def endpoint(request: Request) -> ASGIApp:
        return await handler(request)

    return endpoint


class _LastResort:
    """Turns a fault of ours into a problem document, and into one log line without the exception's text."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception:
            logger.exception("a request broke", extra={"path": scope.get("path")})
            if scope["type"] != "http" or begun:
                raise
            await _response(problems.Internal())(scope, receive, send)


async def _problem_response(_: Request, error: Exception) -> Response:
    return _response(error if isinstance(error, problems.Problem) else problems.Internal())


async def _http_exception(_: Request, error: Exception) -> Response:
    """Starlette's own: no such route, no such method."""
    if isinstance(error, HTTPException) and error.status_code == 405:
        return _response(problems.MethodNotAllowed(headers=error.headers or {}))
    return _response(problems.NotFound())


def _response(problem: problems.Problem) -> Response:
    headers = {"cache-control": "no-store", **problem.headers}
    return Response(problem.body(), problem.status, headers, media_type=problems.MEDIA_TYPE)

"""The routes of the streaming function. Each handler checks, then hands over; none of them waits for storage before the model."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from functions.chat_stream.body import read_json_bytes
from functions.chat_stream.buds import Bud
from functions.chat_stream.deadline import Deadline
from functions.chat_stream.event_log import EventLog
from functions.chat_stream.quota import QuotaTable, resume_lease
from functions.chat_stream.replay import follow
from functions.chat_stream.request import read_body, turn_request
from functions.chat_stream.response import EventStreamResponse
from functions.chat_stream.running import RunningTurns
from functions.chat_stream.settings import Settings
from functions.chat_stream.turns_table import TurnsTable
from functions.common import problems
from functions.common.access import Caller
from functions.common.aws import StorageUnavailable
from functions.common.ids import is_uuid
from functions.common.times import iso
from functions.common.turns import STREAMING, TurnView

Answer = Response | EventStreamResponse
# A turn's claim is written beside the model call, so whoever asks about a turn may be quicker, by a write's milliseconds.
_CLAIM_PAUSES_S: Final = (0.1, 0.2, 0.4)
# Of the event loop: the turn begins, and its request leaves on a connection that lies open. The response's head can wait for it.
_ROUNDS_TO_MODEL: Final = 2


@dataclass(frozen=True, slots=True)
class Routes:
    """The handlers, over what they need."""

    settings: Settings
    buds: Mapping[str, Bud]
    turns: RunningTurns
    table: TurnsTable
    quota: QuotaTable

    async def chat(self, request: Request, caller: Caller) -> Answer:
        """`POST /api/chat`, `POST /api/chat/{conversation_id}`: begins a turn, or shows it again when it was posted before."""
        conversation_id = request.path_params.get("conversation_id")
        if conversation_id is not None and not is_uuid(conversation_id):
            raise problems.NotFound
        settings = self.settings
        # Inside Lambda the clock runs from the invocation, and the body is here already.
        deadline = Deadline.of_request(request.headers, settings.in_lambda, settings.timing.turn_s)
        body = read_body(await read_json_bytes(request, settings.limits), settings.limits)
        asked = turn_request(body, conversation_id, caller, self.buds, settings.limits, iso(time.time()))
        turn = self.turns.start(asked, deadline)
        if turn is None or turn.log.dropped:
            return await self._replay(asked.head.turn_id, caller, after=0)
        response = EventStreamResponse(turn.log, settings.timing.keepalive_s)
        for _ in range(_ROUNDS_TO_MODEL):
            await asyncio.sleep(0)
        return response

    async def turn(self, request: Request, caller: Caller) -> Answer:
        """`GET /api/turns/{turn_id}`: how the turn stands."""
        turn_id, view = await self._find(request, caller)
        return JSONResponse(
            {
                "turnId": turn_id,
                "status": view.status,
                **({"conversationId": view.conversation_id} if view.conversation_id else {}),
                "durable": view.durable,
                "updatedAt": iso(view.updated_at),
            },
            headers={"cache-control": "no-store"},
        )

    async def stream(self, request: Request, caller: Caller) -> Answer:
        """`GET /api/turns/{turn_id}/stream`: the turn's events after `Last-Event-ID`, then live until the terminal one."""
        after = _last_event_id(request)
        turn_id, _ = await self._find(request, caller)
        return await self._replay(turn_id, caller, after)

    async def stop(self, request: Request, caller: Caller) -> Answer:
        """`POST /api/turns/{turn_id}/stop`: asks the turn to end, wherever it runs."""
        turn_id, status = request.path_params["turn_id"], STREAMING
        running = self.turns.find(turn_id, caller.user_id)
        if running is not None and running.is_stream:
            running.stop()  # no need of the table, which may not know the turn yet, or not answer
        else:
            turn_id, view = await self._find(request, caller, begun=True)
            status = view.status
            if not view.over:
                try:
                    await self.table.stop(turn_id, caller.user_id, view.owner)
                except StorageUnavailable as error:
                    raise _unavailable() from error
        return JSONResponse({"turnId": turn_id, "status": status}, 202, headers={"cache-control": "no-store"})

    async def list_buds(self, _request: Request, _caller: Caller) -> Answer:
        """`GET /api/buds`: the assistants on offer, without their prompts."""
        return JSONResponse([bud.public() for bud in self.buds.values()], headers={"cache-control": "no-store"})

    async def config(self, _request: Request) -> Answer:
        """`GET /api/config`: what a client needs to sign in."""
        auth = None
        if self.settings.auth.issuer:
            auth = {
                "issuer": self.settings.auth.issuer,
                "clientId": self.settings.client_id,
                "scopes": list(self.settings.scopes),
                "logout": _logout(self.settings.logout_url),
            }
        return JSONResponse({"version": self.settings.version, "auth": auth}, headers={"cache-control": "no-store"})

    async def health(self, _request: Request) -> Answer:
        """`GET /api/health`: touches nothing else."""
        return JSONResponse({"status": "ok", "version": self.settings.version}, headers={"cache-control": "no-store"})

    async def _find(self, request: Request, caller: Caller, begun: bool = False) -> tuple[str, TurnView]:
        """The turn of the path, which must be the caller's; raises NotFound or Unavailable.

        Waits a little for the claim of one that runs here, or that the caller says has `begun`.
        """
        turn_id = request.path_params["turn_id"]
        if not is_uuid(turn_id):
            raise problems.NotFound
        try:
            view = await self.table.status(turn_id, caller.user_id)
            for pause in _CLAIM_PAUSES_S if begun or self.turns.find(turn_id, caller.user_id) else ():
                if view is None:
                    await asyncio.sleep(pause)
                    view = await self.table.status(turn_id, caller.user_id)
        except StorageUnavailable as error:
            raise _unavailable() from error
        if view is None or not view.visible_to(caller):
            raise problems.NotFound
        return turn_id, view

    async def _replay(self, turn_id: str, caller: Caller, after: int) -> EventStreamResponse:
        """The stream that shows the turn again; raises QuotaExceeded when too many do that for its user already."""
        log, lease = EventLog(after + 1), resume_lease()
        if (refusal := await self.quota.enter(caller.user_id, lease)) is not None:
            raise problems.QuotaExceeded(refusal.sentence, headers={"retry-after": "5"})

        async def fill() -> None:
            try:
                async with aclosing(follow(self.table, turn_id, caller.user_id, after)) as runs:
                    async for events in runs:
                        log.extend(events)
            finally:
                log.close()
                await asyncio.shield(self.quota.leave(caller.user_id, lease))

        return EventStreamResponse(log, self.settings.timing.keepalive_s, asyncio.create_task(fill()))


def _last_event_id(request: Request) -> int:
    """From the header, or the query where a header cannot be set; 0 when neither is there."""
    field = "Last-Event-ID" if "last-event-id" in request.headers else "lastEventId"
    text = request.headers.get("last-event-id") or request.query_params.get("lastEventId") or "0"
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise problems.InvalidRequest(f"{field}: must be the number of an event", [problems.Field(field, "not a number")])
    return int(text)


def _logout(url: str | None) -> dict[str, str] | None:
    """Cognito's names: its logout takes neither `post_logout_redirect_uri` nor `id_token_hint`.

    https://docs.aws.amazon.com/cognito/latest/developerguide/logout-endpoint.html
    """
    return {"url": url, "clientIdParam": "client_id", "returnToParam": "logout_uri"} if url else None


def _unavailable() -> problems.Unavailable:
    return problems.Unavailable("Try again in a moment", headers={"retry-after": "2"})

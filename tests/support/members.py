"""Ann and Bob, who share a workspace, and Mallory, who is in none of theirs: the whole API in one process, as a test tells it.

Two instances of the streaming function run on one event loop that moves only when told to. The model ends its answers when it
may. The queue's records wait until they are delivered to persist's handler, in any order. The tables are moto's.
"""

import asyncio
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final
from unittest import mock

import httpx2

from functions.chat_stream import app as chat
from functions.common import keys
from functions.common.aws import Service
from functions.common.http_body import Head
from functions.common.ids import new_id
from functions.common.records import Record, decode
from functions.common.sse import SSEDecoder
from functions.conversations import handler as conversations
from infra.resources import CONVERSATIONS
from local.model.script import ScriptedModel, done, finish, token
from local.model.steps import Stage
from tests.integration.conversations.stage import LambdaContext, event_of
from tests.integration.persist.persist_world import Item, Reply, ToMoto, World, persist_world
from tests.oidc import OidcProvider
from tests.support.chat import Stream, settings

TEAM: Final = "team"
MEMBERS: Final = {"ann": [TEAM], "bob": [TEAM], "mallory": ["elsewhere"]}
_STEP_S: Final = 0.003


@dataclass
class Request:
    """A request under way, or over: then it has an answer, a stream or a plain one."""

    user: str
    task: "asyncio.Task[httpx2.Response]"
    conversation_id: str | None = None
    body: Mapping[str, Any] = field(default_factory=dict)

    @property
    def over(self) -> bool:
        return self.task.done()

    @property
    def turn_id(self) -> str:
        return str(self.body["turnId"])

    @property
    def question(self) -> str:
        return str(self.body["messages"][-1]["content"])

    @property
    def stream(self) -> Stream:
        response = self.task.result()
        stream = Stream(response.status_code, response.headers, 0.0)
        if response.headers["content-type"].startswith("text/event-stream"):
            stream.events = [Stream.seen(message) for message in SSEDecoder().feed(response.content)]
        else:
            stream.problem = response.json()
        return stream


class _Queued(ToMoto):
    """Its records go into the members' queue and not to SQS."""

    def __init__(self, members: "Members", world: World) -> None:
        super().__init__(world)
        self._members = members

    async def send(self, service: Service, head: bytes, body: bytes) -> Reply:
        if service.name != "sqs":
            return await super().send(service, head, body)
        entries = json.loads(body)["Entries"]
        self._members.queue += [entry["MessageBody"] for entry in entries]
        return Head(200, []), json.dumps({"Successful": [{"Id": entry["Id"]} for entry in entries]}).encode()


class _Loop(asyncio.SelectorEventLoop):
    """Its time passes while it runs and stands still while a test does something else, however slow the machine is: no turn is
    taken for dead meanwhile.
    """

    def __init__(self) -> None:
        super().__init__()
        self._passed = time.monotonic()
        self._since: float | None = None

    def time(self) -> float:
        return self._passed + (0.0 if self._since is None else time.monotonic() - self._since)

    def run_forever(self) -> None:
        self._since = time.monotonic()
        try:
            super().run_forever()
        finally:
            self._passed, self._since = self.time(), None


class Members:
    """`queue` holds the bodies that wait, `delivered` those that were stored at least once."""

    def __init__(self, world: World, provider: OidcProvider, model: ScriptedModel) -> None:
        self.world = world
        self.queue: list[str] = []
        self.delivered: list[str] = []
        self.model = model
        self.asked: list[str] = []  # the question of each answer that the model began
        self._numbers = count()
        self._may_end: set[str] = set()
        self._all_may_end = False
        self._tokens = {
            user: provider.token(user, workspaces, exp=int(time.time()) + 36_000) for user, workspaces in MEMBERS.items()
        }
        self._loop = _Loop()
        began, began_at = self._loop.time(), time.time()
        self.now = lambda: began_at + self._loop.time() - began
        self._lock = threading.Lock()
        self._stack = AsyncExitStack()
        model.always_plays(self._answer)
        env = {"OIDC_ISSUER": provider.issuer, "OIDC_AUDIENCE": provider.audience, "RECEIPT_WAIT_S": "0.4"}
        env |= {"QUOTA_STREAMS": "0", "QUOTA_TURNS_PER_MINUTE": "0", "QUOTA_TOKENS_PER_DAY": "0"}
        chosen = settings(model.url, "turns", "https://sqs.us-east-1.amazonaws.com/123456789012/persist", **env)
        with mock.patch.object(chat, "Aws", side_effect=lambda *_: _Queued(self, world)):
            self._apps = [chat.create_app(chosen) for _ in range(2)]
        self._clients = [
            httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://chat", timeout=60) for app in self._apps
        ]
        for app in self._apps:
            self._loop.run_until_complete(self._stack.enter_async_context(app.router.lifespan_context(app)))

    def close(self) -> None:
        self._all_may_end = True
        for app in self._apps:
            app.state.turns.end_all()
        self._loop.run_until_complete(self._stack.aclose())
        for client in self._clients:
            self._loop.run_until_complete(client.aclose())
        self._loop.close()

    def clear(self) -> None:
        """Nothing is stored or queued any more; no request may be under way."""
        self.world.clear()
        self.queue.clear()
        self.delivered.clear()
        self.asked.clear()
        self._may_end.clear()
        self._all_may_end = False

    # Turns

    def post(
        self,
        user: str,
        *messages: Mapping[str, Any],
        to: str | None = None,
        parent: str | None = None,
        turn_id: str | None = None,
        workspace: str | None = None,
        instance: int = 0,
    ) -> Request:
        """Posts a turn and goes on until its answer has begun, or the request is over."""
        body: dict[str, Any] = {"turnId": turn_id or new_id(), "messages": list(messages)}
        if parent is not None:
            body["parentId"] = parent
        if workspace is not None:
            body["workspaceId"] = workspace
        return self.post_again(Request(user, self._loop.create_future(), to, body), instance)  # type: ignore[arg-type]

    def post_again(self, posted: Request, instance: int = 0) -> Request:
        """The same request once more."""
        begun = len(self.asked)
        path = f"/api/chat/{posted.conversation_id}" if posted.conversation_id else "/api/chat"
        sending = self._send(instance, posted.user, "POST", path, json=posted.body)
        request = Request(posted.user, self._loop.create_task(sending), posted.conversation_id, posted.body)
        self.run(lambda: request.over or len(self.asked) > begun, 10)
        return request

    def queued(self, request: Request) -> None:
        """Goes on until the queue has the beginning of the request's turn, or the request is over."""
        mine = (request.turn_id, request.user)
        self.run(lambda: request.over or mine in [(one.turn.turn_id, one.turn.user_id) for one in self.records()], 5)

    def let_end(self, question: str) -> None:
        """The model may end its answers to this question."""
        with self._lock:
            self._may_end.add(question)

    def finish(self, *requests: Request) -> None:
        """Everything that the requests wait for comes, until they are over."""
        self._all_may_end = True
        until = time.monotonic() + 30
        while not all(request.over for request in requests):
            assert time.monotonic() < until, "a request never ended"
            self.deliver_all()
            self.run(lambda: all(request.over for request in requests), 0.05)
        self.deliver_all()
        self._all_may_end = False

    def resume(self, user: str, turn_id: str, after: int = 0, instance: int = 0) -> Request:
        headers = {"last-event-id": str(after)}
        sending = self._send(instance, user, "GET", f"/api/turns/{turn_id}/stream", headers=headers)
        return Request(user, self._loop.create_task(sending), body={"turnId": turn_id})

    def turn(self, user: str, turn_id: str, instance: int = 0) -> httpx2.Response:
        return self._loop.run_until_complete(self._send(instance, user, "GET", f"/api/turns/{turn_id}"))

    def stop(self, user: str, turn_id: str, instance: int = 0) -> httpx2.Response:
        return self._loop.run_until_complete(self._send(instance, user, "POST", f"/api/turns/{turn_id}/stop"))

    def run(self, until: Callable[[], bool], seconds: float) -> bool:
        """Lets the functions work until it is so, at most so long; whether it is."""
        return self._loop.run_until_complete(self._until(until, seconds))

    # The queue

    def records(self) -> Sequence[Record]:
        """All that ever came into the queue."""
        return [decode(body) for body in (*self.delivered, *self.queue)]

    def deliver(self, *bodies: str) -> None:
        """One batch for persist. What it wants again stays in the queue."""
        again = {bodies[index] for index in self.world.deliver_bodies(bodies)}
        for body in dict.fromkeys(bodies):
            if body not in again:
                if body in self.queue:
                    self.queue.remove(body)
                if body not in self.delivered:
                    self.delivered.append(body)

    def deliver_all(self) -> None:
        """What waits, less the settling of turns that are under way."""
        waiting = [body for body in self.queue if '"kind":"settle_turn"' not in body]
        if waiting:
            self.deliver(*waiting)

    # Conversations

    def ask(
        self, user: str, method: str, path: str, query: Mapping[str, Any] | None = None, body: object = None
    ) -> tuple[int, Any]:
        """Of the other function: the status and the JSON of its answer."""
        headers = {"authorization": f"Bearer {self._tokens[user]}", "content-type": "application/json"}
        event = event_of(method, path, query or {}, headers, None if body is None else json.dumps(body))
        answer = conversations.handler(event, LambdaContext())  # type: ignore[arg-type]  # a stand-in for the runtime's own
        return answer["statusCode"], json.loads(answer["body"]) if answer["body"] else None

    def conversation(self, user: str, conversation_id: str, **query: Any) -> tuple[int, Any]:
        return self.ask(user, "GET", f"/api/conversations/{conversation_id}", query)

    def messages(self, conversation_id: str) -> list[Item]:
        """The conversation's stored messages in order."""
        pk = keys.conversation_pk(conversation_id)
        rows = self.world.scan()[CONVERSATIONS.name]
        return [row for row in rows if row["pk"] == pk and row["sk"].startswith("MSG#")]

    def answer(self, request: Request) -> Item | None:
        """What is stored under the id of the request's turn, in the conversation that the request is for."""
        conversation_id = request.conversation_id or request.stream.last.get("conversationId")
        if conversation_id is None:  # storage had not confirmed when the stream ended
            conversation_id = self.turn(request.user, request.turn_id).json().get("conversationId")
        found = [row for row in self.messages(str(conversation_id)) if row["id"] == request.turn_id]
        assert len(found) <= 1, "an id stands twice in a conversation"
        return found[0] if found else None

    async def _send(self, instance: int, user: str, method: str, path: str, **options: Any) -> httpx2.Response:
        headers = {"authorization": f"Bearer {self._tokens[user]}", **options.pop("headers", {})}
        return await self._clients[instance].request(method, path, headers=headers, **options)

    async def _until(self, so: Callable[[], bool], seconds: float) -> bool:
        end = time.monotonic() + seconds
        while not so():
            if time.monotonic() > end:
                return False
            await asyncio.sleep(_STEP_S)
        return True

    async def _answer(self, stage: Stage) -> None:
        """Names the question, so that an answer shows whose it is; ends once it may."""
        # A provider is told of neighbours of one role as of one message: the question is the last line.
        question = stage.reply.request.body["messages"][-1]["content"].rpartition("\n")[2]
        number = next(self._numbers)
        await token(f"[{question}] ")(stage)
        self.asked.append(question)
        while not self._all_may_end:
            with self._lock:
                if question in self._may_end:
                    break
            await asyncio.sleep(_STEP_S)
        await token(f"answer {number}")(stage)
        await finish()(stage)
        await done()(stage)


@contextmanager
def members() -> Iterator[Members]:
    """All of it, with nothing stored."""
    with OidcProvider() as provider, ScriptedModel() as model, persist_world() as world:
        env = {"OIDC_ISSUER": provider.issuer, "OIDC_AUDIENCE": provider.audience}
        with mock.patch.dict(os.environ, env):
            _forget()
            made = Members(world, provider, model)
            try:
                with mock.patch.object(time, "time", made.now):
                    yield made
            finally:
                made.close()
                _forget()


def _forget() -> None:
    conversations.gate.cache_clear()
    conversations.dynamodb.cache_clear()

"""Every call to storage fails once, each with every class of failure, and nobody notices but the log.

The calls are recorded from a run without faults, so that a new call is swept without anybody's doing.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final
from unittest import mock

import httpx2
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, ReadTimeoutError

from functions.common import keys
from functions.common.aws import Aws
from functions.common.ids import new_id
from functions.conversations import handler as conversations
from functions.persist import handler as persist
from infra.resources import CONVERSATIONS, TURNS
from local.model.script import done, finish, tokens, usage
from tests.support.chat import Api, Stream, user
from tests.support.system import System
from tests.support.waiting import until
from tests.support.whole_api import whole_api
from tests.support.wire import Effect, Wire, answer

WORDS: Final = tuple(f"word{number} " for number in range(8))
TEXT: Final = "".join(WORDS)
SPENT: Final = 30  # tokens of each turn, as its model says
_ITEMS: Final = re.compile(r'"(TURN|STOP|RECEIPT|EVENTS|META|MSG|ID|QUOTA|USAGE|DELETED)[#"]')
_RECORDS: Final = re.compile("turn_started|turn_finished|settle_turn")

Label = tuple[str, ...]  # whose call, its operation, what it is about


# --- the classes of failure ---------------------------------------------------------------------------------------------------


def raises(error: Callable[[Any], Exception]) -> Effect:
    def effect(request: Any) -> None:
        raise error(request)

    return effect


def carried_out(request: Any) -> httpx2.Response:
    headers = {name: value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()}
    return httpx2.post(request.url, content=request.body, headers=headers)


def conflict(request: Any) -> AWSResponse | None:
    items = json.loads(request.body).get("TransactItems", ())
    if not items:
        return answer(400, {"__type": "TransactionConflictException", "message": "in conflict"})(request)
    reasons = [{"Code": "TransactionConflict"}, *({"Code": "None"} for _ in items[1:])]
    return answer(400, {"__type": "TransactionCanceledException", "CancellationReasons": reasons})(request)


def lost(request: Any) -> None:
    carried_out(request)
    raise ReadTimeoutError(endpoint_url=request.url)


def cut_short(request: Any) -> AWSResponse | None:
    reply = carried_out(request)
    response = answer(reply.status_code, {})(request)
    assert response is not None
    response.raw = _Half(reply.content)
    return response


class _Half:
    def __init__(self, content: bytes) -> None:
        self._content = content[: max(1, len(content) // 2)]

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self._content


def assume_role_throttled(_request: Any) -> Exception:
    return ClientError({"Error": {"Code": "Throttling", "Message": "Rate exceeded"}}, "AssumeRole")


FAILURES: dict[str, Effect] = {
    "throttled": answer(400, {"__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException", "message": "slow down"}),
    "in conflict": conflict,
    "500": answer(500, {"__type": "InternalServerError", "message": "oops"}),
    "503": answer(503, {"__type": "ServiceUnavailable", "message": "oops"}),
    "credentials expired": answer(400, {"__type": "ExpiredTokenException", "message": "expired"}),
    "no credentials": raises(lambda _: NoCredentialsError()),
    "credentials throttled": raises(assume_role_throttled),
    "refused": raises(lambda request: EndpointConnectionError(endpoint_url=request.url)),
    "timed out": raises(lambda request: ReadTimeoutError(endpoint_url=request.url)),
    "reply lost": lost,
    "reply cut short": cut_short,
}


# --- the calls -----------------------------------------------------------------------------------------------------------------


def label(actor: str, request: Any) -> Label:
    """What tells one call of a run from the others, in every run alike: no ids, no numbers."""
    headers = {name.lower(): value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()}
    body = request.body.decode()
    expression = json.loads(body).get("UpdateExpression", "")
    about = sorted(
        {*_ITEMS.findall(body), *_RECORDS.findall(body), *expression.split()[:1], *re.findall("ADD|DELETE", expression)}
    )
    return (actor, headers["x-amz-target"].rpartition(".")[2], *about)


class Watch:
    """Records the calls of three functions, and plays a failure on the first one of a label."""

    def __init__(self, wires: dict[str, Wire], stack: ExitStack) -> None:
        self.calls: list[Label] = []
        self.failed = 0
        self._wanted: Label | None = None
        self._effect: Effect | None = None
        self._lock = threading.Lock()
        for actor, wire in wires.items():
            for service in ("dynamodb", "sqs"):
                stack.enter_context(wire.fault(service, self._on(actor)))

    def _on(self, actor: str) -> Effect:
        def effect(request: Any) -> AWSResponse | None:
            called = label(actor, request)
            with self._lock:
                self.calls.append(called)
                play = self._effect if called == self._wanted else None
                if play is not None:
                    self._effect = None
                    self.failed += 1
            return play(request) if play is not None else None

        return effect

    @contextmanager
    def failing(self, wanted: Label, effect: Effect) -> Iterator[None]:
        self._wanted, self._effect, self.failed = wanted, effect, 0
        yield
        self._wanted = self._effect = None

    def of(self, part: Callable[[], None]) -> list[Label]:
        """The calls that a part makes, each once, in their order."""
        self.calls.clear()
        part()
        return list(dict.fromkeys(self.calls))


@dataclass
class Stage:
    """The whole system, with a client of it and the calls of its functions."""

    system: System
    api: Api
    other: Api  # another instance of the streaming function
    watch: Watch

    # --- what is done, and what must hold afterwards, whatever call has failed ---

    def turn(self) -> None:
        before = self.counted()
        stream = self.say()
        self.ended_well(stream, before)
        again = self.other.resume(stream.last["turnId"])
        assert [(seen.id, seen.event) for seen in again.events] == [(seen.id, seen.event) for seen in stream.events]

    def resume(self) -> None:
        before, turn_id = self.counted(), new_id()
        self.plays()
        streams: list[Stream] = []
        body = {"turnId": turn_id, "messages": [user("hi")]}
        talking = threading.Thread(target=lambda: streams.append(self.api.post(body)))
        talking.start()
        until(lambda: self.turn_item(turn_id))
        followed = answered(lambda: self.other.resume(turn_id))
        talking.join(20)
        (stream,) = streams
        self.ended_well(stream, before)
        assert [(seen.id, seen.event) for seen in followed.events] == [(seen.id, seen.event) for seen in stream.events]

    def stop(self) -> None:
        before, turn_id = self.counted(), new_id()
        self.system.model.plays(tokens(*WORDS * 40, delay_s=0.05), finish(), done())
        streams: list[Stream] = []
        body = {"turnId": turn_id, "messages": [user("hi")]}
        talking = threading.Thread(target=lambda: streams.append(self.api.post(body)))
        talking.start()
        until(lambda: self.turn_item(turn_id))
        until(lambda: self.other.stop(turn_id).status_code == 202, 10)
        talking.join(20)
        (stream,) = streams
        assert (stream.last["type"], stream.last["status"], stream.last["durable"]) == ("complete", "stopped", True)
        self.stored(stream, "stopped")
        self.counts_once(before, None)

    def reading(self) -> None:
        """Of what one turn has stored: the conversation, the list, the export, the sums, a new title."""
        stream = self.say()
        conversation_id = stream.last["conversationId"]
        self.stored(stream, "complete")
        path = f"/api/conversations/{conversation_id}"
        page = answered(lambda: self.api.http.get(path)).json()
        assert [message["content"] for message in page["messages"]] == ["hi", TEXT]
        assert answered(lambda: self.api.http.get(f"{path}/export")).json()["messages"] == page["messages"]
        listed = answered(lambda: self.api.http.get("/api/conversations", params={"limit": 100})).json()
        assert [item["id"] for item in listed["items"]].count(conversation_id) == 1
        assert answered(lambda: self.api.http.get("/api/usage")).json()["today"]["turns"] == self.counted()[0]
        renamed = answered(lambda: self.api.http.patch(path, json={"title": "Another"})).json()
        assert renamed["title"] == answered(lambda: self.api.http.get(path)).json()["title"] == "Another"

    def delete(self) -> None:
        stream = self.say()
        conversation_id = stream.last["conversationId"]
        self.stored(stream, "complete")
        gone = answered(lambda: self.api.http.delete(f"/api/conversations/{conversation_id}"), also=404)
        assert gone.status_code in {204, 404}  # 404: a repeat of one that was carried out
        assert self.api.http.get(f"/api/conversations/{conversation_id}").status_code == 404
        until(lambda: not self.items(CONVERSATIONS.name, keys.conversation_pk(conversation_id)), 10)

    # ---

    def plays(self) -> None:
        self.system.model.plays(tokens(*WORDS, delay_s=0.05), finish(), usage(10, SPENT - 10), done())

    def say(self) -> Stream:
        self.plays()
        return self.api.say("hi")

    def ended_well(self, stream: Stream, before: tuple[int, int]) -> None:
        assert (stream.text, stream.last["type"]) == (TEXT, "complete"), stream.last
        assert (stream.last["status"], stream.last["durable"]) == ("complete", True)
        self.stored(stream, "complete")
        self.counts_once(before, SPENT)

    def stored(self, stream: Stream, status: str) -> None:
        """Once, as it was shown, and so it says later."""
        turn_id = stream.last["turnId"]
        until(lambda: self.other.turn(turn_id).get("conversationId"), 15)
        state = self.other.turn(turn_id)
        assert (state["status"], state["durable"]) == (status, True)
        until(lambda: [m.get("status") for m in self.system.messages(state["conversationId"])] == ["complete", status], 15)
        assert [m["content"] for m in self.system.messages(state["conversationId"])] == ["hi", stream.text]

    def counts_once(self, before: tuple[int, int], spent: int | None) -> None:
        assert self.counted()[0] == before[0] + 1
        until(lambda: not self.quota().get("leases"), 10)
        if spent is not None:
            assert self.counted()[1] == before[1] + spent

    def counted(self) -> tuple[int, int]:
        """Turns that persist has summed up, tokens that the quota has counted."""
        rows = self.items(TURNS.name, keys.user_pk("local"))
        turns = sum(int(row["turns"]["N"]) for row in rows if row["sk"]["S"].startswith(keys.USAGE_PREFIX))
        return turns, sum(int(value["N"]) for name, value in self.quota().items() if name.startswith("tokens#"))

    def quota(self) -> dict[str, Any]:
        return next((row for row in self.items(TURNS.name, keys.user_pk("local")) if row["sk"]["S"] == keys.QUOTA), {})

    def turn_item(self, turn_id: str) -> list[dict[str, Any]]:
        return self.items(TURNS.name, keys.turn_pk(turn_id, "local"))

    def items(self, table: str, pk: str) -> list[dict[str, Any]]:
        query: Any = {"KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": {":pk": {"S": pk}}}
        return list(self.system.dynamodb.query(TableName=table, ConsistentRead=True, **query)["Items"])


def answered(ask: Callable[[], Any], also: int | None = None) -> Any:
    """The answer; asked again while the service says that it is not available."""
    found: list[Any] = []

    def once() -> bool:
        response = ask()
        status = getattr(response, "status_code", None) or response.status
        assert status < 300 or status in {503, also}, status
        found.append(response)
        return bool(status != 503)

    until(once, 10)
    return found[-1]


def forget_store() -> None:
    """What persist keeps between invocations."""
    if persist._store.cache_info().currsize:
        persist._store().close()
        persist._store.cache_clear()


@pytest.fixture
def stage(chat_system: System) -> Iterator[Stage]:
    with ExitStack() as stack:
        wires = {"chat_stream": chat_system.wire, "persist": Wire(), "conversations": Wire()}
        watched = type("Aws", (Aws,), {"send": wires["persist"].around(Aws.send)})
        stack.enter_context(mock.patch.object(persist, "Aws", watched))
        forget_store()
        stack.callback(forget_store)
        settings = {"CHAT_CHECKPOINT_S": "0.15", "CHAT_RECEIPT_WAIT_S": "5", "CHAT_QUOTA_STREAMS": "50"}
        url = stack.enter_context(whole_api(chat_system, **settings))
        wires["conversations"].attach(conversations.dynamodb())
        chat_system.persisting()
        watch = Watch(wires, stack)
        api = Api(url)
        stack.callback(api.close)
        yield Stage(chat_system, api, chat_system.serve(**settings), watch)


PARTS: Final = ("turn", "resume", "stop", "reading", "delete")


def sweep(stage: Stage, part: str, failures: dict[str, Effect]) -> None:
    run: Callable[[], None] = getattr(stage, part)
    calls = stage.watch.of(run)
    assert calls, "a sweep over nothing proves nothing"
    played = 0
    for name, failure in failures.items():
        for call in calls:
            with stage.watch.failing(call, failure):
                try:
                    run()
                except BaseException as error:
                    error.add_note(f"{name}: {' '.join(call)}")
                    raise
                played += stage.watch.failed
    assert played >= 0.9 * len(calls) * len(failures), "some calls are not made in every run"


@pytest.mark.parametrize("part", ["turn"])
def test_every_call_of_a_turn_fails_once_with_a_throttle(stage: Stage, part: str) -> None:
    sweep(stage, part, {"throttled": FAILURES["throttled"]})


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("part", PARTS)
def test_every_call_fails_once(stage: Stage, part: str, failure: str) -> None:
    sweep(stage, part, {failure: FAILURES[failure]})


def test_the_calls_of_all_three_functions_are_swept(stage: Stage) -> None:
    calls = [call for part in ("turn", "reading", "delete") for call in stage.watch.of(getattr(stage, part))]
    assert {call[0] for call in calls} == {"chat_stream", "persist", "conversations"}
    assert {call[1] for call in calls} >= {
        "PutItem",
        "UpdateItem",
        "TransactWriteItems",
        "SendMessageBatch",
        "BatchGetItem",
        "Query",
    }

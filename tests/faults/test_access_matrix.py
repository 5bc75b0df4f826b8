"""GUARANTEES 25 and 26: every route of the document × every kind of stranger, so that a new route cannot be forgotten."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.routing import Route

from functions.chat_stream.app import create_app
from functions.common.ids import new_id
from functions.common.log import get_logger
from functions.common.quotas import Quotas
from functions.conversations import handler as conversations
from functions.conversations.routes import Routes
from infra.resources import CONVERSATIONS, TURNS
from local.model.script import done, finish, token
from tests.oidc import JWKS, OidcProvider
from tests.support import http
from tests.support.chat import Api, Stream, read, settings, user
from tests.support.system import System
from tests.support.whole_api import whole_api

# What names nobody's thing in its path: the caller's own data, or the same for everyone. A new route must be put here, or name an
# id in its path and so be tried on foreign ids.
OF_THE_CALLER = {"start_conversation", "list_conversations", "get_usage", "list_buds"}
OPEN = {"get_config", "get_health", "get_openapi_document"}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
SECRET = "alice's secret words"
ITEM_BYTES = 1024  # one small item: a title, ids and times

CLIENT = http.client(timeout=20, limits=httpx2.Limits(max_keepalive_connections=0))

Operation = tuple[str, str, str]  # method, path, operation id


@pytest.fixture(scope="module")
def provider() -> Iterator[OidcProvider]:
    with OidcProvider() as provider:
        yield provider


@pytest.fixture
def url(chat_system: System, provider: OidcProvider) -> Iterator[str]:
    with whole_api(chat_system, OIDC_ISSUER=provider.issuer, OIDC_AUDIENCE=provider.audience) as url:
        yield url


def operations(url: str) -> list[Operation]:
    document = CLIENT.get(f"{url}/api/openapi.json").json()
    return [
        (method.upper(), path, operation["operationId"])
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def ask(url: str, operation: Operation, headers: dict[str, str], conversation_id: str, turn_id: str) -> httpx2.Response:
    """The operation, well-formed, on these ids."""
    method, path, name = operation
    path = path.replace("{conversationId}", conversation_id).replace("{turnId}", turn_id)
    bodies: dict[str, Any] = {
        "start_conversation": {"messages": [user("hi")]},
        "continue_conversation": {"messages": [user("hi")]},
        "rename_conversation": {"title": "Mine now"},
    }
    return CLIENT.request(method, f"{url}{path}", headers=headers, json=bodies.get(name))


def bearer(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


def forged(key: object, algorithm: str, provider: OidcProvider, **header: str) -> str:
    return jwt.encode(provider.claims(), key, algorithm, headers={"kid": provider.kid, **header})  # type: ignore[arg-type]


def hs256_with_the_public_key(provider: OidcProvider) -> str:
    """PyJWT refuses to make it: by hand, as an attacker would."""
    import base64
    import hashlib
    import hmac

    parts = [{"alg": "HS256", "typ": "JWT", "kid": provider.kid}, provider.claims()]
    signed = b".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)
    mac = hmac.new(provider.public_pem(), signed, hashlib.sha256).digest()
    return (signed + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()


STRANGERS: dict[str, Callable[[OidcProvider], dict[str, str]]] = {
    "anonymous": lambda _: {},
    "no token": lambda _: {"authorization": "Bearer"},
    "another scheme": lambda one: {"authorization": f"Basic {one.token()}"},
    "garbage": lambda _: bearer("x.y.z"),
    "expired": lambda one: bearer(one.token(exp=int(time.time()) - 60)),
    "not yet valid": lambda one: bearer(one.token(nbf=int(time.time()) + 600)),
    "another issuer": lambda one: bearer(one.token(iss="https://elsewhere.example")),
    "another audience": lambda one: bearer(one.token(aud="another-client")),
    "an id token": lambda one: bearer(one.token(nonce="n")),
    "an empty subject": lambda one: bearer(one.token("")),
    "alg none": lambda one: bearer(forged(None, "none", one)),
    "HS256 with the public key": lambda one: bearer(hs256_with_the_public_key(one)),
    "another's key": lambda one: bearer(forged(rsa.generate_private_key(65537, 2048), "RS256", one)),
    "an unknown key id": lambda one: bearer(forged(one.key, "RS256", one, kid="unheard-of")),
    "a changed claim": lambda one: bearer(one.token()[:-6] + "AAAAAA"),
    "a token where only the edge may put one": lambda one: {"x-forwarded-authorization": f"Bearer {one.token()}"},
    "an identity that only AWS may tell": lambda _: {
        "x-amzn-request-context": '{"authorizer":{"iam":{"userId":"alice"},"jwt":{"claims":{"sub":"alice"}}}}',
        "x-amzn-oidc-identity": "alice",
        "x-forwarded-user": "alice",
    },
}


def test_the_document_has_the_routes_that_are_served_and_no_others(chat_system: System, url: str) -> None:
    chat = create_app(settings(chat_system.model.url, "turns", chat_system.queue_url))
    served = {
        (method, route.path)
        for route in chat.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }
    store: Any = None
    reading = Routes(store, get_logger("conversations"), Quotas())
    served |= {
        (method, path.replace("<", "{").replace(">", "}")) for path, allowed in reading._allowed.items() for method in allowed
    }

    documented = {(method, path) for method, path, _ in operations(url)}

    as_written = {"conversation_id": "conversationId", "turn_id": "turnId"}
    for inside, outside in as_written.items():
        served = {(method, path.replace(inside, outside)) for method, path in served}
    assert documented == served


def test_every_route_is_open_the_callers_own_or_names_what_it_is_about(url: str) -> None:
    with_ids = {name for _, path, name in operations(url) if "{" in path}
    every = {name for _, _, name in operations(url)}

    assert every - with_ids == OF_THE_CALLER | OPEN


@pytest.mark.parametrize("stranger", STRANGERS)
def test_who_is_not_signed_in_gets_the_same_401_everywhere_and_nothing_is_touched(
    chat_system: System, provider: OidcProvider, url: str, stranger: str
) -> None:
    headers = STRANGERS[stranger](provider)
    closed = [operation for operation in operations(url) if operation[2] not in OPEN]

    answers = [ask(url, operation, headers, new_id(), new_id()) for operation in closed]

    assert {answer.status_code for answer in answers} == {401}
    assert {answer.headers["content-type"] for answer in answers} == {"application/problem+json"}
    assert {answer.headers["www-authenticate"] for answer in answers} == {"Bearer"}
    assert len({answer.content for answer in answers}) == 1
    assert chat_system.model.requests == []
    assert chat_system.wire.calls() == []


def test_a_flood_of_forged_tokens_costs_each_function_one_fetch_of_the_keys(url: str, provider: OidcProvider) -> None:
    chat, listing = ("GET", "/api/buds", "list_buds"), ("GET", "/api/conversations", "list_conversations")
    before = provider.hits[JWKS]
    for number in range(20):
        headers = bearer(forged(provider.key, "RS256", provider, kid=f"unheard-of-{number}"))
        assert ask(url, chat, headers, "", "").status_code == 401
        assert ask(url, listing, headers, "", "").status_code == 401

    assert provider.hits[JWKS] - before == 2


def test_open_routes_need_no_token(url: str) -> None:
    for operation in operations(url):
        if operation[2] in OPEN:
            assert ask(url, operation, {}, "", "").status_code == 200


@pytest.fixture
def mallory(url: str, provider: OidcProvider) -> Iterator[Api]:
    api = Api(url, provider.token("mallory"))
    yield api
    api.close()


class Alice:
    """What another owns: a conversation with its turn, in her own workspace or in one she shares."""

    def __init__(self, system: System, url: str, provider: OidcProvider, workspace: str | None) -> None:
        system.model.always_plays(token("an answer"), finish(), done())
        system.persisting()
        self.api = Api(url, provider.token("alice", ["team"]))
        self.turn_id = new_id()
        self.message_id = new_id()
        named = {"workspaceId": workspace} if workspace else {}
        messages = [user(SECRET + " and more" * 10_000, id=self.message_id)]
        stream = self.api.post({"turnId": self.turn_id, "messages": messages, **named})
        self.conversation_id = str(stream.last["conversationId"])

    def conversation(self) -> dict[str, Any]:
        """All of it but when it was read."""
        document: dict[str, Any] = self.api.http.get(f"/api/conversations/{self.conversation_id}").json()
        return {name: value for name, value in document.items() if name != "asOf"}


@pytest.fixture(params=[None, "team"], ids=["her own workspace", "a shared workspace"])
def alice(chat_system: System, url: str, provider: OidcProvider, request: pytest.FixtureRequest) -> Iterator[Alice]:
    made = Alice(chat_system, url, provider, request.param)
    yield made
    made.api.close()


@pytest.mark.parametrize("workspaces", [None, ["another"]], ids=["another user", "another workspace"])
def test_what_is_anothers_answers_on_every_route_as_what_does_not_exist(
    url: str, provider: OidcProvider, alice: Alice, workspaces: list[str] | None
) -> None:
    before = alice.conversation()
    headers = bearer(provider.token("mallory", workspaces))
    tried = [operation for operation in operations(url) if "{" in operation[1]]

    for operation in tried:
        foreign = ask(url, operation, headers, alice.conversation_id, alice.turn_id)
        absent = ask(url, operation, headers, new_id(), new_id())
        assert seen(foreign) == seen(absent), operation
        assert SECRET not in foreign.text
        if operation[2] == "continue_conversation":
            assert '"code":"conversation_not_found"' in foreign.text
        else:
            assert foreign.status_code == 404, operation

    assert len(tried) == 8
    assert alice.conversation() == before


def test_what_is_anothers_costs_on_every_route_the_calls_of_what_does_not_exist(
    chat_system: System, url: str, provider: OidcProvider, alice: Alice
) -> None:
    """About the same time, without a clock: time is spent on calls and on the bytes they bring."""
    headers = bearer(provider.token("mallory"))
    chat_system.wire.attach(conversations.dynamodb())
    tried = [operation for operation in operations(url) if "{" in operation[1]]

    for operation in tried:
        if operation[2] == "continue_conversation":
            continue  # persist tells, from META alone: below
        foreign, bytes_of_foreign = cost(chat_system, url, operation, headers, alice.conversation_id, alice.turn_id)
        absent, bytes_of_absent = cost(chat_system, url, operation, headers, new_id(), new_id())
        assert foreign == absent, operation
        assert foreign, operation
        assert bytes_of_foreign - bytes_of_absent < ITEM_BYTES, operation
    assert len(tried) == 8


def cost(
    system: System, url: str, operation: Operation, headers: dict[str, str], conversation_id: str, turn_id: str
) -> tuple[list[tuple[str, str]], int]:
    """The calls of AWS that the operation makes, the ids left out, and the bytes they bring."""
    calls, read_before = len(system.wire.calls()), system.wire.bytes_read
    ask(url, operation, headers, conversation_id, turn_id)
    made = [(call.operation, json.dumps(call.body)) for call in system.wire.calls()[calls:]]
    without_ids = [(name, body.replace(conversation_id, "…").replace(turn_id, "…")) for name, body in made]
    return without_ids, system.wire.bytes_read - read_before


def test_the_function_that_streams_reads_nothing_of_the_conversation_it_is_to_continue(
    chat_system: System, url: str, provider: OidcProvider, alice: Alice
) -> None:
    """So whether it exists, and whose it is, cannot show in the function's own time."""
    calls = len(chat_system.wire.calls())

    mallory = Api(url, provider.token("mallory"))
    assert mallory.post({"messages": [user("hi")]}, alice.conversation_id).last["code"] == "conversation_not_found"
    mallory.close()

    tables = {call.body.get("TableName") for call in chat_system.wire.calls()[calls:] if call.service == "dynamodb"}
    assert tables <= {TURNS.name, None}
    transactions = [call.body for call in chat_system.wire.calls("TransactWriteItems")[:]]
    assert CONVERSATIONS.name not in json.dumps(transactions)


def test_a_verb_that_a_route_does_not_have_answers_the_same_for_anothers_as_for_none(
    url: str, provider: OidcProvider, alice: Alice
) -> None:
    before = alice.conversation()
    headers = bearer(provider.token("mallory"))
    documented = {(method, path) for method, path, _ in operations(url)}
    paths = {path for _, path in documented if "{" in path}

    others = [(method, path, "") for path in sorted(paths) for method in METHODS if (method, path) not in documented]
    for operation in others:
        foreign = ask(url, operation, headers, alice.conversation_id, alice.turn_id)
        absent = ask(url, operation, headers, new_id(), new_id())
        assert seen(foreign) == seen(absent), operation
        assert foreign.status_code in {404, 405, 415}, operation

    assert len(others) == len(paths) * len(METHODS) - 8
    assert alice.conversation() == before


def seen(answer: httpx2.Response) -> tuple[int, dict[str, str], bytes]:
    """All that a client can tell the answer by; of a stream, without the turn's own id and without the answer's pieces."""
    headers = {name: value for name, value in answer.headers.items() if name not in {"date", "content-length"}}
    body = answer.content
    if answer.headers["content-type"].startswith("text/event-stream"):
        headers.pop("transfer-encoding", None)
        body = body[body.rindex(b"data: ") :]
    return answer.status_code, headers, body


def test_the_list_of_anothers_workspace_is_refused_like_that_of_one_that_does_not_exist(
    url: str, provider: OidcProvider, alice: Alice
) -> None:
    headers = bearer(provider.token("mallory"))
    answers = [
        CLIENT.get(f"{url}/api/conversations", params={"workspaceId": name}, headers=headers)
        for name in ("alice", "team", "nobody's")
    ]

    assert {answer.status_code for answer in answers} == {403}
    assert len({answer.content for answer in answers}) == 1
    assert CLIENT.get(f"{url}/api/conversations", headers=headers).json() == {"items": []}
    assert alice.conversation_id


def test_a_turn_id_of_anothers_starts_the_callers_own_turn_as_any_new_id_does(mallory: Api, alice: Alice) -> None:
    before, state = alice.conversation(), alice.api.turn(alice.turn_id)

    foreign = mallory.post({"turnId": alice.turn_id, "messages": [user("mine")]})
    absent = mallory.post({"turnId": new_id(), "messages": [user("mine")]})

    assert foreign.types[-1] == absent.types[-1] == "complete"
    assert shape(foreign) == shape(absent)
    assert foreign.last["conversationId"] != alice.conversation_id
    mine = mallory.http.get(f"/api/conversations/{foreign.last['conversationId']}").json()
    assert [message["content"] for message in mine["messages"]] == ["mine", "an answer"]
    assert (alice.conversation(), alice.api.turn(alice.turn_id)) == (before, state)


def shape(stream: Stream) -> tuple[list[str], set[str]]:
    return [kind for kind in stream.types if kind != "conversationCreated"], set(stream.last)


def test_a_parent_of_anothers_shows_nothing_of_theirs(mallory: Api, alice: Alice, chat_system: System) -> None:
    before = alice.conversation()
    mine = mallory.say("mine").last["conversationId"]

    def answer_below(parent_id: str) -> Stream:
        below = [user("what is above?", id=parent_id), user("and below?")]
        return mallory.post({"messages": below, "parentId": parent_id}, conversation_id=str(mine))

    foreign, absent = answer_below(alice.message_id), answer_below(new_id())

    assert shape(foreign) == shape(absent)
    assert SECRET not in mallory.http.get(f"/api/conversations/{mine}").text
    assert not any(SECRET.encode() in request.raw for request in chat_system.model.requests[1:])
    assert alice.conversation() == before


def test_each_caller_sees_only_their_own_usage(url: str, provider: OidcProvider, alice: Alice) -> None:
    def turns(sub: str) -> int:
        document = CLIENT.get(f"{url}/api/usage", headers=bearer(provider.token(sub))).json()
        return int(document["today"]["turns"])

    assert (turns("alice"), turns("mallory")) == (1, 0)


def test_a_stream_of_anothers_turn_is_no_stream(url: str, provider: OidcProvider, alice: Alice) -> None:
    with CLIENT.stream("GET", f"{url}/api/turns/{alice.turn_id}/stream", headers=bearer(provider.token("mallory"))) as response:
        assert read(response).problem["code"] == "not_found"

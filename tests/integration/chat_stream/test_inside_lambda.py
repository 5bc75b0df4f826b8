"""What differs inside Lambda: the adapter's deadline is believed, and the adapter's snapshot hooks are there."""

import json
import random
import time
from collections.abc import Iterator

import pytest

from functions.chat_stream.snapshot import AFTER, BEFORE
from functions.common.records import TurnFinished
from local.model.script import done, finish, pause, stall, token
from tests.oidc import JWKS, OidcProvider
from tests.support.chat import Api
from tests.support.system import System

_CONTEXT = "x-amzn-lambda-context"


@pytest.fixture
def issuer() -> Iterator[OidcProvider]:
    with OidcProvider() as made:
        yield made


@pytest.fixture
def inside(chat_system: System, issuer: OidcProvider) -> Api:
    """A client of the function as it runs inside Lambda, signed in."""
    api = chat_system.serve(
        AWS_LAMBDA_FUNCTION_NAME="chat", OIDC_ISSUER=issuer.issuer, OIDC_AUDIENCE=issuer.audience, CHAT_RECEIPT_WAIT_S="0.1"
    )
    api.http.headers["authorization"] = f"Bearer {issuer.token()}"
    return api


def context(seconds: float) -> dict[str, str]:
    """The adapter's header for an invocation that has so many seconds left."""
    return {_CONTEXT: json.dumps({"request_id": "r", "deadline": int((time.time() + seconds) * 1000)})}


def test_the_invocation_s_deadline_ends_the_turn_in_time(inside: Api, chat_system: System) -> None:
    chat_system.model.plays(token("half"), stall())
    inside.http.headers |= context(16.0)  # the reserve is 15
    stream = inside.say("hi")
    assert (stream.last["type"], stream.last["code"], stream.last["partial"]) == ("error", "deadline", True)
    assert stream.events[-1].at - stream.began < 16, "the reserve is left for what comes after the deadline"
    chat_system.model.wait_closed()
    (saved,) = [record.answer for record in chat_system.queued() if isinstance(record, TurnFinished)]
    assert (saved.content, saved.status, saved.error) == ("half", "failed", "deadline")


def test_outside_lambda_the_same_header_means_nothing(chat_system: System) -> None:
    chat_system.model.plays(token("a"), pause(0.5), token("b"), finish(), done())
    api = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1")
    api.http.headers |= context(0.0)
    stream = api.say("hi")
    assert stream.last["type"] == "complete"
    assert stream.text == "ab"


def test_a_function_that_has_been_through_a_snapshot_works_on(inside: Api, chat_system: System) -> None:
    chat_system.model.always_plays(token("hi"), finish(), done())
    assert inside.say("before").last["type"] == "complete"
    assert inside.http.post(BEFORE).status_code == 204
    assert inside.http.post(AFTER).status_code == 204
    assert inside.say("after").last["type"] == "complete"


def test_after_a_restore_the_issuer_s_keys_are_there_before_the_first_turn(
    inside: Api, chat_system: System, issuer: OidcProvider
) -> None:
    chat_system.model.plays(token("hi"), finish(), done())
    assert inside.http.post(BEFORE).status_code == 204
    assert not issuer.hits, "a snapshot with keys in it would keep them for as long as it lives"
    assert inside.http.post(AFTER).status_code == 204
    assert issuer.hits[JWKS] == 1
    assert inside.say("after").last["type"] == "complete"
    assert issuer.hits[JWKS] == 1


def test_an_issuer_that_does_not_answer_fails_no_restore(inside: Api, issuer: OidcProvider) -> None:
    issuer.down = True
    assert inside.http.post(AFTER).status_code == 204
    answer = inside.http.post("/api/chat", json={"messages": [{"role": "user", "content": "hi"}]})
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


def test_restored_instances_draw_different_jitter(inside: Api) -> None:
    draws = []
    for _ in range(2):  # two instances of one snapshot begin with one state
        random.seed(1)
        inside.http.post(AFTER)
        draws.append(random.random())
    assert draws[0] != draws[1]


@pytest.mark.parametrize("path", [BEFORE, AFTER])
def test_the_hooks_are_not_for_whoever_calls_the_function(inside: Api, path: str) -> None:
    answer = inside.http.post(path, headers={"x-amzn-request-context": "{}"})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("path", [BEFORE, AFTER])
def test_outside_lambda_there_are_no_hooks(chat_system: System, path: str) -> None:
    assert chat_system.api.http.post(path).status_code == 404

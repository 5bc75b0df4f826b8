"""The streaming function as it is deployed: its zip, its run.sh, the real Lambda Web Adapter, Lambda's own API around it."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from functions.chat_stream.snapshot import AFTER, BEFORE
from infra import functions as stack_functions
from local.model.script import done, finish, stall, token, tokens, wait_for
from tests.support.chat import user
from tests.support.function.environment import Code, ExecutionEnvironment, Function, fingerprint, running
from tests.support.function.turns import TURN, chat, document, events, kinds
from tests.support.function.world import MODEL_KEY, World


def test_the_prelude_has_the_status_and_the_headers_of_a_stream(function: Function, world: World) -> None:
    invocation = chat(function, world)
    assert kinds(invocation)[0] == "start"
    assert (invocation.mode, invocation.content_type) == ("streaming", "application/vnd.awslambda.http-integration-response")
    assert invocation.prelude["statusCode"] == 200
    headers = invocation.prelude["headers"]
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert headers["cache-control"] == "no-store"
    assert headers["x-accel-buffering"] == "no"
    assert "content-encoding" not in headers
    assert invocation.trailers == {}


def test_each_event_reaches_lambda_before_the_model_makes_the_next(function: Function, world: World) -> None:
    may_begin, may_go_on, may_end = threading.Event(), threading.Event(), threading.Event()
    world.model.plays(wait_for(may_begin), token("one"), wait_for(may_go_on), token("two"), wait_for(may_end), finish(), done())
    stream = (event for _, event in events(chat(function, world)) if event["type"] in {"start", "token", "complete"})
    assert next(stream)["type"] == "start"
    may_begin.set()
    assert next(stream)["content"] == "one"
    may_go_on.set()
    assert next(stream)["content"] == "two"
    may_end.set()
    assert next(stream)["type"] == "complete"


def test_tokens_keep_the_pace_of_the_model(function: Function, world: World) -> None:
    count, pace_s = 20, 0.05
    world.model.plays(tokens(*(f"{number} " for number in range(count)), delay_s=pace_s), finish(), done())
    invocation = chat(function, world)
    times = [at for at, event in events(invocation) if event["type"] == "token"]
    assert len(times) == count, "tokens that came singly left together"
    assert times[-1] - times[0] >= (count - 1) * pace_s * 0.9
    assert len(set(times)) == count


def test_a_request_that_is_refused_is_a_problem_document(function: Function, world: World) -> None:
    invocation = function.api.invoke(world.event("POST", "/api/chat", b'{"messages": []}', world.token_header()))
    assert document(invocation)["code"] == "invalid_request"
    assert invocation.prelude["statusCode"] == 400
    assert invocation.prelude["headers"]["content-type"] == "application/problem+json"


def test_health_is_answered_without_a_token(function: Function, world: World) -> None:
    invocation = function.api.invoke(world.event("GET", "/api/health"))
    assert document(invocation)["status"] == "ok"
    assert invocation.prelude["statusCode"] == 200


def test_text_of_any_script_comes_through_whole(function: Function, world: World) -> None:
    text = "日本語 – naïve 🎈\u2028end"
    world.model.plays(token(text), finish(), done())
    body = json.dumps({"messages": [user(text)]}, ensure_ascii=False).encode()
    invocation = function.api.invoke(world.event("POST", "/api/chat", body, world.token_header()))
    assert "".join(event["content"] for _, event in events(invocation) if event["type"] == "token") == text
    assert world.model.requests[-1].body["messages"][-1]["content"] == text


def test_the_turn_ends_with_an_error_before_the_invocation_runs_out_of_time(function: Function, world: World) -> None:
    world.model.plays(token("half"), stall())
    invocation = chat(function, world, seconds=16.5)  # the reserve is 15
    *_, (at, last) = events(invocation)
    assert (last["type"], last["code"], last["partial"]) == ("error", "deadline", True)
    assert 1 <= at - invocation.began < 16.5


def test_a_deadline_that_the_client_sends_is_not_believed(function: Function, world: World) -> None:
    past = json.dumps({"deadline": 1})
    assert kinds(chat(function, world, headers={"x-amzn-lambda-context": past}))[-1] == "complete"


def test_the_token_is_taken_from_the_header_that_cloudfront_copies_it_to(function: Function, world: World) -> None:
    accepted = chat(function, world)
    refused = function.api.invoke(world.event("POST", "/api/chat", TURN))
    assert kinds(accepted)[-1] == "complete"
    assert document(refused)["code"] == "unauthenticated"
    assert refused.prelude["statusCode"] == 401


@pytest.mark.parametrize("claims", [{"aud": "another"}, {"iss": "https://other.example"}, {"exp": 1}])
def test_a_token_that_does_not_hold_is_refused(function: Function, world: World, claims: dict[str, Any]) -> None:
    invocation = function.api.invoke(world.event("POST", "/api/chat", TURN, world.token_header(**claims)))
    assert document(invocation)["code"] == "unauthenticated"
    assert invocation.prelude["statusCode"] == 401


def test_the_model_gets_the_key_that_lies_in_the_secret(function: Function, world: World) -> None:
    assert kinds(chat(function, world))[-1] == "complete"
    assert world.model.requests[-1].headers["authorization"] == f"Bearer {MODEL_KEY}"
    assert MODEL_KEY not in function.environment.output


def test_the_answer_is_in_the_queue_when_the_last_byte_has_left(function: Function, world: World) -> None:
    from local.clients import client

    assert kinds(chat(function, world))[-1] == "complete"
    waiting = client("sqs", world.endpoint).get_queue_attributes(
        QueueUrl=world.env()["CHAT_QUEUE_URL"], AttributeNames=["ApproximateNumberOfMessages"]
    )
    assert int(waiting["Attributes"]["ApproximateNumberOfMessages"]) == 2


def test_no_shell_is_left_between_lambda_and_the_application(function: Function) -> None:
    command = Path(f"/proc/{function.environment.app.pid}/cmdline").read_bytes().split(b"\0")
    assert command[0].endswith(b"python3")
    assert command[1:3] == [b"-m", b"functions.chat_stream"]


@pytest.mark.parametrize("path", [BEFORE, AFTER])
def test_the_snapshot_hooks_are_not_there_for_a_caller(function: Function, world: World, path: str) -> None:
    invocation = function.api.invoke(world.event("POST", path, b"{}", world.token_header()))
    list(invocation.body())
    assert invocation.prelude["statusCode"] in {403, 404}  # the adapter refuses from 1.1.0 on; else the application does


def start_alone(code: Code, adapter: Path, env: dict[str, str]) -> ExecutionEnvironment:
    """Starts a function that is expected to end by itself, and waits until it has."""
    with running(code, adapter, env, wait=False) as failing:
        failing.environment.app.wait(10)
        assert not failing.api.asked.is_set(), "it asked for an event"
        return failing.environment


@pytest.mark.parametrize("missing", ["CHAT_TURNS_TABLE", "CHAT_QUEUE_URL", "CHAT_MODEL_KEY_SECRET"])
def test_a_missing_setting_ends_the_initialisation_with_a_sentence(
    chat_code: Code, adapter: Path, world: World, missing: str
) -> None:
    failed = start_alone(chat_code, adapter, world.env(**{missing: None}))
    assert failed.app.returncode == 1  # Lambda reports: "Runtime exited with error: exit status 1"
    assert missing in failed.output
    assert "Traceback" not in failed.output


def test_without_sign_in_it_does_not_start_in_lambda(chat_code: Code, adapter: Path, world: World) -> None:
    failed = start_alone(chat_code, adapter, world.env(OIDC_ISSUER=None, OIDC_AUDIENCE=None))
    assert failed.app.returncode == 1
    assert "OIDC_ISSUER" in failed.output


def test_nothing_is_written_where_the_code_lies(chat_code: Code, adapter: Path, world: World) -> None:
    before = fingerprint(chat_code.root)
    with running(chat_code, adapter, world.env()) as function:
        assert kinds(chat(function, world))[-1] == "complete"
    assert fingerprint(chat_code.root) == before
    assert not [path for path in chat_code.root.rglob("*") if path.is_file() and path.stat().st_mode & 0o222]


def test_a_running_turn_is_saved_when_lambda_ends_the_environment(chat_code: Code, adapter: Path, world: World) -> None:
    world.model.plays(token("half"), stall())
    with running(chat_code, adapter, world.env()) as function:
        stream = events(chat(function, world))
        assert next(event for _, event in stream if event["type"] == "token")["content"] == "half"
        began = time.monotonic()
        function.environment.app.terminate()
        rest = [event for _, event in stream]
        assert (rest[-1]["type"], rest[-1]["code"], rest[-1]["partial"]) == ("error", "deadline", True)
        assert time.monotonic() - began < 5


def test_the_stack_configures_the_adapter_as_these_tests_do(world: World) -> None:
    ours = {name: value for name, value in world.env().items() if name.startswith("AWS_LWA_")}
    stacks = stack_functions._adapter()
    assert ours.items() <= stacks.items()
    # What the tests leave out, or set to a free port, must change nothing else.
    assert stacks.keys() - ours.keys() == {"AWS_LAMBDA_EXEC_WRAPPER", "AWS_LWA_PORT", "AWS_LWA_ENABLE_COMPRESSION", "PORT"}
    assert stacks["AWS_LWA_ENABLE_COMPRESSION"] == "false"

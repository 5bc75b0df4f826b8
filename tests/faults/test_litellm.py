"""LiteLLM's proxy as the provider, for real: its mock answers need no key, and behind it is the scripted model."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from functions.chat_stream import buds
from functions.common.records import TurnFinished
from local.model import wire
from local.model.script import ScriptedModel, done, error_object, finish, reasoning, status, token
from tests.support.chat import Api
from tests.support.litellm import MASTER_KEY, proxy
from tests.support.system import System

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.xdist_group("litellm")]
FAILING = {
    "context": "litellm.ContextWindowExceededError",
    "busy": "litellm.RateLimitError",
    "down": "litellm.InternalServerError",
}
UNPAID = {"error": {"message": "You exceeded your current quota", "type": "insufficient_quota", "code": "insufficient_quota"}}


@dataclass(frozen=True, slots=True)
class Gateway:
    """`url` is the proxy's, `model` the provider behind it."""

    url: str
    model: ScriptedModel
    names: tuple[str, ...]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with ScriptedModel() as model, ScriptedModel() as unpaid:
        unpaid.always_plays(status(429, body=UNPAID))

        def entry(name: str, provider: str, **more: Any) -> dict[str, Any]:
            to = {"model": provider, "api_key": "none", "api_base": model.url}
            return {"model_name": name, "litellm_params": {**to, **more}}

        entries = [
            entry("mock", "openai/gpt-4o", mock_response="An answer from the proxy itself."),
            *(entry(name, "openai/gpt-4o", mock_response=error) for name, error in FAILING.items()),
            *(entry(name, f"openai/{name}") for name in ("gpt-5-mini", "gpt-4o", wire.REASONING_MODEL)),
            entry("unpaid", "openai/gpt-4o", api_base=unpaid.url),
            entry("thinks", "deepseek/deepseek-reasoner"),
        ]
        with proxy(entries, Path(tmp_path_factory.mktemp("litellm"))) as url:
            yield Gateway(url, model, (*(one["model_name"] for one in entries), "nobody-s"))


@pytest.fixture
def api(gateway: Gateway, chat_system: System) -> Api:
    return serve(gateway, chat_system, MASTER_KEY)


def serve(gateway: Gateway, system: System, key: str) -> Api:
    return system.serve(
        OPENAI_BASE_URL=gateway.url, OPENAI_API_KEY=key, DEFAULT_MODEL="mock", MODELS=",".join(gateway.names),
        CHAT_RECEIPT_WAIT_S="0.05", CHAT_FIRST_TOKEN_S="60", CHAT_STALL_S="60",
    )  # fmt: skip


def test_an_answer_comes_through_it_with_its_count(api: Api) -> None:
    stream = api.say("hi")

    assert (stream.text, stream.last["type"], stream.last["finishReason"]) == (
        "An answer from the proxy itself.", "complete", "stop",
    )  # fmt: skip
    assert stream.last["usage"]["totalTokens"] > 0


@pytest.mark.parametrize("model", ["gpt-5-mini", wire.REASONING_MODEL])
def test_every_shipped_assistant_is_answered_where_the_proxy_or_who_is_behind_it_takes_no_temperature(
    gateway: Gateway, api: Api, model: str
) -> None:
    shipped = sorted(path.stem for path in buds.FOLDER.glob("*.toml"))
    assert len(shipped) >= 3
    for bud in [*shipped, *shipped]:
        stream = api.say("hi", budId=bud, model=model)

        assert stream.last["type"] == "complete", (bud, stream.last)
        assert stream.text
        assert stream.last["usage"]["totalTokens"] > 0
    assert "temperature" not in gateway.model.requests[-1].body


def test_reasoning_comes_through_it(gateway: Gateway, api: Api) -> None:
    gateway.model.plays(reasoning("Hm"), token("Yes"), finish(), done())

    stream = api.say("why?", model="thinks")

    assert "".join(seen.event["content"] for seen in stream.events if seen.type == "reasoning") == "Hm"
    assert stream.text == "Yes"


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("context", "context_too_long"),
        ("busy", "model_rate_limited"),
        ("down", "model_unavailable"),
        ("nobody-s", "model_misconfigured"),
        ("unpaid", "model_misconfigured"),
    ],
)
def test_what_it_or_its_provider_complains_of_is_understood(api: Api, model: str, code: str) -> None:
    stream = api.say("hi", model=model)

    assert (stream.last["type"], stream.last["code"]) == ("error", code)


def test_a_key_that_it_does_not_know_is_the_operator_s_to_mend(gateway: Gateway, chat_system: System) -> None:
    stream = serve(gateway, chat_system, "sk-another").say("hi")

    assert stream.last["code"] == "model_misconfigured"


def test_a_failure_in_the_middle_keeps_what_was_said(gateway: Gateway, chat_system: System, api: Api) -> None:
    gateway.model.plays(token("so far"), error_object("server_error", "boom"))

    stream = api.say("hi", model="gpt-4o")

    assert (stream.text, stream.last["code"], stream.last["partial"]) == ("so far", "model_unavailable", True)
    (finished,) = [record for record in chat_system.queued() if isinstance(record, TurnFinished)]
    assert (finished.answer.content, finished.answer.status) == ("so far", "failed")

"""The embedded model, asked by the official client."""

import time
from collections.abc import Iterator

import openai
import pytest
from openai.types.chat import ChatCompletionChunk

from local.model.script import (
    Pace,
    ScriptedModel,
    cut,
    done,
    error_object,
    finish,
    reasoning,
    stall,
    status,
    token,
    usage,
)


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel() as started:
        yield started


@pytest.fixture
def client(model: ScriptedModel) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=model.url, api_key="key", max_retries=0, timeout=5) as made:
        yield made


def stream(client: openai.OpenAI, question: str = "hi") -> Iterator[ChatCompletionChunk]:
    return iter(
        client.chat.completions.create(
            model="demo",
            messages=[{"role": "user", "content": question}],
            stream=True,
            stream_options={"include_usage": True},
        )
    )


def text_of(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def test_a_streamed_answer_has_the_role_first_and_the_usage_last(client: openai.OpenAI) -> None:
    chunks = list(stream(client))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == len(chunks) - 3
    assert text_of(chunks).startswith("Hello!")


def test_the_same_question_gets_the_same_answer_streamed_or_not(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="demo", messages=[{"role": "user", "content": "Why is the sea salty?"}])
    assert whole.choices[0].message.content == text_of(list(stream(client, "Why is the sea salty?")))
    assert "salty" in str(whole.choices[0].message.content)
    assert whole.usage is not None
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens


def test_max_tokens_cuts_the_answer_and_says_length(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="demo", messages=[{"role": "user", "content": "hi"}], max_completion_tokens=2)
    assert whole.choices[0].message.content == "Hello!"
    assert whole.choices[0].finish_reason == "length"


def test_the_pace_decides_when_the_first_token_comes_and_how_many_follow() -> None:
    with (
        ScriptedModel(Pace(ttft_s=0.2, delay_s=0.01, tokens=40)) as model,
        openai.OpenAI(base_url=model.url, api_key="k") as client,
    ):
        began = time.monotonic()
        chunks = list(stream(client))
        took = time.monotonic() - began
        times = model.requests[0].sent_at
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 40
    assert times[0] - model.requests[0].arrived >= 0.2
    assert took >= 0.2 + 39 * 0.01


def test_models_are_listed(client: openai.OpenAI) -> None:
    assert [one.id for one in client.models.list()] == ["demo"]


def test_a_request_without_messages_is_refused_as_the_provider_would(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="non-empty array"):
        client.chat.completions.create(model="demo", messages=[])


def test_an_unknown_path_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="demo", input="x")


def test_a_script_is_played_step_by_step(model: ScriptedModel, client: openai.OpenAI) -> None:
    model.plays(reasoning("Hm."), token("Hel"), token("lo"), finish("stop"), usage(5, 7), done())
    chunks = list(stream(client))
    assert text_of(chunks) == "Hello"
    assert chunks[1].choices[0].delta.to_dict()["reasoning_content"] == "Hm."
    assert chunks[-1].usage is not None
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (5, 7)


def test_a_scripted_429_carries_its_headers(model: ScriptedModel, client: openai.OpenAI) -> None:
    model.plays(status(429, headers={"retry-after": "7"}))
    with pytest.raises(openai.RateLimitError) as caught:
        list(stream(client))
    assert caught.value.response.headers["retry-after"] == "7"


def test_each_script_is_for_one_request_and_the_client_may_retry(model: ScriptedModel) -> None:
    model.plays(status(500, headers={"retry-after-ms": "1"}))
    model.plays(token("second"), finish(), done())
    with openai.OpenAI(base_url=model.url, api_key="k", max_retries=1) as client:
        assert text_of(list(stream(client))) == "second"
    assert len(model.requests) == 2


def test_always_plays_is_for_every_request_without_a_script(model: ScriptedModel, client: openai.OpenAI) -> None:
    model.always_plays(token("again"), finish(), done())
    assert [text_of(list(stream(client))) for _ in range(2)] == ["again", "again"]


def test_an_error_inside_a_200_reaches_the_client_as_an_error(model: ScriptedModel, client: openai.OpenAI) -> None:
    model.plays(token("Hel"), error_object("rate_limit_exceeded", "slow down"))
    with pytest.raises(openai.APIError, match="slow down"):
        list(stream(client))


def test_a_cut_breaks_the_connection_after_what_was_sent(model: ScriptedModel, client: openai.OpenAI) -> None:
    model.plays(token("Hel"), cut())
    chunks = stream(client)
    seen = [next(chunks), next(chunks)]
    with pytest.raises(openai.APIConnectionError):
        next(chunks)
    assert text_of(seen) == "Hel"


def test_a_client_that_leaves_is_noticed(model: ScriptedModel) -> None:
    model.plays(token("Hel"), stall())
    with openai.OpenAI(base_url=model.url, api_key="k") as client:
        chunks = stream(client)  # held: a dropped iterator would close the connection
        next(chunks)
        assert not model.closed
    assert model.wait_closed() is model.requests[0]


def test_requests_are_recorded_as_they_came(model: ScriptedModel, client: openai.OpenAI) -> None:
    before = time.monotonic()
    list(stream(client, "remember me"))
    request = model.wait_for_request()
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == "Bearer key"
    assert request.body["messages"] == [{"role": "user", "content": "remember me"}]
    assert before <= request.arrived <= request.sent_at[0]
    assert request.answered.wait(10)


def test_waiting_for_a_request_that_does_not_come_says_so(model: ScriptedModel) -> None:
    with pytest.raises(TimeoutError, match="request 1 did not arrive"):
        model.wait_for_request(timeout=0.01)

"""How providers really answer: one table row for each thing one of them does, played by a scripted server on a real socket.

`source` says where that is known from: a provider's documentation, or a thread about its server.
"""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.chat_stream import buds, errors
from functions.chat_stream.asking import Asking, arranged
from functions.chat_stream.chunks import Answer, Piece
from functions.chat_stream.deadline import Deadline
from functions.chat_stream.model import Completion, Model
from functions.chat_stream.reports import ORDER_OF_MESSAGES, SYSTEM_MESSAGES, ProviderError, Report, failure, refused
from functions.chat_stream.settings import ModelSettings
from functions.chat_stream.thinking import ThinkTags
from functions.chat_stream.transport import Asked
from functions.common.events import Reasoning, Token
from functions.common.records import TurnFinished, TurnStarted
from local.model import wire
from local.model.http import Request
from local.model.pace import INSTANT
from local.model.script import ScriptedModel, Step, done, finish, raw, status, token, usage
from local.model.server import ModelServer, listen
from local.model.steps import Stage
from tests.support.chat import Api, Stream, user
from tests.support.providers.answers import ANSWERS, Says
from tests.support.providers.failures import FAILURES, TOO_LONG, Fails
from tests.support.providers.refusals import ALL_OF_THEM, REFUSALS, Refuses
from tests.support.providers.rows import WHOLE, delta, document, escaped, event, openai_error, says, stream
from tests.support.system import System


def ids(row: object) -> str:
    return str(row)


@pytest.fixture
def server() -> Iterator[ScriptedModel]:
    with ScriptedModel() as started:
        yield started


@dataclass
class Heard:
    """What came of one completion."""

    pieces: list[Piece] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(piece.content for piece in self.pieces if isinstance(piece, Token))

    @property
    def reasoning(self) -> str:
        return "".join(piece.content for piece in self.pieces if isinstance(piece, Reasoning))


async def key() -> str:
    return "sk-test"


async def ask(
    model: Model,
    heard: Heard | None = None,
    parameters: Mapping[str, Any] | None = None,
    prompt: Any = ({"role": "user", "content": "hi"},),
) -> Completion:
    completion = model.ask("m", prompt, parameters, Asked(asyncio.Event(), Deadline.after(20)))
    await completion.relay((heard or Heard()).pieces.extend)
    return completion


# --- answers ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", ANSWERS, ids=ids)
async def test_an_answer_is_read_as_its_provider_writes_it(server: ScriptedModel, row: Says) -> None:
    server.plays(row.step)
    model, heard = Model(server.url, key, ["m"] if row.thinks else []), Heard()

    completion = await ask(model, heard)
    await model.close()

    assert (heard.text, heard.reasoning, completion.finish_reason) == (row.text, row.reasoning, row.finish_reason)
    assert (completion.usage.total_tokens if completion.usage else None) == row.tokens
    assert len(server.requests) == 1


@pytest.mark.parametrize("row", [row for row in ANSWERS if isinstance(row.body, bytes)], ids=ids)
def test_and_the_same_with_a_read_for_each_byte(row: Says) -> None:
    assert isinstance(row.body, bytes)
    answer, pieces = Answer(row.thinks), list[Piece]()
    for number in range(len(row.body)):
        answer.read(row.body[number : number + 1], pieces)
    answer.close(pieces)

    heard = Heard(pieces)
    assert (heard.text, heard.reasoning, answer.finish_reason) == (row.text, row.reasoning, row.finish_reason)


@settings(max_examples=60)
@given(st.text(max_size=12), st.lists(st.integers(0, 40), max_size=6), st.sampled_from(["content", "reasoning"]))
def test_any_text_survives_being_cut_between_any_two_code_units(text: str, cuts: list[int], name: str) -> None:
    units = [f"\\u{int.from_bytes(pair, 'little'):04x}" for pair in pairs(text.encode("utf-16-le", "surrogatepass"))]
    bounds = sorted({0, len(units), *(cut for cut in cuts if cut < len(units))})
    answer, pieces = Answer(thinks=False), list[Piece]()
    for begin, end in pairwise(bounds):
        said = "".join(units[begin:end])
        answer.read(escaped(**{name: said}), pieces)
    answer.read(event("[DONE]"), pieces)
    answer.close(pieces)

    heard = Heard(pieces)
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    assert heard.text + heard.reasoning == whole
    assert all(piece.content.encode() for piece in pieces), "each piece is text by itself"


def pairs(data: bytes) -> Iterator[bytes]:
    return (data[at : at + 2] for at in range(0, len(data), 2))


@given(st.lists(st.sampled_from(["<think>", "</think>", "<", "th", "ink>", "a", " ", "\n", "/"]), max_size=12))
def test_tags_mean_the_same_wherever_the_deltas_are_cut(parts: list[str]) -> None:
    whole, cut_up, single = ThinkTags(), ThinkTags(), ThinkTags()
    text = "".join(parts)
    results = [added(tags, pieces) for tags, pieces in ((whole, [text]), (cut_up, parts), (single, list(text)))]

    assert results[0] == results[1] == results[2]
    if not text.lstrip().startswith("<think>"):
        assert results[0] == ("", text)


def added(tags: ThinkTags, parts: list[str]) -> tuple[str, str]:
    fed = [tags.feed(part) for part in parts] + [tags.rest()]
    return "".join(reasoning for reasoning, _ in fed), "".join(text for _, text in fed)


async def test_only_the_models_that_are_said_to_think_in_tags_have_them_read(server: ScriptedModel) -> None:
    server.always_plays(token("<think>Hm</think>Yes"), finish(), done())
    for names, text in ((["m"], "Yes"), (["other", "*"], "Yes"), (["other"], "<think>Hm</think>Yes")):
        model, heard = Model(server.url, key, names), Heard()
        await ask(model, heard)
        await model.close()
        assert heard.text == text


# --- failures ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", FAILURES, ids=ids)
async def test_a_complaint_is_understood_as_its_provider_writes_it(
    server: ScriptedModel, row: Fails, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anyio.sleep", lambda _: asyncio.sleep(0))  # what the model's client pauses by
    server.always_plays(row.step)
    model, heard = Model(server.url, key), Heard()

    with pytest.raises(errors.ModelFailed) as caught:
        await ask(model, heard)
    await model.close()

    assert type(caught.value) is row.error
    assert heard.text == row.text
    assert len(server.requests) == row.requests


NAMES: Final = st.sampled_from(["error", "message", "code", "type", "param", "detail", "loc", "details", "status"])
LEAVES: Final = st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.sampled_from(["model", "temperature"])
DOCUMENTS: Final = st.recursive(
    LEAVES, lambda inside: st.lists(inside, max_size=3) | st.dictionaries(NAMES, inside, max_size=4), max_leaves=12
)


@given(st.none() | st.integers(400, 599), DOCUMENTS)
def test_no_error_document_whatever_is_in_it_breaks_anything(number: int | None, body: Any) -> None:
    report = Report.of(number, body)
    assert isinstance(failure(report), errors.ModelFailed)
    assert refused(report, ["temperature", "stream_options"]) is not None


def test_what_a_reader_is_told_names_nobodys_key_and_says_whose_fault_it_is_not() -> None:
    kinds = [errors.WrongKey, errors.NoKey, errors.UnknownModel, errors.NoCredit, errors.ParameterRefused]

    assert {kind.code for kind in kinds} == {"model_misconfigured"}
    assert len({kind.reason for kind in kinds}) == len(kinds), "each has its own for the operator"
    for kind in kinds:
        assert "not your fault" in kind.sentence
        assert not any(word in kind.sentence.lower() for word in ("key", "credit", "api"))


# --- what is refused of a request -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", REFUSALS, ids=ids)
async def test_a_parameter_that_a_provider_refuses_is_left_out_at_once_and_from_there_on(
    server: ScriptedModel, row: Refuses
) -> None:
    server.plays(says(row.number, row.body))
    answered = document(WHOLE) if "stream" in row.left_out else raw(stream(delta("yes", finish_reason="stop")))
    server.always_plays(answered)
    model, heard = Model(server.url, key), Heard()

    await ask(model, heard, ALL_OF_THEM)
    assert heard.text, "answered, in the same turn"
    assert len(server.requests) == 2
    await ask(model, heard, ALL_OF_THEM)
    await model.close()

    first, again, later = (request.body for request in server.requests)
    assert ALL_OF_THEM.keys() | {"stream_options"} <= first.keys()
    for body in (again, later):
        assert row.left_out.isdisjoint(body)
        assert (row.sent_instead is None) or body[row.sent_instead] == ALL_OF_THEM["max_completion_tokens"]
    kept = (first.keys() - row.left_out) | ({row.sent_instead} if row.sent_instead else set())
    assert later.keys() == kept, "what it did not refuse, it is sent"
    assert [body["messages"] for body in (again, later)] == [first["messages"]] * 2


def refusing(*names: str) -> Callable[[Request], tuple[Step, ...]]:
    """Plays a provider that names the first parameter it finds and does not take, as OpenAI's does."""

    def script(request: Request) -> tuple[Step, ...]:
        for name in names:
            if name in request.body:
                return (says(400, openai_error(f"Unsupported parameter: '{name}'", "unsupported_parameter", name)),)
        return (token("yes"), finish(), done())

    return script


def playing(server: ScriptedModel, script: Callable[[Request], tuple[Step, ...]]) -> None:
    async def play(stage: Stage) -> None:
        for step in script(stage.reply.request):
            await step(stage)

    server.always_plays(play)


async def test_of_several_refused_parameters_each_turn_finds_one_and_is_answered(server: ScriptedModel) -> None:
    names = ("temperature", "top_p", "reasoning_effort", "max_completion_tokens")
    playing(server, refusing(*names))
    model = Model(server.url, key)

    for turn in range(1, len(names) + 2):
        heard, before = Heard(), len(server.requests)
        await ask(model, heard, ALL_OF_THEM)
        assert heard.text == "yes"
        assert len(server.requests) - before == (2 if turn <= len(names) else 1), f"turn {turn}"
    await model.close()


async def test_a_second_kind_of_refusal_ends_the_turn_and_the_next_one_is_answered(server: ScriptedModel) -> None:
    playing(server, refusing("temperature", "stream_options"))
    model, heard = Model(server.url, key), Heard()

    with pytest.raises(errors.ParameterRefused) as caught:
        await ask(model, heard, {"temperature": 0.2})
    assert caught.value.retryable
    assert len(server.requests) == 2, "asked once more, and not again"
    await ask(model, heard, {"temperature": 0.2})
    await model.close()
    assert (heard.text, len(server.requests)) == ("yes", 3)


@pytest.mark.parametrize(
    "body",
    [
        openai_error("Invalid 'messages[0].content': temperature and top_p are words in it", param="messages[0].content"),
        openai_error("Invalid schema", param="response_format"),
        {"detail": [{"loc": ["body", "messages", 0, "user", "name"], "msg": "the temperature of it"}]},
        openai_error("The prompt about the temperature was filtered", "content_filter", "prompt"),
    ],
)
async def test_a_refusal_of_what_the_request_needs_is_no_reason_to_ask_again(server: ScriptedModel, body: Any) -> None:
    server.always_plays(says(400, body))
    model = Model(server.url, key)

    with pytest.raises(errors.ModelRefused):
        await ask(model, None, ALL_OF_THEM)
    await model.close()

    assert len(server.requests) == 1


async def test_what_was_named_for_another_reason_is_asked_for_again_in_the_next_turn(server: ScriptedModel) -> None:
    server.plays(says(400, openai_error("No answer about the temperature")))
    server.plays(says(400, openai_error("No answer about the temperature")))
    playing(server, refusing())
    model = Model(server.url, key)

    with pytest.raises(errors.ModelRefused):
        await ask(model, None, {"temperature": 0.2})
    assert len(server.requests) == 2
    await ask(model, None, {"temperature": 0.2})
    await model.close()

    assert "temperature" in server.requests[-1].body


async def test_what_one_model_refuses_another_is_still_asked_for(server: ScriptedModel) -> None:
    playing(server, refusing("temperature"))
    model = Model(server.url, key)
    for name in ("one", "other", "one"):
        completion = model.ask(name, [user("hi")], {"temperature": 0.2}, Asked(asyncio.Event(), Deadline.after(20)))
        await completion.relay(lambda _: None)
    await model.close()

    assert ["temperature" in request.body for request in server.requests] == [True, False, True, False, False]


# --- whose turn it is -------------------------------------------------------------------------------------------------------

ROLES: Final = st.sampled_from(["system", "user", "assistant"])
PROMPTS: Final = st.lists(ROLES, min_size=1, max_size=8).map(
    lambda roles: [{"role": role, "content": f"{number}"} for number, role in enumerate([*roles, "user"])]
)


@given(PROMPTS)
def test_neighbours_of_one_role_are_one_message_and_no_word_is_lost(prompt: list[dict[str, str]]) -> None:
    sent = arranged(prompt)

    assert all(one["role"] != other["role"] for one, other in pairwise(sent))
    assert "\n\n".join(message["content"] for message in sent) == "\n\n".join(message["content"] for message in prompt)


@given(PROMPTS)
def test_for_a_provider_that_wants_roles_in_turn_users_and_assistants_alternate_behind_one_system_message(
    prompt: list[dict[str, str]],
) -> None:
    sent = arranged(prompt, frozenset({ORDER_OF_MESSAGES}))
    roles = [message["role"] for message in sent]
    without = [message["role"] for message in arranged(prompt, frozenset({SYSTEM_MESSAGES}))]

    turns = roles[1:] if roles[0] == "system" else roles
    assert turns == ["user", "assistant"] * (len(turns) // 2) + ["user"]
    assert without == ["user", "assistant"] * (len(without) // 2) + ["user"]
    for message in prompt:
        assert message["content"] in "".join(one["content"] for one in sent)


IN_TURN: Final = "After the optional system message, conversation roles must alternate user and assistant"
STRICT: Final = [
    # vllm-project/vllm#6862
    (400, {"object": "error", "message": f"{IN_TURN}/", "type": "BadRequestError", "param": None, "code": 400}),
    # mistralai/mistral-vibe#1006: llama.cpp with the template of Devstral
    (500, {"error": {"code": 500, "message": f"Jinja Exception: {IN_TURN} roles.", "type": "server_error"}}),
    # Mistral's API
    (
        400,
        {"message": "Unexpected role 'system' after role 'assistant'", "type": "invalid_request_message_order", "code": "3230"},
    ),
]


@pytest.mark.parametrize(("number", "body"), STRICT)
async def test_a_provider_that_wants_the_user_first_gets_the_greeting_as_a_system_message(
    server: ScriptedModel, number: int, body: Any
) -> None:
    prompt = [{"role": "system", "content": "Be kind."}, {"role": "assistant", "content": "Hello!"}, user("a"), user("b")]

    def script(request: Request) -> tuple[Step, ...]:
        roles = [message["role"] for message in request.body["messages"] if message["role"] != "system"]
        return (token("yes"), finish(), done()) if roles[0] == "user" else (says(number, body),)

    playing(server, script)
    model, heard = Model(server.url, key), Heard()
    await ask(model, heard, ALL_OF_THEM, prompt)
    await ask(model, heard, ALL_OF_THEM, prompt)
    await model.close()

    assert heard.text == "yesyes"
    assert len(server.requests) == 3
    again = server.requests[1].body
    assert [message["role"] for message in again["messages"]] == ["system", "user"]
    assert "Hello!" in again["messages"][0]["content"]
    assert ALL_OF_THEM.keys() <= again.keys(), "no parameter was refused"


@pytest.mark.parametrize(
    "body",
    [
        openai_error(
            "Unsupported value: 'messages[0].role' does not support 'system' with this model.", param="messages[0].role"
        ),
        {"error": {"code": 500, "message": "Jinja Exception: System role not supported", "type": "server_error"}},
    ],
    ids=["OpenAI's o1-mini", "Gemma's template"],
)
async def test_a_model_without_a_system_role_is_told_by_the_user(server: ScriptedModel, body: Any) -> None:
    server.plays(says(400, body))
    playing(server, refusing())
    model = Model(server.url, key)
    await ask(model, None, {}, [{"role": "system", "content": "Be kind."}, user("hi")])
    await model.close()

    assert [dict(message) for message in server.requests[-1].body["messages"]] == [user("Be kind.\n\nhi")]


def test_an_asking_without_parameters_is_what_every_provider_takes() -> None:
    assert Asking("m", [user("hi")]).body() == {
        "model": "m",
        "messages": [user("hi")],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


# --- the whole way ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def api(chat_system: System) -> Api:
    return chat_system.serve(RECEIPT_WAIT_S="0.05")


def saved(system: System) -> TurnFinished:
    (finished,) = [record for record in system.queued() if isinstance(record, TurnFinished)]
    return finished


def test_an_emoji_cut_in_two_is_whole_on_the_page_in_the_queue_and_when_it_is_resumed(chat_system: System, api: Api) -> None:
    row = next(row for row in ANSWERS if row.what.startswith("cuts emojis"))
    chat_system.model.plays(row.step)

    seen = api.say("hi")

    assert (seen.text, seen.last["type"]) == (row.text, "complete")
    answer = saved(chat_system).answer
    assert (answer.content, answer.reasoning) == (row.text, row.reasoning)
    assert api.resume(seen.last["turnId"]).text == row.text


def test_a_whole_answer_in_place_of_a_stream_is_shown_and_stored(chat_system: System, api: Api) -> None:
    chat_system.model.plays(document(WHOLE))

    seen = api.say("hi")

    assert (seen.text, seen.last["finishReason"], seen.last["usage"]["totalTokens"]) == ("whole", "stop", 7)
    assert saved(chat_system).answer.content == "whole"


def begun(system: System) -> TurnStarted:
    (started,) = [record for record in system.queued() if isinstance(record, TurnStarted)]
    return started


def test_after_a_failed_turn_the_provider_sees_one_message_and_the_store_has_two(chat_system: System, api: Api) -> None:
    chat_system.model.plays(status(400))
    chat_system.model.plays(token("yes"), finish(), done())
    assert api.say("first").last["code"] == "model_refused"
    failed = begun(chat_system)
    first = failed.messages[0]

    body = {"messages": [user("first", id=first.id), user("second")], "parentId": first.id}
    seen = api.post(body, failed.turn.conversation_id)

    assert seen.text == "yes"
    assert [message["content"] for message in chat_system.model.requests[-1].body["messages"][1:]] == ["first\n\nsecond"]
    assert [message.content for message in begun(chat_system).messages] == ["second"]


@pytest.mark.parametrize(
    ("step", "code", "reason"),
    [
        (says(401, openai_error("Incorrect API key provided: sk-test", "invalid_api_key")), "model_misconfigured", "wrong_key"),
        (says(404, openai_error("The model does not exist", "model_not_found")), "model_misconfigured", "unknown_model"),
        (says(429, openai_error("secret words", "insufficient_quota")), "model_misconfigured", "no_credit"),
        (says(400, openai_error(TOO_LONG, "context_length_exceeded")), "context_too_long", "context_too_long"),
        (says(400, openai_error("secret words", "content_filter")), "model_refused", "content_filter"),
    ],
)
def test_the_reader_is_told_the_code_and_the_operator_the_reason(
    chat_system: System, api: Api, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str],
    step: Step, code: str, reason: str,
) -> None:  # fmt: skip
    chat_system.model.always_plays(step)

    seen: Stream = api.say("hi")

    assert (seen.last["code"], seen.last["retryable"], seen.last["partial"]) == (code, False, False)
    assert len(chat_system.model.requests) == 1
    assert saved(chat_system).answer.error == code
    printed = capsys.readouterr().out
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    assert [line["reason"] for line in lines if line.get("ModelFailures")] == [reason]
    (told,) = [record for record in caplog.records if record.msg == "the model failed"]
    assert (told.__dict__["code"], told.__dict__["reason"] or code) == (code, reason)
    for word in ("secret words", "sk-test", "maximum context"):
        assert word not in printed
        assert word not in json.dumps(seen.last)


def test_a_key_that_the_secret_does_not_hold_is_the_operator_s_to_mend(
    chat_system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    api = chat_system.serve(RECEIPT_WAIT_S="0.05", OPENAI_API_KEY="", MODEL_KEY_SECRET="no-such-secret")

    seen = api.say("hi")

    assert (seen.last["code"], seen.last["retryable"]) == ("model_misconfigured", False)
    assert '"reason":"no_key"' in capsys.readouterr().out
    assert chat_system.model.requests == []


def test_the_models_that_think_in_tags_are_a_setting(chat_system: System) -> None:
    chat_system.model.always_plays(token("<think>Hm"), token("</think>Yes"), finish(), usage(1, 2), done())
    api = chat_system.serve(RECEIPT_WAIT_S="0.05", CHAT_THINK_MODELS="test-model")

    assert api.say("hi").text == "Yes"
    assert api.say("hi", model="other-model").text == "<think>Hm</think>Yes"


# --- the shipped assistants -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Embedded:
    """The embedded model, as `make run` has it."""

    url: str
    requests: list[Request]


@pytest.fixture
async def embedded() -> Any:
    requests: list[Request] = []

    def listened(request: Request) -> None:
        requests.append(request)

    listener, end = listen(), asyncio.Event()
    running = asyncio.create_task(ModelServer(INSTANT, listened, models=["demo", wire.REASONING_MODEL]).run(listener, end))
    yield Embedded(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", requests)
    end.set()
    await running


@pytest.mark.parametrize("name", ["demo", wire.REASONING_MODEL])
async def test_every_shipped_assistant_is_answered_by_a_model_that_takes_no_temperature(embedded: Embedded, name: str) -> None:
    shipped = buds.load(buds.FOLDER, ModelSettings(embedded.url, "none", None, name, (name,)))
    assert any("temperature" in bud.parameters for bud in shipped.values())
    model = Model(embedded.url, key)

    for bud in [*shipped.values(), *shipped.values()]:
        heard = Heard()
        prompt = [*({"role": "system", "content": text} for text in bud.system), user("hi")]
        completion = model.ask(name, prompt, bud.parameters, Asked(asyncio.Event(), Deadline.after(20)))
        await completion.relay(heard.pieces.extend)
        assert heard.text, bud.id
        assert completion.usage is not None
    await model.close()

    refusals = len(embedded.requests) - 2 * len(shipped)
    assert refusals == (1 if name == wire.REASONING_MODEL else 0), "only the first turn pays"


def test_an_error_object_is_a_provider_error_before_it_is_anything_else() -> None:
    with pytest.raises(ProviderError) as caught:
        Answer(thinks=False).read(event({"error": {"code": 402, "message": "x"}}), [])
    assert caught.value.report.status == 402

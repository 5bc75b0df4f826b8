"""The model misbehaves: retried before the first token only, never `complete` by mistake, and what was said is saved."""

import asyncio
import json
import socket
import time
from email.utils import formatdate
from typing import Any

import anyio
import httpx2
import pytest

from functions.chat_stream import errors
from functions.chat_stream.deadline import Deadline
from functions.chat_stream.direct import DirectTransport
from functions.chat_stream.model import Completion, Model
from functions.chat_stream.transport import Asked
from functions.common.records import TurnFinished
from local.model import wire
from local.model.script import (
    ScriptedModel,
    Step,
    cut,
    cut_after,
    done,
    drip,
    endless,
    error_object,
    finish,
    headers_now,
    raw,
    stall,
    status,
    token,
    usage,
)
from tests.support.chat import Api, Stream
from tests.support.system import System


@pytest.fixture
def api(chat_system: System) -> Api:
    return chat_system.serve(CHAT_RECEIPT_WAIT_S="0.05", CHAT_STALL_S="0.4", CHAT_FIRST_TOKEN_S="0.6")


def saved_answer(system: System) -> TurnFinished:
    (finished,) = [record for record in system.queued() if isinstance(record, TurnFinished)]
    return finished


def assert_failed(stream: Stream, code: str, partial: bool) -> None:
    assert stream.events[0].type == "start"
    assert (stream.last["type"], stream.last["code"], stream.last["partial"]) == ("error", code, partial)
    assert [seen.type for seen in stream.events].count("error") == 1
    assert "complete" not in stream.types


@pytest.mark.parametrize(
    ("answer", "code", "requests"),
    [
        (status(429), "model_rate_limited", 3),
        (status(500), "model_unavailable", 3),
        (status(503), "model_unavailable", 3),
        (status(400), "model_refused", 1),
        (status(401), "model_misconfigured", 1),
        (status(404), "model_misconfigured", 1),
    ],
)
def test_an_error_before_the_first_token_is_retried_at_most_twice(
    chat_system: System, answer: Step, code: str, requests: int
) -> None:
    chat_system.model.always_plays(answer)

    stream = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.05").say("hi")

    assert_failed(stream, code, partial=False)
    assert stream.last["retryable"] is (code not in {"model_refused", "model_misconfigured"})
    assert len(chat_system.model.requests) == requests
    assert saved_answer(chat_system).answer.error == code


def test_a_retry_that_works_goes_unnoticed(chat_system: System) -> None:
    chat_system.model.plays(status(429, headers={"retry-after": "0"}))
    chat_system.model.plays(status(500))
    chat_system.model.plays(token("at last"), finish(), done())

    stream = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.05").say("hi")

    assert (stream.text, stream.last["type"]) == ("at last", "complete")


def test_retry_after_is_honoured(chat_system: System) -> None:
    chat_system.model.plays(status(429, headers={"retry-after": "1"}))
    chat_system.model.plays(token("ok"), finish(), done())

    chat_system.serve(CHAT_RECEIPT_WAIT_S="0.05").say("hi")

    first, second = chat_system.model.requests
    assert second.arrived - first.arrived >= 0.95


@pytest.mark.parametrize("retry_after", ["100", "date", "ms"])
def test_a_retry_after_that_outlasts_the_turns_patience_is_an_error_at_once(chat_system: System, retry_after: str) -> None:
    in_100_s = {"ms": {"retry-after-ms": "100000"}, "date": {"retry-after": formatdate(time.time() + 100, usegmt=True)}}
    chat_system.model.always_plays(status(429, headers=in_100_s.get(retry_after, {"retry-after": retry_after})))

    stream = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.05", CHAT_FIRST_TOKEN_S="20").say("hi")

    assert_failed(stream, "model_rate_limited", partial=False)
    assert len(chat_system.model.requests) == 1
    assert stream.events[-1].at - stream.began < 10, "the client of the model would have waited for 20 s, and for nothing"


def test_no_retry_begins_behind_the_wait_for_a_first_token(chat_system: System) -> None:
    chat_system.model.always_plays(status(500))

    stream = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.05", CHAT_FIRST_TOKEN_S="0.3").say(
        "hi"
    )  # the first pause is at least 0.375 s

    assert_failed(stream, "model_timeout", partial=False)
    assert len(chat_system.model.requests) == 1


def test_the_pauses_before_retries_are_drawn_by_chance(chat_system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    chat_system.model.always_plays(status(503))
    pauses: list[float] = []

    async def noted(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(anyio, "sleep", noted)  # what the model's client pauses by
    api = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.05")
    for _ in range(5):
        assert_failed(api.say("hi"), "model_unavailable", partial=False)

    assert len(pauses) == len(set(pauses)) == 10, "two a turn, no two alike"
    assert all(0.375 <= pause <= 0.5 for pause in pauses[::2])
    assert all(0.75 <= pause <= 1.0 for pause in pauses[1::2])


def test_a_provider_that_refuses_the_connection_is_tried_three_times_and_unavailable(
    chat_system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[str] = []
    send = DirectTransport.handle_async_request

    async def counted(transport: DirectTransport, request: httpx2.Request) -> httpx2.Response:
        attempts.append(str(request.url))
        return await send(transport, request)

    monkeypatch.setattr(DirectTransport, "handle_async_request", counted)
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and never listens: nobody else can be there
        nobody = f"http://127.0.0.1:{bound.getsockname()[1]}/v1"
        stream = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.05", OPENAI_BASE_URL=nobody).say("hi")

    assert_failed(stream, "model_unavailable", partial=False)
    assert attempts == [f"{nobody}/chat/completions"] * 3
    assert saved_answer(chat_system).answer.status == "failed"


@pytest.mark.parametrize("number", [301, 302, 303, 307, 308])
def test_a_redirect_of_the_providers_is_not_followed(chat_system: System, number: int) -> None:
    with ScriptedModel() as elsewhere:
        chat_system.model.always_plays(status(number, headers={"location": f"{elsewhere.url}/chat/completions"}))

        stream = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.05").say("hi")

        assert_failed(stream, "model_unavailable", partial=False)
        assert elsewhere.requests == []
    assert len(chat_system.model.requests) == 1


def test_a_failure_after_the_first_token_is_not_retried_and_the_partial_is_saved(chat_system: System, api: Api) -> None:
    chat_system.model.plays(token("so far "), token("so good"), cut())

    stream = api.say("hi")

    assert_failed(stream, "model_cut", partial=True)
    assert len(chat_system.model.requests) == 1
    answer = saved_answer(chat_system).answer
    assert (answer.content, answer.status, answer.error) == ("so far so good", "failed", "model_cut")


@pytest.mark.parametrize("beginning", [[], [headers_now()]], ids=["no headers", "headers only"])
def test_a_model_that_never_begins_times_out(chat_system: System, api: Api, beginning: list[Step]) -> None:
    chat_system.model.plays(*beginning, stall())

    stream = api.say("hi")

    assert_failed(stream, "model_timeout", partial=False)
    chat_system.model.wait_closed()


def test_a_model_that_falls_silent_has_stalled(chat_system: System, api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    chat_system.model.plays(token("so far"), stall())

    stream = api.say("hi")

    assert_failed(stream, "model_stalled", partial=True)
    assert '"reason":"model_stalled","ModelFailures":[1.0]' in capsys.readouterr().out
    assert saved_answer(chat_system).answer.content == "so far"
    chat_system.model.wait_closed()


@pytest.mark.parametrize(("said", "code"), [([], "model_timeout"), ([token("so far")], "model_stalled")])
def test_comments_of_the_model_are_no_sign_of_progress(chat_system: System, api: Api, said: list[Step], code: str) -> None:
    chat_system.model.plays(*said, drip(b": still processing\n\n" * 200, delay_s=0.01))

    stream = api.say("hi")

    assert_failed(stream, code, partial=bool(said))
    chat_system.model.wait_closed()


def test_a_model_that_drips_for_ever_meets_the_deadline(chat_system: System) -> None:
    chat_system.model.plays(endless("drip ", delay_s=0.05))

    stream = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.05", CHAT_TURN_S="6", CHAT_RESERVE_S="5").say("hi")

    assert_failed(stream, "deadline", partial=True)
    assert stream.events[-1].at - stream.began < 6, "the reserve is left for what comes after the deadline"
    assert saved_answer(chat_system).answer.content == stream.text
    chat_system.model.wait_closed()


def test_endless_output_is_truncated_at_the_cap_and_saved(chat_system: System) -> None:
    chat_system.model.plays(endless("é" * 100))

    stream = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.05", CHAT_MAX_ANSWER_BYTES="5001").say("hi")

    assert (stream.last["type"], stream.last["status"], stream.last["finishReason"]) == ("complete", "truncated", "length")
    assert stream.text == "é" * 2500
    assert saved_answer(chat_system).answer.content == stream.text
    chat_system.model.wait_closed()


@pytest.mark.parametrize(
    ("code", "kind", "expected"),
    [
        ("rate_limit_exceeded", "requests", "model_rate_limited"),
        ("server_error", "server_error", "model_unavailable"),
        ("invalid_request", "invalid_request_error", "model_refused"),
    ],
)
def test_an_error_object_inside_a_200_is_an_error(chat_system: System, api: Api, code: str, kind: str, expected: str) -> None:
    chat_system.model.plays(token("so far"), error_object(code, "a sentence of theirs", kind))

    stream = api.say("hi")

    assert_failed(stream, expected, partial=True)
    assert "a sentence of theirs" not in json.dumps(stream.last)


@pytest.mark.parametrize(
    "nonsense",
    [
        b"data: {not json}\n\n",
        b'data: "a string"\n\n',
        b"data: [1,2]\n\n",
        b'data: {"choices": 7}\n\n',
        b'data: {"choices": [{"delta": {"content": 7}}]}\n\n',
        b'data: {"choices": [[]]}\n\n',
        b'data: {"usage": {"prompt_tokens": "many"}, "choices": []}\n\n',
        b'data: {"usage": {"prompt_tokens": 1e999}, "choices": []}\n\n',
        b"data: " + b"[" * 200_000 + b"\n\n",
        b"data: \xff\xfe\n\n",
        b"<html>a gateway's page</html>\n\n",
    ],
)
def test_nonsense_fails_the_turn_and_keeps_the_partial(chat_system: System, api: Api, nonsense: bytes) -> None:
    chat_system.model.plays(token("so far"), raw(nonsense))

    stream = api.say("hi")

    assert_failed(stream, "model_cut", partial=True)
    assert saved_answer(chat_system).answer.content == "so far"


def recorded() -> bytes:
    """A stream as a provider sends it, with two-, three- and four-byte characters in it."""
    completion = wire.Completion("test-model")
    chunks: list[Any] = [
        completion.chunk({"role": "assistant", "content": ""}),
        completion.chunk({"content": "Zoë "}),
        completion.chunk({"content": "☕ 🎈"}),
        completion.chunk({}, "stop"),
        completion.usage_chunk(3, 4),
    ]
    body = b"".join(b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n" for chunk in chunks)
    return body + b"data: [DONE]\n\n"


async def listen(completion: Completion, said: list[str]) -> None:
    await completion.relay(lambda pieces: said.extend(piece.content for piece in pieces))


@pytest.mark.parametrize("proper", [False, True], ids=["cut", "ended properly"])
async def test_a_stream_that_ends_at_any_byte_is_complete_only_if_it_ends_properly_behind_its_finish_reason(proper: bool) -> None:
    body = recorded()
    finished = body.index(b"\n\n", body.index(b'"stop"')) + 2

    async def key() -> str:
        return "sk-test"

    with ScriptedModel() as server:
        model = Model(server.url, key)
        for offset in range(1, len(body) - 1):
            server.plays(*([raw(body[:offset])] if proper else [cut_after(offset), raw(body)]))
            completion = model.ask("test-model", [], None, Asked(asyncio.Event(), Deadline.after(60)))
            said: list[str] = []
            if proper and offset >= finished:
                await listen(completion, said)
                assert (completion.finish_reason, "".join(said)) == ("stop", "Zoë ☕ 🎈"), f"ended at {offset}"
                continue
            with pytest.raises(errors.ModelCut):
                await listen(completion, said)
            assert "Zoë ☕ 🎈".startswith("".join(said)), f"cut at {offset}"
        await model.close()


@pytest.mark.parametrize("end", [b"Zo", "🎈".encode()[:2], b'"finish_reason": "st', b"usage", b"data: [DO"])
def test_a_turn_whose_stream_is_cut_is_never_complete(chat_system: System, api: Api, end: bytes) -> None:
    body = recorded()
    chat_system.model.plays(cut_after(body.index(end) + len(end)), raw(body))

    stream = api.say("hi")

    assert_failed(stream, "model_cut", partial=bool(stream.text))
    assert saved_answer(chat_system).answer.content == stream.text


def test_a_clean_end_without_a_finish_reason_or_an_end_mark_is_a_cut(chat_system: System, api: Api) -> None:
    chat_system.model.plays(token("so far"))

    assert_failed(api.say("hi"), "model_cut", partial=True)


def test_an_end_mark_without_a_finish_reason_is_a_complete_answer(chat_system: System, api: Api) -> None:
    chat_system.model.plays(token("all"), done())

    stream = api.say("hi")

    assert (stream.text, stream.last["type"], stream.last["status"], stream.last["finishReason"]) == (
        "all", "complete", "complete", "stop",
    )  # fmt: skip
    assert saved_answer(chat_system).answer.status == "complete"


def test_a_clean_end_without_done_but_with_a_finish_reason_is_complete(chat_system: System, api: Api) -> None:
    chat_system.model.plays(token("all"), finish(), usage(1, 1))

    stream = api.say("hi")

    assert (stream.last["type"], stream.last["usage"]["totalTokens"]) == ("complete", 2)


def test_odd_but_valid_streams_are_read_right(chat_system: System, api: Api) -> None:
    text = "é\u2028\u0085🎈 end"
    odd = (
        b"\xef\xbb\xbf: a comment\r\n\r\n"
        b"event: message\r\nid: 7\r\nretry: 10\r\n"
        b'data: {"choices":[{"delta":{"role":"assistant"}}]}\r\n\r\n'
        b'data:{"choices":[{"delta":\rdata: {"content":' + json.dumps(text, ensure_ascii=False).encode() + b"}}]}\r\r"
        b': another\n\ndata: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
        b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\ndata: [DONE]\n\n'
    )
    chat_system.model.plays(drip(odd))

    stream = api.say("hi")

    assert (stream.text, stream.last["type"]) == (text, "complete")
    assert stream.last["usage"] == {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}


@pytest.mark.parametrize("count", [-5, 10**50])
def test_a_count_of_tokens_that_cannot_be_is_not_believed(chat_system: System, api: Api, count: int) -> None:
    chat_system.model.plays(token("all"), finish(), raw(completion_usage(count)), raw(b"data: [DONE] \n\n"))

    stream = api.say("hi")

    assert (stream.last["type"], stream.last["usage"]) == ("complete", None)


def completion_usage(count: int) -> bytes:
    return b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":%d}}\n\n' % count


def test_a_piece_that_no_checkpoint_could_hold_is_resumed_whole(chat_system: System) -> None:
    """Control characters are six bytes each in a checkpoint's JSON."""
    chat_system.model.plays(token("\x01" * 100_000), token("."), finish(), done())

    stream = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.05").say("hi")

    assert stream.last["type"] == "complete"
    resumed = chat_system.serve().resume(stream.last["turnId"])
    assert [(seen.id, seen.event) for seen in resumed.events] == [(seen.id, seen.event) for seen in stream.events]
    assert "".join(seen.event["content"] for seen in resumed.events[1:-2]) == "\x01" * 100_000 + "."


def test_half_a_surrogate_pair_in_an_escape_becomes_a_replacement_character(chat_system: System, api: Api) -> None:
    chat_system.model.plays(raw(b'data: {"choices":[{"delta":{"content":"a\\ud83d"},"finish_reason":"stop"}]}\n\n'), done())

    stream = api.say("hi")

    assert (stream.text, stream.last["type"]) == ("a\ufffd", "complete")

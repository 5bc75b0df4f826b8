"""The encoder, the in-memory log and the deadline."""

import json
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.chat_stream import sse
from functions.chat_stream.deadline import LAMBDA_CONTEXT, Deadline
from functions.chat_stream.event_log import EventLog
from functions.common.events import Complete, ConversationCreated, Failed, PersistPending, Reasoning, Start, Token
from functions.common.records import Usage
from functions.common.sse import SSEDecoder

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(TEXT, st.integers(1, 10**6))
def test_any_text_survives_the_framing(text: str, number: int) -> None:
    for kind in (Token, Reasoning):
        (message,) = SSEDecoder().feed(sse.encode(number, kind(text)))

        assert message.id == str(number)
        assert json.loads(message.data)["content"] == text


@pytest.mark.parametrize(
    ("event", "document"),
    [
        (Start("t", "m"), {"type": "start", "turnId": "t", "model": "m"}),
        (ConversationCreated("c"), {"type": "conversationCreated", "conversationId": "c"}),
        (PersistPending("t"), {"type": "persistPending", "turnId": "t"}),
        (Failed("x", "y", True, False), {"type": "error", "code": "x", "message": "y", "retryable": True, "partial": False}),
        (
            Complete("t", "c", "stop", "complete", Usage(input_tokens=1, output_tokens=2, total_tokens=3), True),
            {
                "type": "complete", "turnId": "t", "conversationId": "c", "finishReason": "stop", "status": "complete",
                "usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}, "durable": True,
            },
        ),
    ],
)  # fmt: skip
def test_each_event_looks_as_the_contract_has_it(event: object, document: dict[str, object]) -> None:
    frame = sse.encode(7, event)  # type: ignore[arg-type]

    assert frame.startswith(b"id: 7\ndata: {")
    assert frame.endswith(b"}\n\n")
    assert json.loads(frame.split(b"data: ", 1)[1]) == document


def test_every_listener_of_a_log_hears_of_each_frame_and_of_the_close_until_it_leaves() -> None:
    log = EventLog(first=5)
    heard: dict[str, list[int]] = {"one": [], "other": []}

    def hears(name: str) -> Callable[[], None]:
        return lambda: heard[name].append(len(log.frames))

    one, other = hears("one"), hears("other")
    log.listen(one)
    log.listen(other)
    log.append(Token("a"))
    log.unlisten(other)
    log.extend([Token("b"), Token("c")])
    log.close()

    assert heard == {"one": [1, 3, 3], "other": [1]}
    assert [frame.partition(b"\n")[0] for frame in log.frames] == [b"id: 5", b"id: 6", b"id: 7"]
    assert log.next_id == 8
    assert log.unsaved == [Token("a")], "what came from storage is not stored again"


def test_inside_lambda_the_adapters_header_is_the_deadline() -> None:
    headers = {LAMBDA_CONTEXT: json.dumps({"deadline": (time.time() + 10) * 1000})}

    assert Deadline.of_request(headers, in_lambda=True, at_most_s=900).left() == pytest.approx(10, abs=0.5)
    assert Deadline.of_request(headers, in_lambda=True, at_most_s=900).left(reserve=4) == pytest.approx(6, abs=0.5)


def test_outside_lambda_the_header_is_a_strangers_and_ignored() -> None:
    headers = {LAMBDA_CONTEXT: json.dumps({"deadline": 0})}

    assert Deadline.of_request(headers, in_lambda=False, at_most_s=900).left() == pytest.approx(900, abs=0.5)


def test_a_deadline_that_has_passed_has_nothing_left() -> None:
    assert Deadline.after(-1).left() == 0

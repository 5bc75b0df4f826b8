"""The encoder, the in-memory log and the deadline."""

import json
import time

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


class Listening:
    """A reader that has sent what it is told it has."""

    def __init__(self, log: EventLog) -> None:
        self.sent = 0
        self.heard: list[int] = []
        self._log = log
        log.listen(self)

    def on_change(self) -> None:
        self.heard.append(self._log.next_id)


def numbers(frames: list[bytes]) -> list[int]:
    return [int(frame.partition(b"\n")[0].removeprefix(b"id: ")) for frame in frames]


def test_every_reader_of_a_log_hears_of_each_frame_and_of_the_close_until_it_leaves() -> None:
    log = EventLog(first=5)
    one, other = Listening(log), Listening(log)
    log.append(Token("a"))
    log.unlisten(other)
    log.extend([Token("b"), Token("c")])
    log.close()

    assert (one.heard, other.heard) == ([6, 8, 8], [6])
    assert numbers(log.frames) == [5, 6, 7]
    assert log.unsaved == [Token("a")], "what came from storage is not stored again"


def test_what_is_stored_and_sent_to_every_reader_leaves_the_log() -> None:
    log = EventLog()
    one, other = Listening(log), Listening(log)
    for text in "abcdef":
        log.append(Token(text))

    one.sent, other.sent = 5, 2
    log.stored(4)
    assert (log.dropped, numbers(log.frames)) == (2, [3, 4, 5, 6]), "the other one has sent two"
    other.sent = 5
    log.stored(4)
    assert (log.dropped, numbers(log.after(5))) == (4, [6]), "four are stored"
    log.unlisten(one)
    log.unlisten(other)
    log.stored(6)
    log.append(Token("g"))
    assert numbers(log.frames) == [7]
    assert log.after(7) == []
    with pytest.raises(ValueError, match="gone"):
        Listening(log)


def test_inside_lambda_the_adapters_header_is_the_deadline() -> None:
    headers = {LAMBDA_CONTEXT: json.dumps({"deadline": (time.time() + 10) * 1000})}

    assert Deadline.of_request(headers, in_lambda=True, at_most_s=900).left() == pytest.approx(10, abs=0.5)
    assert Deadline.of_request(headers, in_lambda=True, at_most_s=900).left(reserve=4) == pytest.approx(6, abs=0.5)


def test_outside_lambda_the_header_is_a_strangers_and_ignored() -> None:
    headers = {LAMBDA_CONTEXT: json.dumps({"deadline": 0})}

    assert Deadline.of_request(headers, in_lambda=False, at_most_s=900).left() == pytest.approx(900, abs=0.5)


def test_a_deadline_that_has_passed_has_nothing_left() -> None:
    assert Deadline.after(-1).left() == 0

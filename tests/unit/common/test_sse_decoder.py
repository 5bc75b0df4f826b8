"""The SSE decoder: the same messages however the bytes are cut, whatever ends the lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.common import sse
from functions.common.sse import Message, SSEDecoder, SSEOverflow

STREAM = (
    'id: 1\ndata: {"a":"é\u2028\u0085🎈"}\n\n: note\n\nevent: x\ndata: one\ndata:two\n\nretry: 5\n\ndata\n\nid: 2\ndata:  b\n\n'
)
MESSAGES = [
    Message('{"a":"é\u2028\u0085🎈"}'.encode(), None, "1"),
    Message(b"one\ntwo", "x", "1"),
    Message(b"", None, "1"),
    Message(b" b", None, "2"),
]


def decode(chunks: list[bytes]) -> list[Message]:
    decoder = SSEDecoder()
    return [message for chunk in chunks for message in decoder.feed(chunk)]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_every_cut_in_two_and_byte_by_byte(ending: str, bom: str) -> None:
    raw = (bom + STREAM.replace("\n", ending)).encode()

    for cut in range(len(raw) + 1):
        assert decode([raw[:cut], raw[cut:]]) == MESSAGES, cut
    assert decode([raw[index : index + 1] for index in range(len(raw))]) == MESSAGES


@given(st.lists(st.sampled_from(["\n", "\r\n", "\r"]), min_size=13, max_size=13), st.lists(st.integers(0, 120), max_size=6))
def test_mixed_line_endings_and_any_cuts(endings: list[str], cuts: list[int]) -> None:
    # CR before an LF of the next ending would make one ending of two: keep them apart.
    lines = STREAM.removesuffix("\n").split("\n")
    chosen = ["\n" if index and endings[index % 13] == "\n" else endings[index % 13] for index in range(len(lines))]
    for index in range(len(chosen) - 1):
        if chosen[index] == "\r" and chosen[index + 1] == "\n" and not lines[index + 1]:
            chosen[index] = "\n"
    raw = "".join(line + ending for line, ending in zip(lines, chosen, strict=True)).encode()
    places = sorted({min(cut, len(raw)) for cut in cuts})
    chunks = [raw[begin:end] for begin, end in zip([0, *places], [*places, len(raw)], strict=True)]

    assert decode(chunks) == MESSAGES


@pytest.mark.parametrize(
    "before", [b"", b"\n", b": note\n\n", b"id: 7\n\n", b"data: a\n", b"data: a\r", b"data: a\r\r", b"event: e\n", b"data: a"]
)
@pytest.mark.parametrize(
    "read", [b"data: x\n\n", b"data: \n\n", b"data: x\r\n\n", b"data: x\rdata: y\n\n", b"data:x\n\n", b"data\n\n"]
)
@pytest.mark.parametrize("after", [b"data: z\n\n", b"\ndata: z\n\n", "\ufeffdata: z\n\n".encode()])
def test_a_read_that_is_one_message_means_what_its_bytes_do(before: bytes, read: bytes, after: bytes) -> None:
    chunks = [before, read, after]

    assert decode(chunks) == decode([bytes([byte]) for byte in b"".join(chunks)])


def test_an_unfinished_message_is_not_dispatched() -> None:
    assert decode([b"data: a\n"]) == []


def test_blank_lines_before_and_between_mean_nothing() -> None:
    assert decode([b"\n\n\n\ndata: a\n\n\n\n\ndata: b\n\n"]) == [Message(b"a"), Message(b"b")]


def test_an_id_with_a_nul_is_ignored() -> None:
    assert decode([b"id: a\0b\ndata: x\n\n"]) == [Message(b"x", None, None)]


def test_a_message_without_end_overflows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_MESSAGE_BYTES", 100)
    decoder = SSEDecoder()
    decoder.feed(b"data: " + b"x" * 90)

    with pytest.raises(SSEOverflow):
        decoder.feed(b"x" * 90)

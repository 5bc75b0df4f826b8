"""The queue's records: whatever text they carry, they come out as they went in, in characters and bytes that SQS takes."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from functions.common.auth import _MAX_TOKEN_CHARS
from functions.common.records import (
    SETTLE_ROOM,
    SQS_MAX_BYTES,
    Answer,
    NewMessage,
    Record,
    RecordTooLarge,
    SettleTurn,
    TurnFinished,
    TurnHead,
    TurnStarted,
    Usage,
    decode,
    encode,
)

HEAD = TurnHead(
    turn_id="0189f7f0-0000-7000-8000-000000000001",
    user_id="alice",
    workspaces=["alice", "red"],
    workspace_id=None,
    conversation_id="0189f7f0-0000-7000-8000-000000000002",
    new=True,
    bud_id="default",
    model="m",
    title="Hello",
    parent_id=None,
    depth=1,
    digest="d",
    started_at="2026-11-22T18:00:00.000Z",
)
NOT_TAKEN_BY_SQS = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
TEXT = st.characters(exclude_categories=["Cs"])  # half a surrogate pair is no text
ODD_TEXT = st.text(st.one_of(TEXT, st.sampled_from('\x00\x1f\x7f\ufffe\uffff\u2028\u0085"\\😀')), max_size=200)


def started(content: str) -> TurnStarted:
    message = NewMessage(id="m1", parent_id=None, depth=0, role="user", content=content, meta={"k": [1, None, content[:20]]})
    return TurnStarted(turn=HEAD, messages=[message])


def finished(content: str) -> TurnFinished:
    usage = Usage(input_tokens=1, output_tokens=2, total_tokens=3)
    answer = Answer(content=content, status="complete", finish_reason="stop", usage=usage, finished_at=HEAD.started_at)
    return TurnFinished(turn=HEAD, answer=answer)


@given(ODD_TEXT)
def test_any_text_comes_back_as_it_was(text: str) -> None:
    records: list[Record] = [started(text), finished(text), SettleTurn(turn=HEAD.model_copy(update={"title": text}))]
    for record in records:
        body = encode(record)
        assert decode(body) == record
        assert not NOT_TAKEN_BY_SQS.search(body)


@settings(max_examples=25)
@given(ODD_TEXT.filter(bool), st.integers(min_value=1_000, max_value=250_000))
def test_a_long_record_is_compressed_and_comes_back(text: str, length: int) -> None:
    record = started((text * (length // len(text) + 1))[:length])
    body = encode(record)
    assert decode(body) == record
    assert not NOT_TAKEN_BY_SQS.search(body)
    assert len(body.encode()) <= SQS_MAX_BYTES


def test_a_megabyte_of_control_characters_fits_though_its_json_would_not() -> None:
    record = started("\x01" * 900 * 1024)
    assert len(record.model_dump_json()) > 5 * SQS_MAX_BYTES
    assert decode(encode(record)) == record


def test_a_record_past_the_limit_even_compressed_is_refused() -> None:
    noise = "".join(chr(0x4E00 + (n * n * 7919 + n * 104729) % 20_000) for n in range(600_000))
    with pytest.raises(RecordTooLarge, match=HEAD.turn_id):
        encode(started(noise))


@pytest.mark.parametrize(
    "body",
    [
        "",
        "null",
        "{}",
        '{"kind":"turn_started"}',
        '{"kind":"unheard_of","v":1}',
        "z1:",
        "z1:not base 85 \x7f",
        "z1:abcde",
        "not json",
        "[" * 100_000,
    ],
)
def test_a_body_that_is_no_record_is_a_value_error(body: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        decode(body)


def test_an_unknown_version_or_field_is_refused() -> None:
    body = SettleTurn(turn=HEAD).model_dump_json()
    with pytest.raises(ValidationError):
        decode(body.replace('"v":1', '"v":2'))
    with pytest.raises(ValidationError):
        decode(body.replace('"v":1', '"v":1,"more":1'))


def test_usage_is_shown_in_the_apis_own_spelling() -> None:
    assert Usage(input_tokens=1, output_tokens=2, total_tokens=3).public() == {
        "inputTokens": 1,
        "outputTokens": 2,
        "totalTokens": 3,
    }


def test_the_head_of_a_caller_with_as_many_workspaces_as_a_token_holds_fits_beside_the_longest_record() -> None:
    """A turn's beginning and its settling go in one batch, which is as large as one message at most."""
    names = [f"group-{n:03}-" + "é" * 10 for n in range(_MAX_TOKEN_CHARS * 3 // 4 // 33)]  # base64, and 33 bytes of JSON each
    settle = SettleTurn(turn=HEAD.model_copy(update={"workspaces": names}))
    assert len(json.dumps(names, ensure_ascii=False, separators=(",", ":")).encode()) > _MAX_TOKEN_CHARS * 3 // 4 - 40
    assert len(encode(settle).encode()) <= SETTLE_ROOM

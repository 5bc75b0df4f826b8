"""The SSE decoder reads the vectors that the web client's decoder reads, however the bytes are cut."""

import json
from pathlib import Path
from typing import Any

import pytest

from functions.common.sse import Message, SSEDecoder

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "sse.json").read_text(encoding="utf-8"))["vectors"]


def decode(chunks: list[bytes]) -> list[Message]:
    decoder = SSEDecoder()
    return [message for chunk in chunks for message in decoder.feed(chunk)]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_every_vector_whole_cut_in_two_and_byte_by_byte(vector: dict[str, Any]) -> None:
    raw = vector["stream"].encode()
    expected = [Message(one["data"].encode(), one["event"], one["id"]) for one in vector["messages"]]

    for cut in range(len(raw) + 1):
        assert decode([raw[:cut], raw[cut:]]) == expected, cut
    assert decode([raw[index : index + 1] for index in range(len(raw))]) == expected

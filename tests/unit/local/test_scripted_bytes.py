"""The scripted model on the wire: which bytes leave, and when, read from a plain socket."""

import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from local.model.script import (
    ScriptedModel,
    Step,
    cut,
    cut_after,
    done,
    drip,
    endless,
    finish,
    headers_now,
    pause,
    raw,
    token,
    tokens,
    wait_for,
)


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel() as started:
        yield started


def connect(model: ScriptedModel) -> socket.socket:
    host, port = model.url.removeprefix("http://").removesuffix("/v1").split(":")
    return socket.create_connection((host, int(port)), timeout=5)


def send_request(connection: socket.socket) -> None:
    body = json.dumps({"model": "demo", "stream": True, "messages": [{"role": "user", "content": "hi"}]}).encode()
    connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))


def read_to_the_end(connection: socket.socket, until: bytes = b"") -> bytes:
    received = b""
    while (not until or until not in received) and (data := connection.recv(65536)):
        received += data
    return received


def whole_response(model: ScriptedModel, *steps: Step) -> bytes:
    """Everything up to the end of the response, however it ends."""
    model.plays(*steps)
    with connect(model) as connection:
        send_request(connection)
        return read_to_the_end(connection, until=b"\r\n0\r\n\r\n")


def body_of(response: bytes) -> bytes:
    """The chunks' data, joined; what is left of a broken chunk included."""
    rest, body = response.partition(b"\r\n\r\n")[2], b""
    while b"\r\n" in rest:
        size, _, rest = rest.partition(b"\r\n")
        body += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]
    return body


def test_raw_bytes_leave_as_they_are(model: ScriptedModel) -> None:
    data = ': comment\r\n\r\ndata: {"half": \r\n\r\n\u2028'.encode()
    assert body_of(whole_response(model, raw(data[:9]), raw(data[9:]))) == data


@pytest.mark.parametrize("limit", [0, 1, 100, 333])
def test_cut_after_ends_the_stream_at_that_byte(model: ScriptedModel, limit: int) -> None:
    response = whole_response(model, cut_after(limit), token("Hello"), token(" there"), finish(), done())
    whole = whole_response(model, token("Hello"), token(" there"), finish(), done())
    assert len(body_of(response)) == limit
    assert not response.endswith(b"0\r\n\r\n")
    assert whole.endswith(b"0\r\n\r\n")


def test_cut_ends_inside_a_chunk(model: ScriptedModel) -> None:
    assert whole_response(model, token("Hel"), cut()).endswith(b"\r\n40\r\nda")


def test_a_script_that_ends_early_ends_http_properly_and_says_no_done(model: ScriptedModel) -> None:
    response = whole_response(model, token("Hel"))
    assert response.endswith(b"0\r\n\r\n")
    assert b"[DONE]" not in response


def test_an_empty_script_still_answers(model: ScriptedModel) -> None:
    assert whole_response(model).startswith(b"HTTP/1.1 200 ")


def test_a_drip_sends_each_byte_alone(model: ScriptedModel) -> None:
    response = whole_response(model, drip(b"data: x\n\n"))
    assert response.count(b"\r\n1\r\n") == len(b"data: x\n\n")


def test_headers_can_leave_before_the_first_token(model: ScriptedModel) -> None:
    go_on = threading.Event()
    model.plays(headers_now(), wait_for(go_on), token("late"))
    with connect(model) as connection:
        send_request(connection)
        assert b"200" in read_to_the_end(connection, until=b"\r\n\r\n")
        assert model.requests[0].sent_at == []
        go_on.set()
        assert b"late" in read_to_the_end(connection, until=b"\r\n0\r\n\r\n")


def test_without_that_the_headers_wait_for_the_first_token(model: ScriptedModel) -> None:
    model.plays(pause(0.1), token("late"))
    with connect(model) as connection:
        send_request(connection)
        began = time.monotonic()
        connection.recv(1)
        assert time.monotonic() - began > 0.09


def test_tokens_keep_their_distance(model: ScriptedModel) -> None:
    whole_response(model, tokens("a", "b", "c", delay_s=0.03))
    _role, first, second, third = model.requests[0].sent_at
    assert second - first >= 0.03
    assert third - second >= 0.03


def test_endless_goes_on_until_the_client_leaves(model: ScriptedModel) -> None:
    model.plays(endless("x" * 1000))
    with connect(model) as connection:
        send_request(connection)
        received = 0
        while received < 200_000:
            received += len(connection.recv(65536))
        assert not model.closed
    model.wait_closed()


def test_one_connection_carries_one_request_after_the_other(model: ScriptedModel) -> None:
    with connect(model) as connection:
        for word in (b"one", b"two"):
            model.plays(token(word.decode()), finish(), done())
            send_request(connection)
            assert word in read_to_the_end(connection, until=b"\r\n0\r\n\r\n")


def test_what_is_no_http_is_dropped_and_the_next_client_is_served(model: ScriptedModel) -> None:
    with connect(model) as connection:
        connection.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert read_to_the_end(connection) == b""
    assert b"[DONE]" in whole_response(model, token("x"), finish(), done())


def test_it_starts_and_stops_at_once_even_with_a_stalled_client() -> None:
    began = time.monotonic()
    with ScriptedModel() as model, connect(model) as connection:
        model.plays(pause(3600))
        send_request(connection)
        model.wait_for_request()
    assert time.monotonic() - began < 20

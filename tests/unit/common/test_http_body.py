"""Responses taken apart: the same whatever the cuts, and a fault is told apart from an end."""

import pytest

from functions.common.http_body import ResponseParser

CHUNKED = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;ext=1\r\nhello\r\nA\r\n, \r\nwo\r\nrl\r\n1\r\nd\r\n0\r\nx-trailer: 1\r\n\r\n"
)
COUNTED = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\nhello, \r\nworld"
WHOLE = {CHUNKED: b"hello, \r\nwo\r\nrld", COUNTED: b"hello, \r\nworld"}


@pytest.mark.parametrize("raw", [CHUNKED, COUNTED])
def test_the_body_is_the_same_whatever_the_cuts(raw: bytes) -> None:
    for first in range(len(raw)):
        for second in {first + 1, first + 2, first + 7, len(raw)}:
            parser = ResponseParser()
            body = b"".join(parser.feed(part) for part in (raw[:first], raw[first:second], raw[second:]) if part)
            assert (body, parser.done, parser.malformed, parser.reusable) == (WHOLE[raw], True, False, True), (first, second)


@pytest.mark.parametrize("raw", [CHUNKED, COUNTED])
def test_an_end_before_the_end_is_none(raw: bytes) -> None:
    for cut in range(len(raw)):
        parser = ResponseParser()
        parser.feed(raw[:cut])
        assert not parser.eof(), cut


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    parser = ResponseParser()
    assert parser.feed(b"HTTP/1.0 200 OK\r\n\r\nall of it") == b"all of it"
    assert not parser.done
    assert parser.eof()
    assert not parser.reusable


@pytest.mark.parametrize("status", [204, 304])
def test_some_answers_have_no_body(status: int) -> None:
    parser = ResponseParser()
    parser.feed(b"HTTP/1.1 %d -\r\n\r\n" % status)
    assert parser.done


def test_a_connection_that_says_more_than_it_was_asked_is_not_used_again() -> None:
    parser = ResponseParser()
    parser.feed(COUNTED + b"HTTP/1.1 200 OK\r\n")
    assert parser.done
    assert not parser.reusable


def test_a_connection_that_says_close_is_not_used_again() -> None:
    parser = ResponseParser()
    parser.feed(b"HTTP/1.1 200 OK\r\nConnection: Close\r\ncontent-length: 0\r\n\r\n")
    assert parser.done
    assert not parser.reusable


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 999999 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1_0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0x5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"1" * 5_000,
    ],
)
def test_what_is_no_http_is_malformed(raw: bytes) -> None:
    parser = ResponseParser()
    parser.feed(raw)
    assert parser.malformed
    assert not parser.done


def test_what_came_before_a_fault_comes_out() -> None:
    parser = ResponseParser()
    parser.feed(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    assert parser.feed(b"5\r\nhello\r\nnonsense\r\n") == b"hello"
    assert parser.malformed

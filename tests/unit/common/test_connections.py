"""Connections to AWS: kept, asked again when the other side had closed them, given up in time."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx2
import pytest

from functions.common import connections as connections_module
from functions.common.connections import Connection, Connections, Origin

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
HEAD = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def closing(serve: Serve) -> Serve:
    """The same, which closes its connections when it is left, and does not mind being left."""

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    return served


@asynccontextmanager
async def service(serve: Serve) -> AsyncIterator[Callable[[], Awaitable[bytes]]]:
    """A way to ask a server that does as told with each connection."""
    server = await asyncio.start_server(closing(serve), "127.0.0.1", 0)
    connections = Connections()
    origin = Origin(secure=False, host="127.0.0.1", port=server.sockets[0].getsockname()[1])

    async def ask() -> bytes:
        head, content = await connections.exchange(origin, HEAD, b"hi", connect_s=2, read_s=0.5)
        assert head.status == 200
        return content

    try:
        yield ask
    finally:
        await connections.close()
        server.close()
        await server.wait_closed()


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\nhi")
    writer.write(ANSWER)
    await writer.drain()


async def test_a_connection_serves_one_request_after_the_other() -> None:
    served: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(0)
        while True:
            await answer(reader, writer)
            served[-1] += 1

    async with service(serve) as ask:
        assert [await ask() for _ in range(3)] == [b"ok"] * 3
        assert [*await asyncio.gather(ask(), ask())] == [b"ok"] * 2
    assert served == [4, 1], "the second connection is for the request that met a busy one"


async def test_connections_that_lie_idle_are_closed_each_in_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections_module, "_KEPT_S", 0.2)
    open_ones: set[object] = set()
    all_closed = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_ones.add(writer)
        try:
            while True:
                await answer(reader, writer)
        finally:
            open_ones.discard(writer)
            if not open_ones:
                all_closed.set()

    async with service(serve) as ask:
        await asyncio.gather(ask(), ask())
        for _ in range(4):  # one of the two stays in use
            await asyncio.sleep(0.08)
            await ask()
        assert len(open_ones) == 1
        async with asyncio.timeout(5):
            await all_closed.wait()
        assert await ask() == b"ok"


async def test_one_that_lay_idle_too_long_while_the_loop_stood_still_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections_module, "_KEPT_S", 0.2)
    served: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(0)
        while True:
            await answer(reader, writer)
            served[-1] += 1

    async with service(serve) as ask:
        await ask()
        time.sleep(0.25)  # noqa: ASYNC251 - as a frozen process does
        await ask()  # before the loop has come to any timer
    assert served == [1, 1]


async def test_the_time_for_an_answer_ends_with_it() -> None:
    served: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(0)
        while True:
            await answer(reader, writer)
            served[-1] += 1

    async with service(serve) as ask:
        await ask()
        await asyncio.sleep(0.6)
        await ask()
    assert served == [2]


async def test_a_kept_connection_that_does_not_answer_is_given_up_and_not_asked_again() -> None:
    asked = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await answer(reader, writer)
        await reader.read()

    async with service(serve) as ask:
        await ask()
        with pytest.raises(httpx2.ReadTimeout):
            await ask()
    assert asked == 1


async def test_an_idle_connection_that_was_closed_is_not_an_outage() -> None:
    read: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answer(reader, writer)
        read.append(await reader.read(1))  # closes when the next request is on its way: no answer, no byte of one
        writer.transport.abort()

    async with service(serve) as ask:
        assert [await ask() for _ in range(3)] == [b"ok"] * 3
    assert read[:2] == [b"P", b"P"], "each of the repeated requests had reached the connection that was closing"


async def test_a_server_that_closes_new_connections_too_is_an_outage() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\nhi")

    async with service(serve) as ask:
        with pytest.raises(httpx2.TransportError):
            await ask()


async def test_a_connection_on_which_something_came_unasked_is_closed() -> None:
    left = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answer(reader, writer)
        writer.write(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n")
        assert await reader.read() == b"", "nothing else is asked on it"
        left.set()

    async with service(serve) as ask:
        assert await ask() == b"ok"
        await asyncio.sleep(0.05)
        assert await ask() == b"ok"
        async with asyncio.timeout(5):
            await left.wait()


async def test_an_answer_before_the_request_was_read_is_taken_for_one() -> None:
    """A provider that refuses a request by its head reads no further; what is written would wait for it for good."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\n\r\nno")
        await writer.drain()
        await gone.wait()

    gone = asyncio.Event()
    server = await asyncio.start_server(closing(refuse), "127.0.0.1", 0)
    connections = Connections()
    connection = await connections.connect(Origin(False, "127.0.0.1", server.sockets[0].getsockname()[1]), 2)
    async with asyncio.timeout(5):
        await connection.send(HEAD, bytes(32 * 1024 * 1024))
        assert (await connection.head()).status == 413
        assert await connection.rest() == b"no"
    assert not connection.reusable, "the rest of the request is still on its way"
    gone.set()
    await connections.close()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("said", [b"", ANSWER[:-1], b"HTTP/1.1 200 OK\r\n\r\nok"], ids=["nothing", "a part", "no length"])
async def test_an_answer_that_takes_too_long_is_given_up_with_its_connection(said: bytes) -> None:
    """One that ends with its connection is not whole because we closed that."""
    closed = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\nhi")
        writer.write(said)
        try:
            await reader.read()
        finally:
            closed.set()

    async with service(serve) as ask:
        with pytest.raises(httpx2.ReadTimeout):
            await ask()
        async with asyncio.timeout(5):
            await closed.wait()


@pytest.mark.parametrize("whole", [True, False], ids=["the body's end comes with it", "more follows"])
async def test_what_a_sink_raises_is_raised_where_it_was_given(whole: bool) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\nhi")
        writer.write(ANSWER if whole else ANSWER[:-1])
        await reader.read()

    def refuses(_: bytes) -> bool:
        raise ValueError("no")

    async with opened(serve) as connection:
        await connection.send(HEAD, b"hi")
        with pytest.raises(ValueError, match="no"):
            await connection.pour(refuses)
        connection.close()


async def test_a_sink_that_has_enough_gets_no_more() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\nhi")
        for byte in ANSWER:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.002)
        await reader.read()

    got: list[bytes] = []

    def one(data: bytes) -> bool:
        got.append(data)
        return True

    async with opened(serve) as connection:
        await connection.send(HEAD, b"hi")
        await connection.pour(one)
        assert got in ([b"o"], [b"ok"])
        async with asyncio.timeout(5):
            assert b"".join(got) + await connection.rest() == b"ok"
        connection.close()


@asynccontextmanager
async def opened(serve: Serve) -> AsyncIterator[Connection]:
    """A connection to a server that does as told."""
    server = await asyncio.start_server(closing(serve), "127.0.0.1", 0)
    connections = Connections()
    try:
        yield await connections.connect(Origin(secure=False, host="127.0.0.1", port=server.sockets[0].getsockname()[1]), 2)
    finally:
        await connections.close()
        server.close()
        await server.wait_closed()

"""The way to the model: a connection serves the next turn too, and an error's body ends where we say."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from functions.chat_stream import errors
from functions.chat_stream.deadline import Deadline
from functions.chat_stream.model import Completion, Model
from functions.chat_stream.transport import Asked

CHUNK = b'data: {"choices":[{"delta":{"content":"hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def provider(serve: Serve, path: str = "/v1") -> AsyncIterator[Model]:
    """A model client of a server that does as told with each connection."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}{path}"

    async def key() -> str:
        return "key"

    model = Model(url, key)
    try:
        yield model
    finally:
        await model.close()
        server.close()
        await server.wait_closed()


def ask(model: Model) -> Completion:
    return model.ask("m", [{"role": "user", "content": "hi"}], None, Asked(asyncio.Event(), Deadline.after(5)))


async def text(model: Model) -> str:
    said: list[str] = []
    await ask(model).relay(lambda pieces: said.extend(piece.content for piece in pieces))
    return "".join(said)


async def head(reader: asyncio.StreamReader) -> bytes:
    """A request's head, its body read as well."""
    lines = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in lines.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    await reader.readexactly(int(length.partition(b":")[2]))
    return lines


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("", "/chat/completions"),
        ("/", "/chat/completions"),
        ("/v1", "/v1/chat/completions"),
        ("/v1/", "/v1/chat/completions"),
        ("/v1//", "/v1//chat/completions"),
        ("/v1#part", "/v1/chat/completions"),
        ("/a%2Fb c", "/a%2Fb%20c/chat/completions"),
    ],
)
async def test_the_address_asked_is_below_the_provider_s(path: str, asked: str) -> None:
    lines: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append((await head(reader)).partition(b"\r\n")[0])
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(CHUNK), CHUNK))
        writer.close()

    async with provider(serve, path) as model:
        assert await text(model) == "hi"
    assert lines == [f"POST {asked} HTTP/1.1".encode()]


async def test_the_connection_of_a_turn_that_ended_well_serves_the_next() -> None:
    connections: list[int] = []
    ended = asyncio.Semaphore(0)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(0)
        try:
            while True:
                await head(reader)
                connections[-1] += 1
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
                writer.write(b"%x\r\n%b\r\n" % (len(CHUNK), CHUNK))
                await writer.drain()
                await asyncio.sleep(0.01)  # a provider's last chunk may come in a packet of its own
                writer.write(b"0\r\n\r\n")
                ended.release()
        except asyncio.IncompleteReadError:
            writer.close()

    async with provider(serve) as model:
        for _ in range(3):
            assert await text(model) == "hi"
            await ended.acquire()
            await asyncio.sleep(0.05)  # it is on its way through the loopback
    assert connections == [3]


async def test_a_provider_that_leaves_its_answer_open_ends_the_turn_all_the_same() -> None:
    closed = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(CHUNK), CHUNK))
        await reader.read()
        closed.set()
        writer.close()

    async with provider(serve) as model:
        async with asyncio.timeout(10):
            assert await text(model) == "hi"
            await closed.wait()


async def test_of_an_error_without_end_only_the_beginning_is_read() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(b"HTTP/1.1 400 Bad Request\r\ntransfer-encoding: chunked\r\n\r\n")
        try:
            while not writer.is_closing():
                writer.write(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
                await writer.drain()
        except ConnectionError:
            writer.close()

    async with provider(serve) as model, asyncio.timeout(5):
        with pytest.raises(errors.ModelRefused):
            await text(model)

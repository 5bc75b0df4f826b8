"""Of several addresses the first that answers is taken: one that swallows every packet costs a quarter of a second at most."""

import asyncio
import gc
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from functions.common import staggered
from functions.common.connections import Connections, Origin
from functions.common.staggered import AddressInfo, addresses, connected_socket

HEAD = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"


def info(host: str, port: int) -> AddressInfo:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port))


@contextmanager
def black_hole(port: int = 0) -> Iterator[tuple[str, int]]:
    """An address where a connection neither succeeds nor fails: the listener's queue is full, so that Linux drops what comes."""
    with ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.2", port))
        full.listen(0)
        where = full.getsockname()
        for _ in range(8):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(where)
        yield where


@contextmanager
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def refusing() -> int:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        return int(gone.getsockname()[1])


async def peer(found: list[AddressInfo]) -> str:
    made = await connected_socket(found)
    with made:
        return str(made.getpeername()[0])


def open_files() -> set[Path]:
    """Of this process, where the system lists them."""
    folder = Path("/proc/self/fd")
    return set(folder.iterdir()) if folder.exists() else set()


async def test_an_address_that_swallows_everything_does_not_hold_up_the_next() -> None:
    with listener() as port, black_hole() as hole:
        began = time.monotonic()
        assert await peer([info(*hole), info("127.0.0.1", port)]) == "127.0.0.1"
        assert time.monotonic() - began >= 0.9 * staggered.NEXT_AFTER_S


async def test_an_address_that_refuses_is_followed_by_the_next_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staggered, "NEXT_AFTER_S", 30.0)
    with listener() as port:
        async with asyncio.timeout(10):
            assert await peer([info("127.0.0.1", refusing()), info("127.0.0.1", port)]) == "127.0.0.1"


async def test_a_slow_address_still_wins_when_the_others_fail() -> None:
    with listener() as port:
        assert await peer([info("127.0.0.1", port), info("127.0.0.1", refusing())]) == "127.0.0.1"


async def test_when_all_refuse_the_first_error_is_raised() -> None:
    with pytest.raises(ConnectionRefusedError):
        await connected_socket([info("127.0.0.1", refusing()), info("127.0.0.1", refusing())])
    with pytest.raises(OSError, match="no address"):
        await connected_socket([])


async def test_whoever_gives_up_leaves_no_socket_open() -> None:
    gc.collect()
    with black_hole() as hole:
        before = open_files()
        for seconds in (0.01, 0.3, 0.6):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(seconds):
                    await connected_socket([info(*hole)] * 3)
        await asyncio.sleep(0)
        assert open_files() <= before


async def test_the_families_take_turns_and_the_preferred_one_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    six, four = [info(f"fd00::{n}", 1) for n in range(3)], [info(f"10.0.0.{n}", 1) for n in range(2)]

    async def found(*_: Any, **__: Any) -> list[AddressInfo]:
        return [*six, *four]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", found)

    assert await addresses("somewhere.test", 1) == [six[0], four[0], six[1], four[1], six[2]]


async def test_a_call_reaches_a_host_whose_first_address_is_a_black_hole(monkeypatch: pytest.MonkeyPatch) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with black_hole(port) as hole:

            async def found(*_: Any, **__: Any) -> list[AddressInfo]:
                return [info(*hole), info("127.0.0.1", port)]

            monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", found)
            connections = Connections()
            _, body = await connections.exchange(Origin(False, "twofold.test", port), HEAD, b"", connect_s=5, read_s=5)
            assert body == b"ok"
            monkeypatch.setattr(staggered, "NEXT_AFTER_S", 30.0)  # as it was before: one address after the other
            with pytest.raises(httpx2.ConnectTimeout):
                await connections.connect(Origin(False, "twofold.test", port), 0.3)
            await connections.close()

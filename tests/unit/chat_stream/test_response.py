"""The response: frames go out in the loop's next round, a slow server is waited for, silence is filled, faults are its own."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from starlette.types import Message, Scope

from functions.chat_stream import sse
from functions.chat_stream.event_log import EventLog
from functions.chat_stream.response import SERVER_SEND, EventStreamResponse
from functions.common.events import Token

Send = Callable[[Message], Awaitable[None]]


class Server:
    """Takes messages; while `full` is set it takes one more and waits, as a server does whose socket takes no more."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.room = asyncio.Event()
        self.room.set()
        self.next = asyncio.Event()
        self.error: Exception | None = None

    async def send(self, message: Message) -> None:
        if self.error is not None:
            raise self.error
        self.sent.append(message)
        self.next.set()
        self.next.clear()
        await self.room.wait()

    @property
    def bodies(self) -> list[bytes]:
        return [message["body"] for message in self.sent if message["type"] == "http.response.body"]


async def never() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


def begin(log: EventLog, server: Server, keepalive_s: float = 10.0, scope: Scope | None = None) -> "asyncio.Task[None]":
    response = EventStreamResponse(log, keepalive_s)
    return asyncio.create_task(response({} if scope is None else scope, never, server.send))


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_frames_are_written_in_the_loops_next_round() -> None:
    log, server = EventLog(), Server()
    running = begin(log, server)
    await settled()

    for text in "ab":
        log.append(Token(text))
        await asyncio.sleep(0)
        assert server.bodies == log.frames
    log.append(Token("c"))
    log.append(Token("d"))
    await asyncio.sleep(0)
    assert server.bodies == [*log.frames[:2], b"".join(log.frames[2:])]
    log.close()
    await running

    assert [message.get("more_body") for message in server.sent] == [None, True, True, True, False]


async def test_of_what_a_response_has_not_sent_nothing_leaves_the_log() -> None:
    log, server = EventLog(), Server()
    log.extend([Token("a"), Token("b")])
    response = EventStreamResponse(log, 10.0)
    log.stored(2)
    assert log.dropped == 0, "it has not begun"

    running = asyncio.create_task(response({}, never, server.send))
    await settled()
    log.stored(2)
    assert log.dropped == 2
    server.room.clear()
    log.append(Token("c"))
    await settled()
    log.append(Token("d"))
    await settled()
    log.stored(4)
    assert log.dropped == 3, "the server has not taken the last"
    server.room.set()
    log.close()
    await running

    assert b"".join(server.bodies) == b"".join(sse.encode(number, Token(text)) for number, text in enumerate("abcd", 1))
    log.stored(4)
    assert log.frames == []


async def test_what_was_there_before_goes_out_in_one_write() -> None:
    log, server = EventLog(), Server()
    log.extend([Token("a"), Token("b")])
    log.close()

    await begin(log, server)

    assert server.bodies == [b"".join(log.frames), b""]


async def test_a_server_that_is_full_is_waited_for_and_what_came_meanwhile_goes_in_one_write() -> None:
    log, server = EventLog(), Server()
    running = begin(log, server)
    await settled()
    server.room.clear()
    for text in "abc":
        log.append(Token(text))
        await settled()
    assert server.bodies == [log.frames[0]]

    server.room.set()
    await settled()
    assert server.bodies == [log.frames[0], b"".join(log.frames[1:])]
    log.append(Token("d"))
    await settled()
    assert server.bodies[-1] == log.frames[3]
    log.close()
    await running


async def test_a_response_that_is_cancelled_while_its_server_is_full_leaves_the_log() -> None:
    log, server = EventLog(), Server()
    running = begin(log, server)
    await settled()
    server.room.clear()
    log.append(Token("a"))
    await settled()

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    log.append(Token("b"))
    assert server.bodies == [log.frames[0]]


async def test_a_fault_of_the_server_ends_the_response_and_not_the_one_who_appends() -> None:
    log, server = EventLog(), Server()
    running = begin(log, server)
    await settled()
    server.error = OSError("gone")

    log.append(Token("a"))

    with pytest.raises(OSError, match="gone"):
        await running
    log.append(Token("b"))


async def test_silence_is_filled_and_a_frame_puts_it_off() -> None:
    log, server = EventLog(), Server()
    running = begin(log, server, keepalive_s=0.05)
    await settled()
    async with asyncio.timeout(5):
        while server.bodies.count(sse.KEEPALIVE) < 2:
            await server.next.wait()
    before = len(server.bodies)
    for _ in range(10):
        log.append(Token("a"))
        await asyncio.sleep(0.01)
    log.close()
    await running

    assert server.bodies[before:].count(sse.KEEPALIVE) <= 1, "on a slow machine a pause may be a silence"


async def test_frames_go_to_the_server_itself_and_the_head_through_the_middleware() -> None:
    log, server, middleware = EventLog(), Server(), Server()
    log.append(Token("a"))
    log.close()

    await begin(log, middleware, scope={SERVER_SEND: server.send})

    assert [message["type"] for message in middleware.sent] == ["http.response.start"]
    assert server.bodies == [log.frames[0], b""]

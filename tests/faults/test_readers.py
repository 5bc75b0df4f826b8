"""GUARANTEES 9 and 10: who leaves, reads slowly or sends slowly harms nobody: turns end, nothing leaks, memory is bounded."""

import asyncio
import gc
import json
import socket
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from functions.chat_stream.event_log import EventLog
from functions.chat_stream.turn import Turn
from functions.common.ids import new_id
from functions.common.records import TurnFinished
from local.model import http as model_http
from local.model import server as model_server
from local.model.script import done, finish, token, wait_for
from tests.faults.test_quotas import worker
from tests.support.chat import Api, user
from tests.support.system import System
from tests.support.waiting import until

MIB = 1024 * 1024
READERS = 8


def alive() -> dict[str, int]:
    """What a turn or a response leaves behind when it leaks."""
    gc.unfreeze()  # what persist settled for good would not be counted
    gc.collect()
    kinds = [type(one) for one in gc.get_objects()]
    # Not the scripted model's: its connections are kept for the turns to come.
    tasks = [one for one in gc.get_objects() if isinstance(one, asyncio.Task) and not one.done() and not _is_models(one)]
    return {"turns": kinds.count(Turn), "logs": kinds.count(EventLog), "tasks": len(tasks)}


def _is_models(task: "asyncio.Task[Any]") -> bool:
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and code.co_filename in {model_http.__file__, model_server.__file__}


def ask(api: Api, path: str, body: Any = None) -> socket.socket:
    """A request on a connection of its own, whose answer nobody reads."""
    address = urlsplit(str(api.http.base_url))
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # before connecting: the window is agreed on there
    connection.connect((address.hostname, address.port))
    content = b"" if body is None else json.dumps(body).encode()
    head = f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    connection.sendall(f"{head}content-length: {len(content)}\r\n\r\n".encode() + content)
    return connection


def test_clients_that_leave_at_any_moment_leave_nothing_behind_but_their_stored_turns(chat_system: System) -> None:
    api = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.05")
    go = threading.Event()
    chat_system.model.always_plays(token("before "), wait_for(go), token("after"), finish(), done())
    api.http.get("/api/health")
    before = alive()
    ids = [new_id() for _ in range(12)]

    for number, turn_id in enumerate(ids):
        connection = ask(api, "/api/chat", {"turnId": turn_id, "messages": [user("hi")]})
        if number % 3:
            connection.recv(10)  # the stream has begun
        if number % 3 == 2:
            resumed = ask(api, f"/api/turns/{turn_id}/stream")  # and a second one of it
            resumed.recv(10)
            resumed.close()
        connection.close()
    chat_system.model.wait_for_request(len(ids))
    go.set()
    saved: dict[str, str] = {}

    def all_saved() -> bool:
        ended = [record for record in chat_system.queued() if isinstance(record, TurnFinished)]
        saved.update({record.turn.turn_id: record.answer.content for record in ended})
        return len(saved) == len(ids)

    until(all_saved)
    assert saved == dict.fromkeys(ids, "before after")
    until(lambda: alive() == before)


def test_a_reader_that_reads_nothing_holds_up_no_turn(chat_system: System) -> None:
    api = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.05")
    turn_id = new_id()
    chat_system.model.plays(*[token("x" * 10_000)] * 30, finish(), done())

    with ask(api, "/api/chat", {"turnId": turn_id, "messages": [user("hi")]}):
        until(lambda: api.http.get(f"/api/turns/{turn_id}").json().get("status") == "complete")

    (answer,) = [record.answer for record in chat_system.queued() if isinstance(record, TurnFinished)]
    assert (answer.status, len(answer.content)) == ("complete", 300_000)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_many_readers_that_read_nothing_cost_no_more_than_what_they_were_sent(chat_system: System) -> None:
    """Each holds the frames of its answer, which has a cap; no more is buffered for it."""
    chat_system.model.always_plays(*[token("x" * 10_000)] * 30, finish(), done())
    with worker(chat_system, CHAT_RECEIPT_WAIT_S="0.05") as (api, process), ExitStack() as open_connections:
        first = new_id()
        api.post({"turnId": first, "messages": [user("hi")]})
        before = resident_mib(process.pid)
        turn_ids = [new_id() for _ in range(READERS)]
        for turn_id in turn_ids:
            body = {"turnId": turn_id, "messages": [user("hi")]}
            open_connections.enter_context(ask(api, "/api/chat", body))
            open_connections.enter_context(ask(api, f"/api/turns/{first}/stream"))
        for turn_id in turn_ids:
            until(lambda: api.http.get(f"/api/turns/{turn_id}").json().get("status") == "complete", 45)  # noqa: B023 - it is now

        grown = resident_mib(process.pid) - before

    answers = 2 * READERS * 300_000 / MIB
    assert grown < 20 + 3 * answers, f"{grown:.0f} MiB for {answers:.0f} MiB of answers"


def resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        pytest.skip("memory is measured where /proc is")
    (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024


def test_a_body_that_drips_is_given_up_after_its_time_however_steadily_it_comes(chat_system: System) -> None:
    api = chat_system.serve(CHAT_MAX_BODY_TIMEOUT_S="0.4")
    address = urlsplit(str(api.http.base_url))
    with socket.create_connection((address.hostname, address.port)) as slow:
        slow.sendall(b"POST /api/chat HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n")
        slow.setblocking(False)
        answer = b""
        for _ in range(200):
            try:
                slow.send(b" ")
                answer += slow.recv(1000)
            except BlockingIOError:
                pass
            except ConnectionError:
                break
            if b"request_timeout" in answer:
                break
            time.sleep(0.02)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"request_timeout"' in answer
    assert chat_system.model.requests == []

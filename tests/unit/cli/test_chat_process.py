"""The terminal client as a process: pipes, terminals, signals, and no server at all."""

import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.unit.cli.scripted_api import ScriptedApi, complete, document, frame, scripted_api, start, stream

WAIT_S = 20.0


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with scripted_api() as api:
        yield api


Spawn = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def spawn(api: ScriptedApi, tmp_path: Path) -> Spawn:
    def spawn(*args: str, stdout: int = subprocess.PIPE, url: str = api.url) -> subprocess.Popen[bytes]:
        env = os.environ | {"XDG_STATE_HOME": str(tmp_path), "CHAT_URL": url, "TERM": "xterm", "COLUMNS": "100"}
        command = [sys.executable, "-c", "from chat_cli import main; main()", *args]
        return subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE)

    return spawn


def test_a_token_is_in_the_pipe_before_the_next_one_is_made(api: ScriptedApi, spawn: Spawn) -> None:
    seen = threading.Event()
    api.on("POST", "/api/chat", stream(start(), frame(2, "token", content="One "), lambda: seen.wait(WAIT_S), complete(3)))
    with spawn("hello") as process:
        assert process.stdout
        assert os.read(process.stdout.fileno(), 100) == b"One "
        seen.set()
        assert process.communicate(timeout=WAIT_S) == (b"\n", b"")
    assert process.returncode == 0


def test_ctrl_c_stops_the_turn_prints_the_rest_and_exits_with_130(api: ScriptedApi, spawn: Spawn) -> None:
    stopped = threading.Event()
    rest = frame(3, "token", content="last words"), complete(4, "stopped")
    api.on("POST", "/api/chat", stream(start(), frame(2, "token", content="One "), lambda: stopped.wait(WAIT_S), *rest))
    api.on("POST", "/api/turns/*/stop", stream(stopped.set))
    with spawn("hello") as process:
        assert process.stdout
        assert os.read(process.stdout.fileno(), 100) == b"One "
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=WAIT_S)
    assert (process.returncode, out, err) == (130, b"last words\n", b"chat: The answer was stopped.\n")
    (begun,) = api.asked("POST", "/api/chat")
    assert len(api.asked("POST", f"/api/turns/{begun.document['turnId']}/stop")) == 1


def test_a_second_ctrl_c_leaves_at_once(api: ScriptedApi, spawn: Spawn) -> None:
    asked, left = threading.Event(), threading.Event()
    api.on("POST", "/api/chat", stream(start(), frame(2, "token", content="One "), lambda: left.wait(WAIT_S), complete(3)))
    api.on("POST", "/api/turns/*/stop", stream(asked.set, lambda: left.wait(WAIT_S)))
    with spawn("hello") as process:
        assert process.stdout
        assert os.read(process.stdout.fileno(), 100) == b"One "
        process.send_signal(signal.SIGINT)
        assert asked.wait(WAIT_S)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=WAIT_S)
        left.set()
    assert (process.returncode, out, err) == (130, b"\n", b"")


def test_ctrl_c_before_there_is_anything_to_stop_leaves_no_trace(tmp_path: Path) -> None:
    """The libraries take their time to import; here, as long as a pipe stays open."""
    slow = tmp_path / "typer.py"
    slow.write_text("import sys, time\nprint('importing', flush=True)\ntime.sleep(60)\n")
    env = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", "from chat_cli import main; main()", "hello"]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"importing\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=WAIT_S)
    assert (process.returncode, out, err) == (-signal.SIGINT, b"", b"")  # a shell makes 130 of it


def test_without_a_server_one_sentence_says_how_to_start_it(spawn: Spawn) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with spawn("hello", url=url) as process:
        out, err = process.communicate(timeout=WAIT_S)
    assert (process.returncode, out) == (1, b"")
    assert re.fullmatch(rf"chat: Nothing answers at {url}\. Start the server with `make run` .+\n", err.decode())


@contextmanager
def terminal() -> Iterator[tuple[int, int]]:
    ours, theirs = pty.openpty()
    try:
        yield ours, theirs
    finally:
        os.close(ours)


def screen(ours: int, until: bytes | None = None) -> bytes:
    """What appears on the terminal, up to `until` or to its end."""
    shown = b""
    while until is None or until not in shown:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # Linux: EIO once the other side is closed
            break
        if not piece:
            break
        shown += piece
    return shown


def test_a_terminal_gets_a_spinner_until_the_first_token_and_no_control_characters(api: ScriptedApi, spawn: Spawn) -> None:
    waiting = threading.Event()
    steps = (start(), lambda: waiting.wait(WAIT_S), frame(2, "token", content="safe\033]0;title\007 **text**"), complete(3))
    api.on("POST", "/api/chat", stream(*steps))
    with terminal() as (ours, theirs), spawn("hello", stdout=theirs) as process:
        os.close(theirs)
        assert b"\033[?25l" in screen(ours, until="⠋".encode())  # the spinner hides the cursor
        waiting.set()
        shown = screen(ours)
        assert process.wait(WAIT_S) == 0
    assert b"safe]0;title **text**\r\n" in shown
    assert b"\033[?25h" in shown[: shown.index(b"safe")]  # and shows it again before there is text


def test_a_terminal_gets_markdown_rendered(api: ScriptedApi, spawn: Spawn) -> None:
    written = {
        "id": "a",
        "parentId": None,
        "role": "assistant",
        "status": "complete",
        "createdAt": "2026",
        "content": "a **bold** word",
    }
    api.on("GET", "/api/conversations/conv-1", document({"id": "conv-1", "messages": [written]}))
    with terminal() as (ours, theirs), spawn("show", "conv-1", stdout=theirs) as process:
        os.close(theirs)
        shown = screen(ours)
        assert process.wait(WAIT_S) == 0
    assert b"a \033[1mbold\033[0m word" in shown

"""The local system as `make run` starts it: up, down, and what happens to it in between."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from local.system import LocalSystem
from tests.support import http
from tests.support.waiting import until

ROOT = Path(__file__).parents[3]
QUICK = {"FAKE_LLM_TTFT_MS": "20", "FAKE_LLM_DELAY_MS": "1"}
QUESTION = {"messages": [{"role": "user", "content": "hi"}]}


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        if not (process := Path(f"/proc/{pid}")).parent.is_dir():
            return True
        # One that ended and that nobody has waited for yet is a zombie. Its sockets are closed once its last thread has ended.
        return (
            process.joinpath("stat").read_text().rpartition(") ")[2][0] not in "ZX"
            or len([*process.joinpath("task").iterdir()]) > 1
        )
    except (ProcessLookupError, FileNotFoundError):  # it may go between the two
        return False


@pytest.fixture(scope="module")
def system() -> Iterator[LocalSystem]:
    with LocalSystem({**QUICK, "CHAT_WORKERS": "2"}) as started:
        yield started


def client(system: LocalSystem) -> httpx2.Client:
    return http.client(system.url, timeout=20)


def last_event(text: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx2.Response(200, content=text.rpartition("data: ")[2]).json()
    return found


def test_a_message_is_answered_stored_and_read_back(system: LocalSystem) -> None:
    with client(system) as api:
        complete = last_event(api.post("/api/chat", json=QUESTION).text)
        assert (complete["type"], complete["status"], complete["durable"]) == ("complete", "complete", True)
        until(lambda: api.get(f"/api/conversations/{complete['conversationId']}").status_code == 200)
        messages = api.get(f"/api/conversations/{complete['conversationId']}").json()["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant"]


def test_every_worker_answers_itself_too(system: LocalSystem) -> None:
    assert len(set(system.workers)) == 2
    assert [http.get(f"{url}/api/health").status_code for url in system.workers] == [200, 200]


def test_the_tables_and_queues_are_within_reach_of_a_test(system: LocalSystem) -> None:
    assert set(system.dynamodb.list_tables()["TableNames"]) == {system.conversations_table, system.turns_table}
    assert (
        system.dynamodb.describe_time_to_live(TableName=system.turns_table)["TimeToLiveDescription"]["AttributeName"]
        == "expires_at"
    )
    assert system.sqs.get_queue_attributes(QueueUrl=system.queue_url, AttributeNames=["All"])["Attributes"]["RedrivePolicy"]
    assert system.sqs.receive_message(QueueUrl=system.dead_letter_url).get("Messages", []) == []


def test_a_killed_worker_is_started_again_while_the_other_answers(system: LocalSystem) -> None:
    before = system.state["chat"][0]["pid"]
    system.kill_chat_worker(0)
    until(lambda: not alive(before))  # until then it may have taken a request that it never answers
    answers = [http.get(f"{system.url}/api/health") for _ in range(4)]
    assert [(answer.status_code, answer.text) for answer in answers] == [(200, answers[0].text)] * 4
    system.wait_for_restart()
    assert system.state["chat"][0]["pid"] != before
    until(lambda: _answers(system.workers[0]))
    assert any("chat_stream-1 ended (SIGKILL); starting it again" in line for line in system.log)


def test_a_killed_persist_is_started_again_and_stores_what_waited(system: LocalSystem) -> None:
    system.kill("persist")
    with client(system) as api:
        complete = last_event(api.post("/api/chat", json=QUESTION).text)
        system.wait_for_restart()
        turn = f"/api/turns/{complete['turnId']}"
        until(lambda: api.get(turn).json().get("conversationId") is not None)


def _answers(url: str) -> bool:
    try:
        return http.get(f"{url}/api/health").status_code == 200
    except httpx2.TransportError:
        return False


def test_the_log_is_for_people(system: LocalSystem) -> None:
    body = {"messages": [{"role": "user", "content": "hi"}]}
    assert http.post(f"{system.url}/api/chat", json=body, timeout=30).is_success
    until(lambda: any("chat_stream" in line and "turn ended" in line for line in system.log))
    assert not [line for line in system.log if line.startswith("{")]
    assert not [line for line in system.log if "Traceback" in line]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ending_it_ends_all_in_a_few_seconds_without_a_trace(number: int) -> None:
    with LocalSystem({**QUICK, "GRACE_S": "100"}) as system:  # that is for turns that run, and none does
        assert system.stop(number, timeout=50) == 0
        assert not [pid for pid in system.pids.values() if alive(pid)]
        assert "Traceback" not in "".join(system.log)
        assert system.log[-1].endswith("ended\n")


def test_ending_it_within_a_turn_ends_the_turns_stream_properly() -> None:
    with LocalSystem({"FAKE_LLM_TTFT_MS": "0", "FAKE_LLM_DELAY_MS": "50", "FAKE_LLM_TOKENS": "2000"}) as system:
        received = b""
        with client(system) as api, api.stream("POST", "/api/chat", json=QUESTION) as response:
            for piece in response.iter_raw():
                if b"token" in piece and b"token" not in received:
                    os.kill(system.pid, signal.SIGTERM)
                received += piece
        assert last_event(received.decode())["type"] in {"complete", "error"}
        assert system.stop() == 0
        assert "Traceback" not in "".join(system.log)


@pytest.mark.parametrize("name", ["main", "aws"])
def test_killing_the_main_process_or_the_store_leaves_no_orphan(name: str) -> None:
    with LocalSystem(QUICK) as system:
        os.kill(system.pid if name == "main" else system.pids["aws"], signal.SIGKILL)
        until(lambda: not [pid for pid in system.pids.values() if alive(pid)])
        assert system.stop() != 0


def run_local(*, after: float = 30, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "local"]
    inherited = {"PATH": os.environ["PATH"]}
    return subprocess.run(command, cwd=ROOT, env={**inherited, **env}, capture_output=True, text=True, timeout=after, check=False)


def test_a_taken_port_is_one_sentence_that_names_a_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run_local(PORT=str(port))
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert f"Port {port} is taken" in ended.stderr
    assert "PORT=" in ended.stderr


def test_another_host_without_sign_in_is_refused_in_one_sentence() -> None:
    ended = run_local(HOST="0.0.0.0", PORT="0")
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "OIDC_ISSUER" in ended.stderr


def test_a_setting_that_cannot_hold_is_named_before_anything_starts() -> None:
    ended = run_local(PORT="0", CHAT_SETTLE_DELAY_S="soon")
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "CHAT_SETTLE_DELAY_S" in ended.stderr


def test_a_part_that_cannot_start_ends_the_rest_and_is_named(tmp_path: Path) -> None:
    fails = "import os, sys\nif 'functions.chat_stream' in sys.orig_argv:\n    os.write(2, b'no disk left\\n')\n    os._exit(1)\n"
    (tmp_path / "sitecustomize.py").write_text(fails)
    ended = run_local(PORT="0", PYTHONPATH=str(tmp_path))
    assert ended.returncode == 1
    assert "chat_stream ended while starting" in ended.stderr
    assert "no disk left" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_person_sees_one_line_with_the_address() -> None:
    command = [sys.executable, "-m", "local"]
    env = {"PATH": os.environ["PATH"], "PORT": "0"}
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert line.startswith("Open http://127.0.0.1:")
    assert out == ""
    assert process.returncode == 0
    assert "as long as this process" in err

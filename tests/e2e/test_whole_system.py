"""The system as `make run` starts it, every part its own process: what a person with curl sees, and what survives a kill."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import httpx2
import pytest

from functions.common import turns
from functions.common.ids import new_id
from functions.common.sse import SSEDecoder
from local.system import LocalSystem
from tests.support import http
from tests.support.chat import Api, Seen, read, user
from tests.support.waiting import until

PACE = {"FAKE_LLM_TTFT_MS": "1000", "FAKE_LLM_DELAY_MS": "40", "FAKE_LLM_TOKENS": "50"}
QUICK_START = {**PACE, "FAKE_LLM_TTFT_MS": "100"}
SETTLE_DELAY_S = 4


@pytest.fixture(scope="module")
def system() -> Iterator[LocalSystem]:
    with LocalSystem({**QUICK_START, "CHAT_WORKERS": "2", "CHAT_SETTLE_DELAY_S": str(SETTLE_DELAY_S)}) as system:
        yield system


@pytest.fixture
def api(system: LocalSystem) -> Iterator[Api]:
    api = Api(system.url)
    yield api
    api.close()


def curl(url: str, body: Any) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        ["curl", "-sN", "-X", "POST", f"{url}/api/chat", "-H", "content-type: application/json", "-d", json.dumps(body)],
        stdout=subprocess.PIPE,
    )


def watch(process: "subprocess.Popen[bytes]", last: Callable[[Seen], bool] = lambda _: False) -> list[Seen]:
    """What curl prints, with the time of each event, to its end or to the event asked for."""
    assert process.stdout is not None
    decoder = SSEDecoder()
    events: list[Seen] = []
    while chunk := os.read(process.stdout.fileno(), 65536):
        came = time.monotonic()
        for message in decoder.feed(chunk):
            events.append(Seen(int(message.id or 0), json.loads(message.data), came))
            if last(events[-1]):
                return events
    return events


def healthy(api: Api) -> bool:
    with suppress(httpx2.TransportError):
        return api.http.get("/api/health").is_success
    return False


def test_the_first_message_ever_with_curl(api: Api) -> None:
    """Runs first: a cold process shows `start` at once and tokens at the model's pace too."""
    with LocalSystem(PACE) as cold, curl(cold.url, {"messages": [user("hi")]}) as process:
        events = watch(process)
        conversation = http.get(f"{cold.url}/api/conversations/{events[-1].event['conversationId']}").json()

    assert events[0].type == "start"
    tokens = [event for event in events if event.type == "token"]
    assert tokens[0].at - events[0].at > 0.8, "the model takes a second to its first token, and `start` does not wait for it"
    assert len(tokens) > 40, "tokens are not lumped together"
    assert tokens[-1].at - tokens[0].at > 1, "the model takes two seconds for them"
    assert len({token.at for token in tokens}) > 10, "they come one by one, or a few together on a busy machine"
    created = next(event for event in events if event.type == "conversationCreated")
    assert created.at < tokens[-1].at
    assert [event.type for event in events].count("complete") == 1
    assert events[-1].type == "complete"

    question, answer = conversation["messages"]
    assert (question["role"], question["content"]) == ("user", "hi")
    assert answer["role"] == "assistant"
    assert answer["content"] == "".join(event.event["content"] for event in tokens)
    assert answer["usage"] == events[-1].event["usage"]
    assert answer["parentId"] == question["id"]


def test_curl_killed_in_mid_stream_loses_nothing(system: LocalSystem, api: Api) -> None:
    with curl(system.url, {"messages": [user("hi")]}) as process:
        events = watch(process, last=lambda event: event.type == "token")
        process.kill()
    turn_id = events[0].event["turnId"]

    turn = until(lambda: (found := api.turn(turn_id))["status"] == "complete" and found.get("conversationId") and found)

    conversation = api.http.get(f"/api/conversations/{turn['conversationId']}").json()
    answer = conversation["messages"][-1]
    assert answer["status"] == "complete"
    assert answer["content"] == api.resume(turn_id).text
    assert answer["usage"]["outputTokens"] > 0


def test_the_streaming_process_killed_in_mid_stream(system: LocalSystem) -> None:
    with curl(system.workers[0], {"messages": [user("a long story, please")]}) as process:
        first = watch(process, last=lambda event: event.type == "token")
        late_enough = first[-1].at + 1.2
        events = first + watch(process, last=lambda event: event.type == "token" and event.at > late_enough)
        killed_at = time.monotonic()
        system.kill_chat_worker(0)
        events += watch(process)
    assert process.returncode != 0, "the stream broke off"
    turn_id = events[0].event["turnId"]
    api = Api(system.url)
    shown_before = "".join(one.event["content"] for one in events if one.type == "token" and one.at < killed_at - 1.5)
    shown = "".join(one.event["content"] for one in events if one.type == "token")
    conversation_id = next(one.event["conversationId"] for one in events if one.type == "conversationCreated")

    at_once = api.http.get(f"/api/conversations/{conversation_id}").json()["messages"][-1]
    assert at_once["id"] == turn_id
    assert at_once["content"].startswith(shown_before)
    assert shown.startswith(at_once["content"]) or at_once["content"].startswith(shown)

    def settled() -> Any:
        item = system.dynamodb.query(
            TableName=system.conversations_table,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :sk)",
            ExpressionAttributeValues={":pk": {"S": f"CONV#{conversation_id}"}, ":sk": {"S": "MSG#000001#"}},
        )["Items"][0]
        return item if item["status"]["S"] == "interrupted" else None

    stored = until(settled, SETTLE_DELAY_S + 10)
    assert stored["content"]["S"] == at_once["content"]
    after = api.http.get(f"/api/conversations/{conversation_id}").json()["messages"][-1]
    assert (after["status"], after["content"]) == ("interrupted", at_once["content"])
    api.close()


def test_stop_from_a_second_connection(system: LocalSystem, api: Api) -> None:
    turn_id = new_id()
    with api.streaming({"turnId": turn_id, "messages": [user("hi")]}) as response:
        read(response, until="token")
        # The stream goes on behind the events already read; a second connection asks.
        second = Api(system.url)
        assert second.stop(turn_id).status_code == 202
    until(lambda: second.turn(turn_id)["status"] != "streaming")
    assert second.turn(turn_id)["status"] == "stopped", "by itself it would have ended two seconds after its first token"
    whole = second.resume(turn_id)
    assert (whole.last["type"], whole.last["status"]) == ("complete", "stopped")
    messages = second.http.get(f"/api/conversations/{whole.last['conversationId']}").json()["messages"]
    assert (messages[-1]["status"], messages[-1]["content"]) == ("stopped", whole.text)
    second.close()


def test_another_process_resumes_with_exactly_the_missing_events(system: LocalSystem) -> None:
    one, other = (Api(url) for url in system.workers)
    until(lambda: healthy(one) and healthy(other))  # one was killed before, and may still be starting
    turn_id = new_id()
    with one.streaming({"turnId": turn_id, "messages": [user("hi")]}) as response:
        begun = read(response, until="token")
    last_seen = begun.events[-1].id

    rest = other.resume(turn_id, after=last_seen)
    whole = one.resume(turn_id)

    assert [(seen.id, seen.event) for seen in rest.events] == [(seen.id, seen.event) for seen in whole.events][last_seen:]
    assert rest.events[-1].at - rest.events[0].at > 0.3, "the first came while the last was not made yet"
    one.close()
    other.close()


def test_edit_and_regenerate_make_siblings(api: Api) -> None:
    first = api.say("what is 1 + 1?")
    conversation_id = first.last["conversationId"]
    question, answer = api.http.get(f"/api/conversations/{conversation_id}").json()["messages"]
    branch = [{"id": question["id"], "role": "user", "content": question["content"]}]

    regenerated = api.post({"messages": branch, "parentId": question["id"]}, conversation_id)
    edited = api.post({"messages": [user("what is 2 + 2?")], "parentId": None}, conversation_id)

    def stored() -> Any:
        found = api.http.get(f"/api/conversations/{conversation_id}").json()["messages"]
        return found if len(found) == 5 and all(message["status"] == "complete" for message in found) else None

    messages = {message["id"]: message for message in until(stored)}
    assert messages[regenerated.last["turnId"]]["parentId"] == question["id"] == answer["parentId"]
    second_question = messages[messages[edited.last["turnId"]]["parentId"]]
    assert (second_question["content"], second_question["parentId"]) == ("what is 2 + 2?", None)
    assert [message["orderKey"] for message in messages.values()] == ["000000"] * 2 + ["000001"] * 3


def test_a_deleted_conversation_stays_deleted_while_its_turn_streams(system: LocalSystem, api: Api) -> None:
    with curl(system.url, {"messages": [user("hi")]}) as process:
        events = watch(process, last=lambda event: event.type == "conversationCreated")
        turn_id, conversation_id = events[0].event["turnId"], events[-1].event["conversationId"]
        assert api.http.delete(f"/api/conversations/{conversation_id}").status_code == 204
        rest = watch(process)

    assert rest[-1].type in {"complete", "error"}
    for _ in range(10):
        assert api.http.get(f"/api/conversations/{conversation_id}").status_code == 404
        time.sleep(0.1)
    # Its turn is gone with it, what it said meanwhile included, and the same turn posted again is not answered anew.
    for path in (f"/api/turns/{turn_id}", f"/api/turns/{turn_id}/stream"):
        assert api.http.get(path).status_code == 404
    again = api.post({"turnId": turn_id, "messages": [user("hi")]})
    assert (again.last["type"], again.last["code"]) == ("error", "conversation_not_found")
    assert "token" not in again.types
    kept = turns.checkpoint_keys(system.dynamodb, system.turns_table, turn_id, "local")
    assert kept == []
    left = system.dynamodb.query(
        TableName=system.conversations_table,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": f"CONV#{conversation_id}"}},
    )
    assert left["Items"] == []

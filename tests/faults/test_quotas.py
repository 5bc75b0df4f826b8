"""GUARANTEES 28: a user's quotas hold exactly, wherever the requests arrive, and never hold up a token."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest

from functions.chat_stream import quota as quota_module
from functions.common import keys
from functions.common.ids import new_id
from functions.common.records import SettleTurn, TurnFinished, TurnStarted
from infra.resources import TURNS
from local.environment import Ports, aws_environment
from local.model.script import done, finish, pause, status, token, tokens, usage, wait_for
from tests.support.chat import Api, Stream, user
from tests.support.system import System
from tests.support.waiting import until
from tests.support.wire import broken, hangs, throttled

REFUSED = "quota_exceeded"


def quota_item(system: System, user_id: str = "local") -> dict[str, Any]:
    key = {"pk": {"S": keys.user_pk(user_id)}, "sk": {"S": keys.QUOTA}}
    return dict(system.dynamodb.get_item(TableName=TURNS.name, Key=key, ConsistentRead=True).get("Item", {}))


def leases(system: System) -> list[str]:
    return list(quota_item(system).get("leases", {}).get("SS", []))


def carried_out_twice(request: Any) -> None:
    """The reply was lost when the kept connection was closed, and the request is sent again over another one."""
    httpx2.post(request.url, content=request.body, headers=request.headers).raise_for_status()


def test_a_turn_let_in_by_a_request_whose_reply_was_lost_does_not_stand_in_its_own_way(chat_system: System) -> None:
    chat_system.persisting()
    with chat_system.wire.fault("UpdateItem", carried_out_twice):
        stream = chat_system.serve(CHAT_QUOTA_STREAMS="1").say("hi")

    assert stream.last["type"] == "complete"
    (turns_of_the_minute,) = (value for name, value in quota_item(chat_system).items() if name.startswith("turns#"))
    assert turns_of_the_minute == {"N": "1"}
    assert leases(chat_system) == []


def all_at_once(apis: list[Api], count: int, over: int, then: threading.Event) -> list[Stream]:
    """So many turns at once; `then` is set when so many of them are over, or after 20 s."""
    barrier = threading.Barrier(count)

    def say(index: int) -> Stream:
        barrier.wait(30)
        return apis[index % len(apis)].say(f"number {index}")

    with ThreadPoolExecutor(count) as pool:
        futures = [pool.submit(say, index) for index in range(count)]
        end = time.monotonic() + 20
        while sum(future.done() for future in futures) < over and time.monotonic() < end:
            time.sleep(0.02)
        then.set()
        return [future.result() for future in futures]


def is_refused(stream: Stream) -> bool:
    """As a 429 before the stream, or as its only event but `start`."""
    if stream.status == 429:
        assert stream.problem["code"] == REFUSED
        assert int(stream.headers["retry-after"]) >= 1
        return True
    if stream.last["type"] == "error":
        assert stream.last["code"] == REFUSED
        assert stream.last["partial"] is False
        return True
    return False


@pytest.mark.parametrize("setting", ["QUOTA_STREAMS", "QUOTA_TURNS_PER_MINUTE"])
def test_of_50_requests_at_once_over_two_instances_exactly_the_allowed_number_start(chat_system: System, setting: str) -> None:
    all_refused = threading.Event()  # until then nobody gives a place back, however slow the machine
    chat_system.model.always_plays(wait_for(all_refused), token("let in"), finish(), done())
    instances = [chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1", **{setting: "7"}) for _ in range(2)]
    within_one_minute(20)

    streams = all_at_once(instances, 50, 50 - 7, all_refused)

    assert sum(not is_refused(stream) for stream in streams) == 7
    assert {stream.text for stream in streams if not is_refused(stream)} == {"let in"}
    records = chat_system.queued()
    kinds = {kind: sum(isinstance(record, kind) for record in records) for kind in (TurnStarted, TurnFinished)}
    assert kinds == {TurnStarted: 7, TurnFinished: 7}, "nothing of a refused turn is queued"
    assert leases(chat_system) == []


def within_one_minute(seconds: float = 8) -> None:
    """Waits, if need be, until the minute has so much left: the count begins anew with each."""
    if time.time() % 60 > 60 - seconds:
        threading.Event().wait(60 - time.time() % 60)


def test_a_refusal_that_only_the_table_can_tell_closes_the_model_and_leaves_nothing(chat_system: System) -> None:
    one, other = (chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1", CHAT_QUOTA_STREAMS="1") for _ in range(2))
    chat_system.model.plays(token("running"), pause(20), finish(), done())
    turn_id = new_id()
    with running(one, turn_id):
        chat_system.model.plays(pause(20), token("never"), finish(), done())
        refused_id = new_id()
        until(lambda: [type(record) for record in chat_system.queued()] == [TurnStarted])

        refused = other.post({"turnId": refused_id, "messages": [user("one too many")]})

        assert refused.types == ["start", "error"]
        assert (refused.last["code"], refused.last["retryable"], refused.last["partial"]) == (REFUSED, True, False)
        chat_system.model.wait_closed(2)
        assert chat_system.queued() == []
        assert other.http.get(f"/api/turns/{refused_id}").status_code == 404


def test_a_refused_turn_may_be_sent_again_under_its_id(chat_system: System) -> None:
    one, other = (chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1", CHAT_QUOTA_STREAMS="1") for _ in range(2))
    chat_system.model.plays(token("running"), pause(20), finish(), done())
    again = {"turnId": new_id(), "messages": [user("later, then")]}
    turn_id = new_id()
    with running(one, turn_id) as end:
        chat_system.model.plays(pause(20))
        assert is_refused(other.post(again))
        one.stop(turn_id)
        end()
    chat_system.model.plays(token("now"), finish(), done())

    assert other.post(again).text == "now"


def test_an_instance_that_knows_of_enough_streams_answers_429_without_asking_the_model(chat_system: System) -> None:
    api = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1", CHAT_QUOTA_STREAMS="1")
    chat_system.model.plays(token("running"), pause(20), finish(), done())
    turn_id = new_id()
    with running(api, turn_id):
        refused = api.say("one too many")

        assert (refused.status, refused.problem["code"], refused.headers["retry-after"]) == (429, REFUSED, "3")
        assert len(chat_system.model.requests) == 1


def test_a_minutes_limit_once_met_is_a_429_until_the_minute_is_over(chat_system: System) -> None:
    api = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1", CHAT_QUOTA_TURNS_PER_MINUTE="1")
    chat_system.model.always_plays(token("hi"), finish(), done())
    within_one_minute()
    assert api.say("first").last["type"] == "complete"

    assert api.say("second").last["code"] == REFUSED
    third = api.say("third")

    assert third.status == 429
    assert 1 <= int(third.headers["retry-after"]) <= 61
    assert len(chat_system.model.requests) == 2


def test_a_new_minute_begins_at_nothing(chat_system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    api = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1", CHAT_QUOTA_TURNS_PER_MINUTE="1")
    chat_system.model.always_plays(token("hi"), finish(), done())
    for minute in range(3):
        monkeypatch.setattr(quota_module, "_windows", lambda _, minute=minute: (f"turns#{minute}", "tokens#0"))
        assert api.say("hi").last["type"] == "complete"


def test_what_earlier_minutes_left_is_tidied_up(chat_system: System) -> None:
    item = {f"turns#{minute}": {"N": "1"} for minute in range(25)}
    key = {"pk": {"S": keys.user_pk("local")}, "sk": {"S": keys.QUOTA}}
    chat_system.dynamodb.put_item(TableName=TURNS.name, Item={**key, **item})

    chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1").say("hi")

    assert len([name for name in quota_item(chat_system) if name.startswith("turns#")]) == 1


@pytest.mark.parametrize("counted", [True, False], ids=["as the provider counts", "as estimated"])
def test_the_days_tokens_are_counted_and_then_refused(chat_system: System, counted: bool) -> None:
    api = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1", CHAT_QUOTA_TOKENS_PER_DAY="100")
    last = [usage(60, 40)] if counted else []
    chat_system.model.plays(tokens("x" * 200, "y" * 200), finish(), *last, done())
    chat_system.model.always_plays(token("hi"), finish(), done())

    assert api.say("hello").last["type"] == "complete"
    refused = api.say("more")

    assert (refused.last["code"], refused.last["retryable"]) == (REFUSED, False)
    later = api.say("more")
    assert (later.status, later.problem["code"]) == (429, REFUSED)
    assert int(later.headers["retry-after"]) <= 24 * 3600 + 1


def test_a_repeat_of_a_turn_uses_up_nothing(chat_system: System) -> None:
    one, other = (chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1", CHAT_QUOTA_TURNS_PER_MINUTE="2") for _ in range(2))
    chat_system.model.always_plays(pause(0.5), token("hi"), finish(), done())
    within_one_minute()
    turn = {"turnId": new_id(), "messages": [user("hi")]}

    for api in (one, other, one, other):
        assert api.post(turn).last["type"] == "complete"
    assert one.say("another").last["type"] == "complete"

    (count,) = (value for name, value in quota_item(chat_system).items() if name.startswith("turns#"))
    assert count == {"N": "2"}


@pytest.mark.parametrize("ending", ["complete", "failed", "stopped", "cut"])
def test_however_a_turn_ends_its_place_is_free_before_its_last_event(chat_system: System, ending: str) -> None:
    api = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1", CHAT_QUOTA_STREAMS="1")
    scripts = {
        "complete": (token("a"), finish(), done()),
        "failed": (status(400),),
        "stopped": (token("a"), pause(20)),
        "cut": (token("a"),),
    }
    for _ in range(3):
        chat_system.model.plays(*scripts[ending])
        turn_id = new_id()
        stopper = threading.Timer(0.3, api.stop, [turn_id]) if ending == "stopped" else None
        if stopper:
            stopper.start()

        stream = api.post({"turnId": turn_id, "messages": [user("hi")]})

        assert not is_refused_quietly(stream)
        assert leases(chat_system) == []
        if stopper:
            stopper.join()


def is_refused_quietly(stream: Stream) -> bool:
    return stream.status == 429 or stream.last.get("code") == REFUSED


@pytest.mark.usefixtures("brief_last_words")
@pytest.mark.parametrize("fault", [throttled(), broken()], ids=["throttled", "500"])
def test_when_the_table_fails_every_turn_is_let_in(chat_system: System, fault: Any) -> None:
    api = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1", CHAT_QUOTA_TURNS_PER_MINUTE="1")
    chat_system.model.always_plays(token("hi"), finish(), done())

    with chat_system.wire.fault("UpdateItem", fault):
        streams = [api.say("hi") for _ in range(3)]

    assert [stream.last["type"] for stream in streams] == ["complete"] * 3


def test_no_quota_is_no_write(chat_system: System) -> None:
    api = chat_system.serve(
        CHAT_RECEIPT_WAIT_S="0.1", CHAT_QUOTA_STREAMS="0", CHAT_QUOTA_TURNS_PER_MINUTE="0", CHAT_QUOTA_TOKENS_PER_DAY="0"
    )
    chat_system.model.plays(token("hi"), finish(), done())

    api.say("hi")

    assert quota_item(chat_system) == {}
    assert chat_system.wire.calls("UpdateItem") == []


def test_without_a_limit_on_streams_no_leases_pile_up(chat_system: System) -> None:
    api = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1", CHAT_QUOTA_STREAMS="0", CHAT_QUOTA_TURNS_PER_MINUTE="100")
    chat_system.model.always_plays(token("hi"), finish(), done())
    long_dead = [f"{number:010d} {new_id()} {new_id()}" for number in range(20)]
    chat_system.dynamodb.put_item(
        TableName=TURNS.name,
        Item={"pk": {"S": "USER#local"}, "sk": {"S": "QUOTA"}, "leases": {"SS": long_dead}, "expires_at": {"N": "9999999999"}},
    )

    assert api.say("hi").last["type"] == "complete"

    assert leases(chat_system) == []


def test_a_place_whose_turn_is_over_but_was_never_given_back_is_found_by_the_next(chat_system: System) -> None:
    api = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1", CHAT_QUOTA_STREAMS="1")
    chat_system.model.always_plays(token("hi"), finish(), done())

    def only_the_release(request: Any) -> Any:
        return throttled()(request) if b"DELETE #leases" in request.body else None

    with chat_system.wire.fault("UpdateItem", only_the_release):
        assert api.say("hi").last["type"] == "complete"
    assert len(leases(chat_system)) == 1

    assert api.say("and again").last["type"] == "complete"
    assert leases(chat_system) == []


def test_the_place_of_a_killed_worker_heals(chat_system: System) -> None:
    chat_system.model.plays(tokens(*("word " for _ in range(400)), delay_s=0.05), finish(), done())
    turn_id = new_id()
    asked = {"turnId": turn_id, "messages": [user("hi")]}
    with worker(chat_system, CHAT_QUOTA_STREAMS="1", CHAT_CHECKPOINT_S="0.2") as (api, process), api.streaming(asked) as response:
        next(response.iter_raw())
        until(lambda: any(turn_id in lease for lease in leases(chat_system)))
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
    api = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1", CHAT_QUOTA_STREAMS="1")
    chat_system.model.always_plays(token("healed"), finish(), done())
    assert is_refused(api.say("too early: it might still live"))

    age(chat_system, turn_id, seconds=20)

    assert api.say("hi").text == "healed"
    assert leases(chat_system) == []


def age(system: System, turn_id: str, seconds: float) -> None:
    """Makes the turn's signs of life older, as if so much time had passed."""
    pk = {"S": keys.turn_pk(turn_id, "local")}
    items = system.dynamodb.query(
        TableName=TURNS.name, KeyConditionExpression="pk = :pk", ExpressionAttributeValues={":pk": pk}, ConsistentRead=True
    )["Items"]
    for item in items:
        if "at" in item:
            item["at"] = {"N": str(int(item["at"]["N"]) - int(seconds * 1000))}
            system.dynamodb.put_item(TableName=TURNS.name, Item=item)


@contextmanager
def running(api: Api, turn_id: str) -> Iterator[Callable[[], None]]:
    """A turn under way, its first token shown. The function given waits for its end."""
    shown, streams = threading.Event(), []

    def post() -> None:
        with api.streaming({"turnId": turn_id, "messages": [user("hi")]}) as response:
            for chunk in response.iter_raw():
                streams.append(chunk)
                if b'"token"' in b"".join(streams):
                    shown.set()

    thread = threading.Thread(target=post)
    thread.start()
    assert shown.wait(10)
    until(lambda: api.http.get(f"/api/turns/{turn_id}").status_code == 200)
    try:
        yield lambda: thread.join(10)
    finally:
        api.stop(turn_id)
        thread.join(10)
    assert not thread.is_alive()


@contextmanager
def worker(system: System, **env: str) -> Iterator[tuple[Api, "subprocess.Popen[bytes]"]]:
    """The streaming function as a process of its own."""
    port = Ports.free(1).chat[0]
    settings = {
        "OPENAI_BASE_URL": system.model.url,
        "OPENAI_API_KEY": "sk-test",
        "TURNS_TABLE": TURNS.name,
        "QUEUE_URL": system.queue_url,
        "DEFAULT_MODEL": "test-model",
        "PORT": str(port),
        "PATH": os.environ["PATH"],
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "functions.chat_stream"],
        env=settings | aws_environment(system.endpoint) | env,
        stdout=subprocess.DEVNULL,
    )
    api = Api(f"http://127.0.0.1:{port}")
    try:
        until(lambda: answers(api))
        yield api, process
    finally:
        process.kill()
        process.wait(10)
        api.close()


def answers(api: Api) -> bool:
    try:
        return api.http.get("/api/health").status_code == 200
    except httpx2.TransportError:
        return False


def test_records_of_a_settling_are_not_sent_for_a_refused_turn(chat_system: System) -> None:
    api = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1", CHAT_QUOTA_TOKENS_PER_DAY="1")
    chat_system.model.always_plays(token("four"), finish(), usage(1, 1), done())
    api.say("first")
    first = chat_system.wire.calls("SendMessageBatch")

    assert is_refused(api.say("second"))

    assert chat_system.wire.calls("SendMessageBatch") == first
    assert not any(isinstance(record, SettleTurn) for record in chat_system.queued())


def test_with_all_streams_open_what_an_instance_has_refused_once_does_not_reach_the_model_again(chat_system: System) -> None:
    one, other = (chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1", CHAT_QUOTA_STREAMS="1") for _ in range(2))
    chat_system.model.plays(token("running"), pause(20), finish(), done())
    with running(one, new_id()):
        chat_system.model.always_plays(pause(20))
        assert is_refused(other.say("first"))
        asked = len(chat_system.model.requests)
        for _ in range(5):
            assert is_refused(other.say("again"))
        assert len(chat_system.model.requests) == asked


def test_attempts_refused_for_too_many_streams_count_as_turns_of_the_minute(chat_system: System) -> None:
    one, other = (
        chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1", CHAT_QUOTA_STREAMS="1", CHAT_QUOTA_TURNS_PER_MINUTE="3") for _ in range(2)
    )
    chat_system.model.plays(token("running"), pause(20), finish(), done())
    within_one_minute()
    with running(one, new_id()):
        chat_system.model.always_plays(pause(20))
        again = {"turnId": new_id(), "messages": [user("the same turn, sent again")]}
        sentences = [other.post(again).last["message"] for _ in range(3)]
        assert other.post(again).status == 429

    assert ["minute" in sentence for sentence in sentences] == [False, False, True]


def test_a_long_prompt_is_refused_before_the_model_sees_it(chat_system: System) -> None:
    api = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1", CHAT_QUOTA_TURNS_PER_MINUTE="1")
    chat_system.model.always_plays(token("hi"), finish(), done())
    within_one_minute()
    assert api.say("word " * 10_000).text == "hi"
    asked = len(chat_system.model.requests)

    assert is_refused(chat_system.serve(CHAT_QUOTA_TURNS_PER_MINUTE="1").say("word " * 10_000))
    assert len(chat_system.model.requests) == asked


def test_a_table_that_does_not_answer_holds_a_long_prompt_up_only_so_long(chat_system: System) -> None:
    chat_system.model.plays(token("hi"), finish(), done())
    with chat_system.wire.fault("dynamodb", hangs(4)):
        began = time.monotonic()
        stream = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1", CHAT_SAVE_S="0.1").post(
            {"messages": [user("word " * 10_000)]}, until="token"
        )
    assert stream.events[-1].type == "token"
    assert time.monotonic() - began < 10


def test_the_resumes_of_a_user_are_bounded_over_all_instances_and_places_come_back(chat_system: System) -> None:
    one, other = (chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1", CHAT_QUOTA_RESUMES="2") for _ in range(2))
    chat_system.model.plays(token("running"), pause(20), finish(), done())
    turn_id = new_id()
    with running(one, turn_id) as end:
        path = f"/api/turns/{turn_id}/stream"
        with one.http.stream("GET", path) as first, other.http.stream("GET", path) as second:
            assert (first.status_code, second.status_code) == (200, 200)
            for api in (one, other):
                refused = api.resume(turn_id)
                assert (refused.status, refused.problem["code"]) == (429, REFUSED)
            one.stop(turn_id)
            end()
    until(lambda: not quota_item(chat_system).get("resumes"))
    assert other.resume(turn_id).text == "running"


def test_places_of_resumes_that_died_are_free_when_their_time_is_over(chat_system: System) -> None:
    chat_system.model.plays(token("hi"), finish(), done())
    api = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1", CHAT_QUOTA_RESUMES="1")
    turn_id = api.say("hi").last["turnId"]
    key: Any = {"pk": {"S": keys.user_pk("local")}, "sk": {"S": keys.QUOTA}}

    def dead_until(seconds: int) -> None:
        item = {**key, "resumes": {"SS": [f"{int(time.time()) + seconds} dead"]}, "expires_at": {"N": "9999999999"}}
        chat_system.dynamodb.put_item(TableName=TURNS.name, Item=item)

    dead_until(60)
    assert api.resume(turn_id).status == 429
    dead_until(-60)
    assert api.resume(turn_id).text == "hi"


@pytest.mark.parametrize("streams", ["0", "5"], ids=["without a limit on streams", "with one"])
def test_calls_whose_replies_were_lost_and_that_were_made_again_count_once(chat_system: System, streams: str) -> None:
    api = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1", CHAT_QUOTA_STREAMS=streams)
    chat_system.model.plays(token("hi"), usage(100, 23), finish(), done())
    within_one_minute()
    with chat_system.wire.fault("UpdateItem", carried_out_twice):
        assert api.say("hi").last["type"] == "complete"

    item = quota_item(chat_system)
    assert [int(item[name]["N"]) for name in item if name.startswith("turns#")] == [1]
    assert [int(item[name]["N"]) for name in item if name.startswith("tokens#")] == [123]
    assert leases(chat_system) == []

"""The same turn sent twice: one model call that counts, one stored turn, the same answer for both."""

import threading
import time
from collections.abc import Callable
from unittest import mock

import pytest

from functions.chat_stream import running
from functions.chat_stream.event_log import EventLog
from functions.common.ids import new_id
from functions.common.records import TurnFinished
from infra.resources import TURNS
from local.model.script import done, finish, pause, token, tokens, wait_for
from tests.support.chat import Api, Stream, serving, settings, user
from tests.support.system import System
from tests.support.waiting import until
from tests.support.wire import Effect, late, throttled, times


def body(turn_id: str, content: str = "hi") -> dict[str, object]:
    return {"turnId": turn_id, "messages": [user(content)]}


def test_posted_again_after_its_end_it_is_replayed(chat_system: System) -> None:
    chat_system.persisting()
    turn_id = new_id()
    chat_system.model.plays(token("Hel"), token("lo"), finish(), done())
    first = chat_system.api.post(body(turn_id))

    again = chat_system.api.post(body(turn_id))

    assert [seen.event for seen in again.events] == [seen.event for seen in first.events]
    assert len(chat_system.model.requests) == 1


def test_posted_again_while_it_runs_both_see_the_same_events(chat_system: System) -> None:
    chat_system.persisting()
    turn_id = new_id()
    chat_system.model.plays(tokens(*"abcdefgh", delay_s=0.1), finish(), done())

    first, second = at_once(chat_system.api, chat_system.api, turn_id)

    assert [seen.event for seen in second.events] == [seen.event for seen in first.events]
    assert len(chat_system.model.requests) == 1


def test_posted_again_when_its_beginning_has_left_memory_it_is_seen_whole(chat_system: System) -> None:
    """What is stored and was sent is not kept (`EventLog.stored`): the second response reads it from the table."""
    chat_system.persisting()
    turn_id = new_id()
    chat_system.model.plays(tokens(*(f"{number} " for number in range(40)), delay_s=0.1), finish(), done())
    seen: list[Stream] = []
    talking = threading.Thread(target=lambda: seen.append(chat_system.api.post(body(turn_id))))
    gone = threading.Event()

    def watched(log: EventLog, count: int, stored: Callable[[EventLog, int], None] = EventLog.stored) -> None:
        stored(log, count)
        if log.dropped > 5:
            gone.set()

    with mock.patch.object(EventLog, "stored", watched):
        talking.start()
        assert gone.wait(20)
        again = chat_system.api.post(body(turn_id))
        talking.join(20)

    (first,) = seen
    assert [(one.id, one.event) for one in again.events] == [(one.id, one.event) for one in first.events]
    assert len(chat_system.model.requests) == 1


def test_posted_to_another_instance_it_is_replayed_from_there(chat_system: System) -> None:
    chat_system.persisting()
    one, other = chat_system.serve(), chat_system.serve()
    turn_id = new_id()
    chat_system.model.plays(token("Hel"), token("lo"), finish(), done())
    first = one.post(body(turn_id))
    chat_system.model.plays(pause(2), token("never shown"), finish(), done())

    again = other.post(body(turn_id))

    assert [(seen.id, seen.event) for seen in again.events] == [(seen.id, seen.event) for seen in first.events]


@pytest.mark.parametrize("same_instance", [True, False])
def test_posted_twice_at_the_same_instant_it_is_stored_once(chat_system: System, same_instance: bool) -> None:
    chat_system.persisting()
    one = chat_system.serve()
    other = one if same_instance else chat_system.serve()
    turn_id = new_id()
    chat_system.model.always_plays(pause(1), tokens("one ", "two ", "three", delay_s=0.1), finish(), done())

    first, second = at_once(one, other, turn_id)
    chat_system.persist()

    assert first.text == second.text == "one two three"
    assert first.last == second.last
    messages = chat_system.messages(first.last["conversationId"])
    assert [(message["role"], message["content"]) for message in messages] == [("user", "hi"), ("assistant", "one two three")]


@pytest.mark.parametrize("same_instance", [True, False])
def test_the_same_id_for_another_request_is_refused_and_stores_nothing(chat_system: System, same_instance: bool) -> None:
    chat_system.persisting()
    one = chat_system.serve()
    other = one if same_instance else chat_system.serve()
    turn_id = new_id()
    chat_system.model.plays(token("first"), finish(), done())
    first = one.post(body(turn_id))
    chat_system.model.plays(pause(5), token("second"), finish(), done())

    refused = other.post(body(turn_id, "something else"))
    chat_system.persist()

    if same_instance:
        assert (refused.status, refused.problem["code"]) == (409, "duplicate_turn")
    else:
        assert refused.types == ["start", "error"]
        assert refused.last["code"] == "duplicate_turn"
        chat_system.model.wait_closed(2)
    stored = chat_system.messages(first.last["conversationId"])
    assert [message["content"] for message in stored] == ["hi", "first"]


def test_a_message_under_the_id_of_another_message_ends_the_turn_and_stores_nothing(chat_system: System) -> None:
    chat_system.persisting()
    api = chat_system.api
    question = user("hi", id=new_id())
    first = api.post({"messages": [question]})
    conversation_id, answer_id = first.last["conversationId"], first.last["turnId"]
    branch = [question, {"id": answer_id, "role": "assistant", "content": first.text}]
    until(lambda: all("content" in message for message in chat_system.messages(conversation_id)))
    before = chat_system.messages(conversation_id)

    chat_system.model.plays(tokens(*"abcdefgh", delay_s=0.3), finish(), done())
    second = api.post({"messages": [*branch, user("what next?", id=new_id())], "parentId": answer_id}, conversation_id)
    assert second.last["type"] == "complete"
    chat_system.model.plays(tokens(*"abcdefgh", delay_s=0.3), finish(), done())
    refused = api.post({"messages": [{**question, "content": "something else"}], "parentId": None}, conversation_id)

    assert (refused.last["type"], refused.last["code"], refused.last["retryable"]) == ("error", "duplicate_turn", False)
    kept = [*(message["content"] for message in before), "what next?", "abcdefgh"]
    until(lambda: [message.get("content") for message in chat_system.messages(conversation_id)] == kept)


def test_a_second_run_whose_tokens_were_shown_already_says_so_and_stores_nothing(chat_system: System) -> None:
    one, other = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1"), chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1")
    turn_id = new_id()
    chat_system.model.plays(token("the first answer"), finish(), done())
    one.post(body(turn_id))
    chat_system.model.plays(token("another answer"), pause(2), finish(), done())
    with chat_system.wire.fault("PutItem", late(0.4)):
        second = other.post(body(turn_id))
    chat_system.persist()

    assert second.types == ["start", "token", "error"]
    assert (second.last["code"], second.last["partial"]) == ("duplicate_turn", False)
    conversation_id = one.turn(turn_id)["conversationId"]
    assert [message["content"] for message in chat_system.messages(conversation_id)] == ["hi", "the first answer"]


def test_a_second_run_whose_short_answer_was_over_first_says_so_at_once(chat_system: System) -> None:
    one, other = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1"), chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1")
    turn_id = new_id()
    chat_system.model.always_plays(token("short"), finish(), done())
    one.post(body(turn_id))
    chat_system.queued()
    began = time.monotonic()
    with chat_system.wire.fault("PutItem", late(0.4)):
        second = other.post(body(turn_id))

    assert (second.last["code"], second.last["partial"]) == ("duplicate_turn", False)
    assert time.monotonic() - began < 3
    assert chat_system.queued() == []


def of_the_claim(effect: Effect) -> Effect:
    """The effect, for the puts of claims alone."""
    return lambda request: effect(request) if b'"digest"' in request.body else None


def test_a_run_that_learns_late_that_it_is_another_s_shows_that_one_under_its_numbers(chat_system: System) -> None:
    chat_system.persisting()
    one, other = chat_system.serve(), chat_system.serve()
    turn_id = new_id()
    chat_system.model.plays(tokens(*"abcdefgh", delay_s=0.4), finish(), done())
    chat_system.model.plays(pause(20), token("never shown"))
    streams: list[Stream] = []
    talking = threading.Thread(target=lambda: streams.append(one.post(body(turn_id))))
    talking.start()
    until(lambda: one.http.get(f"/api/turns/{turn_id}").json().get("conversationId"))
    with chat_system.wire.fault("PutItem", of_the_claim(times(1, throttled()))):
        again = other.post(body(turn_id))
    talking.join(20)

    (first,) = streams
    # It may have heard of its conversation before it knew of the other run, whose numbers it can then not go on with.
    if again.last["type"] == "complete":
        assert [(seen.id, seen.event) for seen in again.events] == [(seen.id, seen.event) for seen in first.events]
    else:
        assert again.types == ["start", "conversationCreated", "error"]
        assert again.last["code"] == "duplicate_turn"


def test_a_server_that_goes_down_waits_for_no_run_elsewhere_that_it_shows(chat_system: System) -> None:
    one = chat_system.serve()
    turn_id = new_id()
    goes_on = threading.Event()
    chat_system.model.plays(token("a"), wait_for(goes_on), token("b"), finish(), done())
    chat_system.model.plays(pause(20), token("never shown"))
    talking = threading.Thread(target=lambda: one.post(body(turn_id)))
    talking.start()
    until(lambda: one.http.get(f"/api/turns/{turn_id}").status_code == 200)
    shown: list[Stream] = []
    with serving(settings(chat_system.model.url, TURNS.name, chat_system.queue_url)) as url:
        other = Api(url)
        listening = threading.Thread(target=lambda: shown.append(other.post(body(turn_id))))
        listening.start()
        chat_system.model.wait_closed(2)  # its own request was given up
    assert talking.is_alive(), "the server went down while the run that it showed went on"
    goes_on.set()
    listening.join(10)
    other.close()
    talking.join(20)

    assert shown[0].types in (["start"], ["start", "token"])  # no end: the run goes on, and its reader finds it elsewhere


def at_once(one: Api, other: Api, turn_id: str) -> tuple[Stream, Stream]:
    results: list[Stream] = []
    gate = threading.Barrier(2)

    def post(api: Api) -> None:
        gate.wait()
        results.append(api.post(body(turn_id)))

    threads = [threading.Thread(target=post, args=(api,)) for api in (one, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    first, second = results
    return first, second


def test_a_turn_that_runs_is_known_however_many_have_run_since_it_began(
    chat_system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "_REMEMBERED", 2)
    end = threading.Event()
    api, turn_id = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1", CHAT_QUOTA_STREAMS="5"), new_id()
    chat_system.model.plays(token("long"), wait_for(end), finish(), done())
    streams: list[Stream] = []
    posts = [threading.Thread(target=lambda: streams.append(api.post(body(turn_id)))) for _ in range(2)]
    posts[0].start()
    until(lambda: chat_system.model.requests)
    chat_system.model.always_plays(token("short"), finish(), done())
    for _ in range(4):
        assert api.say("hi").text == "short"
    asked = len(chat_system.model.requests)
    posts[1].start()
    time.sleep(0.3)  # were it to ask the model again, it would have by now
    end.set()
    for post in posts:
        post.join(20)

    assert [stream.text for stream in streams] == ["long", "long"]
    assert len(chat_system.model.requests) == asked
    assert [type(record) for record in chat_system.queued()].count(TurnFinished) == 5
    chat_system.persist()

"""Leaving, coming back and stopping: from any instance, with no event missed, doubled or made up."""

import threading
import time

import pytest

from functions.common.ids import new_id
from functions.common.turns import read_turn
from infra.resources import TURNS
from local.model.script import Step, done, endless, finish, pause, token, tokens, wait_for
from tests.support.chat import Api, Stream, read, serving, settings, user
from tests.support.system import System
from tests.support.waiting import until
from tests.support.wire import late, times


def seen(stream: Stream) -> list[tuple[int, dict[str, object]]]:
    return [(one.id, one.event) for one in stream.events]


def test_a_finished_turn_is_replayed_from_any_event_on(chat_system: System) -> None:
    chat_system.persisting()
    chat_system.model.plays(tokens("a", "b", "c", delay_s=0.02), finish(), done())
    whole = chat_system.serve().say("hi")
    other = chat_system.serve()
    turn_id = whole.last["turnId"]

    for after in range(len(whole.events) + 1):
        assert seen(other.resume(turn_id, after)) == seen(whole)[after:]


def test_a_running_turn_is_followed_live_from_another_instance(chat_system: System) -> None:
    chat_system.persisting()
    one, other = chat_system.serve(), chat_system.serve()
    turn_id = new_id()
    first, then = ([f"{number} " for number in numbers] for numbers in (range(10), range(10, 30)))
    followed_by_now = threading.Event()  # a replay of the end would wait for ever
    chat_system.model.plays(tokens(*first, delay_s=0.1), wait_for(followed_by_now), tokens(*then, delay_s=0.1), finish(), done())
    streams: list[Stream] = []
    talking = threading.Thread(target=lambda: streams.append(one.post({"turnId": turn_id, "messages": [user("count")]})))
    talking.start()
    wait_for_event(chat_system, turn_id, 5)

    with other.http.stream("GET", f"/api/turns/{turn_id}/stream", headers={"last-event-id": "3"}) as response:
        followed = read(response, heard=lambda _: followed_by_now.set())
    talking.join(20)

    (whole,) = streams
    assert seen(followed) == seen(whole)[3:]


def test_the_query_may_carry_the_last_event_id(chat_system: System) -> None:
    whole = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1").say("hi")

    with chat_system.api.http.stream("GET", f"/api/turns/{whole.last['turnId']}/stream?lastEventId=2") as response:
        assert seen(read(response)) == seen(whole)[2:]


def test_a_client_that_leaves_does_not_end_the_turn(chat_system: System) -> None:
    chat_system.persisting()
    api = chat_system.serve()
    go = threading.Event()
    chat_system.model.plays(token("before "), wait_for(go), token("after"), finish(), done())

    left = api.post({"messages": [user("hi")]}, until="token")
    go.set()

    turn_id = left.events[0].event["turnId"]
    wait_for_claim(api, turn_id)
    resumed = api.resume(turn_id)
    assert resumed.text == "before after", seen(resumed)
    chat_system.persist()
    answer = chat_system.messages(api.turn(turn_id)["conversationId"])[-1]
    assert (answer["content"], answer["status"]) == ("before after", "complete")


@pytest.mark.parametrize("beginning", [[token("so far ")], [pause(0.3)]], ids=["after tokens", "before any token"])
def test_stop_from_another_instance_ends_the_turn_within_about_a_second(chat_system: System, beginning: list[Step]) -> None:
    chat_system.persisting()
    one, other = chat_system.serve(), chat_system.serve()
    turn_id = new_id()
    chat_system.model.plays(*beginning, endless("more ", delay_s=0.05))
    streams: list[Stream] = []
    talking = threading.Thread(target=lambda: streams.append(one.post({"turnId": turn_id, "messages": [user("go on")]})))
    talking.start()
    wait_for_claim(other, turn_id)

    response = other.stop(turn_id)
    known = time.monotonic()
    talking.join(20)
    # It looks every 0.8 s, and the first look after the stop was written ends it.
    saved = next(call.at for call in chat_system.wire.calls("SendMessageBatch") if "turn_finished" in str(call.body))
    looks = [call for call in chat_system.wire.calls("Query") if known < call.at < saved and turn_id in str(call.body)]
    chat_system.persist()

    (stream,) = streams
    assert response.status_code == 202
    assert len(looks) <= 1
    assert (stream.last["type"], stream.last["status"]) == ("complete", "stopped")
    assert other.turn(turn_id)["status"] == "stopped"
    answer = chat_system.messages(stream.last["conversationId"])[-1]
    assert (answer["content"], answer["status"]) == (stream.text, "stopped")
    chat_system.model.wait_closed()


@pytest.mark.parametrize("same_instance", [True, False])
def test_a_stop_that_is_quicker_than_the_claim_is_heard(chat_system: System, same_instance: bool) -> None:
    chat_system.persisting()
    one = chat_system.serve()
    other = one if same_instance else chat_system.serve()
    turn_id = new_id()
    chat_system.model.plays(token("so far"), pause(30))
    claim = times(1, late(0.4))
    with chat_system.wire.fault("PutItem", claim), one.streaming({"turnId": turn_id, "messages": [user("hi")]}) as sent:
        assert other.stop(turn_id).status_code == 202
        stream = read(sent)

    assert (stream.last["type"], stream.last["status"]) == ("complete", "stopped")


def test_a_turn_that_has_just_begun_here_is_found_here(chat_system: System) -> None:
    turn_id = new_id()
    chat_system.model.plays(token("so far"), pause(30))
    with chat_system.wire.fault("PutItem", times(1, late(0.3))):
        with chat_system.api.streaming({"turnId": turn_id, "messages": [user("hi")]}):
            assert chat_system.api.turn(turn_id)["status"] == "streaming"
        chat_system.api.stop(turn_id)


def test_stopping_a_turn_that_is_over_changes_nothing(chat_system: System) -> None:
    api = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1")
    whole = api.say("hi")
    turn_id = whole.last["turnId"]

    assert api.stop(turn_id).status_code == 202

    assert api.turn(turn_id)["status"] == "complete"
    assert seen(api.resume(turn_id)) == seen(whole)


def test_a_server_that_goes_down_saves_what_was_said(chat_system: System) -> None:
    turn_id = new_id()
    chat_system.model.plays(token("so far"), pause(30))
    streams: list[Stream] = []
    with serving(settings(chat_system.model.url, TURNS.name, chat_system.queue_url)) as url:
        api = Api(url)
        talking = threading.Thread(target=lambda: streams.append(api.say("hi", turnId=turn_id)))
        talking.start()
        wait_for_event(chat_system, turn_id, 2)  # the token, behind the start
        until(lambda: bool(chat_system.wire.calls("SendMessageBatch")))
    talking.join(10)
    api.close()

    (stream,) = streams
    assert (stream.last["type"], stream.last["code"], stream.last["partial"]) == ("error", "deadline", True)
    chat_system.persist()
    conversation_id = chat_system.api.turn(turn_id)["conversationId"]
    answer = chat_system.messages(conversation_id)[-1]
    assert (answer["content"], answer["status"], answer["error"]) == ("so far", "failed", "deadline")


def test_a_receipt_that_comes_while_the_log_is_sealed_gets_no_number(chat_system: System) -> None:
    """Live and stored events would differ, and a reader cut in between would wait for an end that has gone by."""
    api = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.3")
    turn_id = new_id()
    chat_system.model.plays(token("whole"), finish(), done())
    storing = threading.Timer(0.5, chat_system.persist)
    chat_system.wire.after("TransactWriteItems", lambda: time.sleep(1))
    storing.start()
    stream = api.post({"turnId": turn_id, "messages": [user("hi")]})
    storing.join(20)

    assert stream.types == ["start", "token", "persistPending", "complete"]
    assert seen(api.resume(turn_id)) == seen(stream)


def wait_for_claim(api: Api, turn_id: str) -> None:
    until(lambda: api.http.get(f"/api/turns/{turn_id}").status_code == 200)


def wait_for_event(system: System, turn_id: str, number: int) -> None:
    """Until event `number` is in a checkpoint."""

    def there() -> bool:
        view = read_turn(system.dynamodb, TURNS.name, turn_id, "local")
        return view is not None and any(checkpoint.last >= number for checkpoint in view.checkpoints)

    until(there)


def test_a_follower_waits_for_the_end_of_the_log_when_the_answer_is_stored_before_it(chat_system: System) -> None:
    chat_system.persisting()
    one, other = chat_system.serve(), chat_system.serve()
    turn_id = new_id()
    chat_system.model.plays(token("whole"), finish(), done())
    streams: list[Stream] = []
    with chat_system.wire.fault("TransactWriteItems", late(1)):
        talking = threading.Thread(target=lambda: streams.append(one.post({"turnId": turn_id, "messages": [user("hi")]})))
        talking.start()
        until(lambda: other.http.get(f"/api/turns/{turn_id}").json().get("status") == "complete")

        followed = other.resume(turn_id)
        talking.join(20)

    assert seen(followed) == seen(streams[0])

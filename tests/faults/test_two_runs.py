"""Two runs of one turn, and turns whose end could not be written: nobody is told `durable` of what is not stored."""

import threading
from collections.abc import Mapping
from typing import Any

import pytest

from functions.common import keys
from functions.common.ids import new_id
from functions.common.records import TurnFinished
from functions.common.turns import DEAD_AFTER_S
from infra.resources import TURNS
from local.model.script import cut, done, finish, pause, token, tokens
from tests.faults.test_quotas import within_one_minute
from tests.support.chat import Api, Stream, user
from tests.support.system import System
from tests.support.waiting import until
from tests.support.wire import Effect, answer, broken, hangs, late, throttled, times

CONFLICT = answer(
    400, {"__type": "TransactionCanceledException", "CancellationReasons": [{"Code": "TransactionConflict"}, {"Code": "None"}]}
)


def body(turn_id: str) -> dict[str, Any]:
    return {"turnId": turn_id, "messages": [user("hi")]}


def of(name: str, effect: Effect) -> Effect:
    """The effect, on the requests that hold this text."""
    return lambda request: effect(request) if name.encode() in request.body else None


def claim(system: System, turn_id: str) -> Mapping[str, Any]:
    key = {"pk": {"S": keys.turn_pk(turn_id, "local")}, "sk": {"S": keys.TURN}}
    return system.dynamodb.get_item(TableName=TURNS.name, Key=key, ConsistentRead=True).get("Item", {})


def age(system: System, turn_id: str) -> None:
    """Makes all that a turn wrote so old that its run is taken for dead."""
    items = system.dynamodb.query(
        TableName=TURNS.name,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": keys.turn_pk(turn_id, "local")}},
    )["Items"]
    for item in items:
        if "at" in item:
            at = int(item["at"]["N"]) - int((DEAD_AFTER_S + 1) * 1000)
            system.dynamodb.put_item(TableName=TURNS.name, Item={**item, "at": {"N": str(at)}})


def test_a_run_that_could_not_claim_its_turn_does_not_end_as_durable_when_another_holds_the_claim(chat_system: System) -> None:
    one, other = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1"), chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1")
    turn_id = new_id()
    chat_system.model.plays(token("so far "), pause(0.5), cut())
    first = one.post(body(turn_id))
    chat_system.model.plays(token("a whole other answer"), finish(), done())
    with chat_system.wire.fault("PutItem", of('"digest"', times(6, throttled()))):
        second = other.post(body(turn_id))
    chat_system.persist()

    assert (first.last["code"], first.last["partial"]) == ("model_cut", True)
    assert (second.last["type"], second.last["code"], second.last["partial"]) == ("error", "duplicate_turn", False)
    (_, stored) = chat_system.messages(one.turn(turn_id)["conversationId"])
    assert (stored["content"], stored["status"]) == ("so far ", "failed")


@pytest.mark.usefixtures("brief_last_words")
def test_a_turn_that_could_write_no_claim_at_all_is_stored_found_and_not_answered_again(chat_system: System) -> None:
    turn_id = new_id()
    chat_system.model.plays(token("hello"), finish(), done())
    with chat_system.wire.fault("dynamodb", broken()):
        stream = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1").post(body(turn_id))
    assert (stream.types[-2:], stream.last["durable"]) == (["persistPending", "complete"], False)
    chat_system.persist()

    state = chat_system.api.turn(turn_id)
    assert (state["status"], state["durable"]) == ("complete", True)
    again = chat_system.api.post(body(turn_id))
    assert again.last["type"] == "error"
    assert [message["content"] for message in chat_system.messages(state["conversationId"])] == ["hi", "hello"]


def killed_before_the_queue_had_it(system: System) -> str:
    """A turn whose claim and first words are there and of which the queue has nothing: what a SIGKILL leaves."""
    turn_id = new_id()
    left = system.serve(CHAT_CHECKPOINT_S="0.1", CHAT_SAVE_S="0.3", CHAT_RECEIPT_WAIT_S="0.1")
    system.model.plays(tokens("never ", "queued "), pause(0.5), token("at all"), finish(), done())
    with system.wire.fault("sqs", broken()), system.wire.fault("TransactWriteItems", broken()):
        assert left.post(body(turn_id)).last["code"] == "not_saved"
    age(system, turn_id)
    assert claim(system, turn_id)["status"] == {"S": "streaming"}
    return turn_id


@pytest.mark.usefixtures("brief_last_words")
def test_of_a_turn_that_died_before_the_queue_had_it_a_reader_is_told_that_it_is_not_saved(chat_system: System) -> None:
    turn_id = killed_before_the_queue_had_it(chat_system)

    resumed = chat_system.serve().resume(turn_id)

    assert resumed.text.startswith("never queued ")
    assert (resumed.last["code"], resumed.last["retryable"], resumed.last["partial"]) == ("not_saved", True, False)


@pytest.mark.usefixtures("brief_last_words")
def test_a_turn_that_died_before_the_queue_had_it_can_be_sent_again_under_its_id(chat_system: System) -> None:
    turn_id = killed_before_the_queue_had_it(chat_system)
    chat_system.persisting()
    chat_system.model.plays(tokens(*"a new answer", delay_s=0.02), finish(), done())

    again = chat_system.serve().post(body(turn_id))

    assert (again.text, again.last["type"], again.last["durable"]) == ("a new answer", "complete", True)
    resumed = chat_system.serve().resume(turn_id)
    assert [(seen.id, seen.event) for seen in resumed.events] == [(seen.id, seen.event) for seen in again.events]
    until(lambda: [m.get("content") for m in chat_system.messages(again.last["conversationId"])] == ["hi", "a new answer"])


@pytest.mark.usefixtures("brief_last_words")
def test_a_reader_of_a_lost_run_that_comes_back_is_not_shown_the_rest_of_another_run(chat_system: System) -> None:
    turn_id = killed_before_the_queue_had_it(chat_system)
    chat_system.persisting()
    chat_system.model.plays(tokens(*"a new answer"), finish(), done())
    assert chat_system.serve().post(body(turn_id)).text == "a new answer"

    back = chat_system.api.resume(turn_id, after=3)

    assert (back.text, back.last["type"], back.last["code"], back.last["retryable"]) == ("", "error", "duplicate_turn", True)
    assert chat_system.api.resume(turn_id).text == "a new answer"


def test_a_turn_that_the_queue_refused_can_be_sent_again_to_the_same_process(chat_system: System) -> None:
    api, turn_id = chat_system.serve(CHAT_SAVE_S="0.3", CHAT_RECEIPT_WAIT_S="0.1"), new_id()
    chat_system.model.plays(token("lost"), finish(), done())
    with chat_system.wire.fault("sqs", broken()):
        assert api.post(body(turn_id)).last["code"] == "not_saved"
    chat_system.persisting()
    chat_system.model.plays(token("kept"), finish(), done())

    again = api.post(body(turn_id))

    assert (again.text, again.last["durable"]) == ("kept", True)
    assert api.resume(turn_id).text == "kept"


def test_a_run_taken_for_dead_that_lives_learns_that_its_turn_was_taken_over(chat_system: System) -> None:
    turn_id = new_id()
    chat_system.model.plays(tokens(*"slow", delay_s=0.2), pause(2.5), token("er"), finish(), done())
    chat_system.model.plays(token("taken over"), finish(), done())
    one, other = chat_system.serve(CHAT_SAVE_S="8", CHAT_CHECKPOINT_S="30"), chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1")
    streams: list[Stream] = []
    with chat_system.wire.fault("sqs", times(3, hangs(0.5))):  # so that the first run is not in the queue meanwhile
        talking = threading.Thread(target=lambda: streams.append(one.post(body(turn_id))))
        talking.start()
        until(lambda: claim(chat_system, turn_id))
        age(chat_system, turn_id)
        second = other.post(body(turn_id))
    talking.join(20)
    chat_system.persist()

    (first,) = streams
    assert (second.text, second.last["type"], second.last["durable"]) == ("taken over", "complete", True)
    assert (first.last["type"], first.last["code"], first.last["partial"]) == ("error", "duplicate_turn", False)
    (_, stored) = chat_system.messages(other.turn(turn_id)["conversationId"])
    assert (stored["content"], stored["status"]) == ("taken over", "complete")


@pytest.mark.parametrize("fault", [CONFLICT, throttled(), broken()], ids=["a conflict", "throttled", "500"])
def test_a_seal_that_fails_at_first_is_written_all_the_same(chat_system: System, fault: Effect) -> None:
    chat_system.model.plays(tokens(*"abc"), finish(), done())
    with chat_system.wire.fault("TransactWriteItems", times(2, fault)):
        stream = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1").say("hi")

    resumed = chat_system.serve().resume(stream.last["turnId"])
    assert [(seen.id, seen.event) for seen in resumed.events] == [(seen.id, seen.event) for seen in stream.events]


def test_a_repeated_seal_is_the_same_transaction(chat_system: System) -> None:
    chat_system.model.plays(token("abc"), finish(), done())
    with chat_system.wire.fault("TransactWriteItems", times(2, CONFLICT)):
        chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1").say("hi")

    seals = [call.body for call in chat_system.wire.calls("TransactWriteItems")]
    assert len(seals) == 3
    assert seals[0] == seals[1] == seals[2]


@pytest.mark.usefixtures("brief_last_words")
@pytest.mark.parametrize("ending", [finish(), finish("length")], ids=["complete", "truncated"])
def test_a_reader_believes_the_receipt_when_the_log_has_no_end(chat_system: System, ending: Any) -> None:
    chat_system.persisting()
    chat_system.model.plays(tokens(*"abcdef", delay_s=0.05), pause(0.6), ending, done())
    api = chat_system.serve(CHAT_CHECKPOINT_S="0.1")
    with chat_system.wire.fault("TransactWriteItems", broken()):
        stream = api.say("hi")
    turn_id = stream.last["turnId"]
    until(lambda: chat_system.api.turn(turn_id)["durable"])
    age(chat_system, turn_id)

    resumed = chat_system.serve().resume(turn_id)

    assert resumed.text == stream.text == "abcdef"
    assert resumed.last == stream.last


@pytest.mark.usefixtures("brief_last_words")
def test_a_reader_who_lacks_a_part_of_a_stored_answer_is_not_told_that_it_is_complete(chat_system: System) -> None:
    chat_system.persisting()
    chat_system.model.plays(tokens(*"abcdef"), finish(), done())
    api = chat_system.serve(CHAT_CHECKPOINT_S="30")
    with chat_system.wire.fault("TransactWriteItems", broken()):
        turn_id = api.say("hi").last["turnId"]
    until(lambda: chat_system.api.turn(turn_id)["durable"])
    age(chat_system, turn_id)

    resumed = chat_system.serve().resume(turn_id)

    assert (resumed.text, resumed.last["type"], resumed.last["partial"]) == ("", "error", True)


def test_a_refused_turn_whose_withdrawal_fails_at_first_can_be_sent_again(chat_system: System) -> None:
    api = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1", CHAT_QUOTA_STREAMS="1")
    holder, turn_id = new_id(), new_id()
    chat_system.model.plays(tokens(*"slow", delay_s=0.5), finish(), done())
    holding = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1", CHAT_QUOTA_STREAMS="1")
    talking = threading.Thread(target=lambda: holding.post(body(holder)))
    talking.start()
    until(lambda: claim(chat_system, holder))
    chat_system.model.plays(pause(5))
    with chat_system.wire.fault("UpdateItem", of("expires_at = :now", times(2, throttled()))):
        assert api.post(body(turn_id)).last["code"] == "quota_exceeded"
    talking.join(20)
    chat_system.model.plays(token("now"), finish(), done())

    assert until_let_in(chat_system, turn_id).text == "now"


def until_let_in(system: System, turn_id: str) -> Stream:
    api: Api = system.serve(CHAT_RECEIPT_WAIT_S="0.1", CHAT_QUOTA_STREAMS="1")
    return api.post(body(turn_id))


def test_the_answer_is_not_queued_before_the_queue_has_the_question(chat_system: System) -> None:
    chat_system.model.plays(token("half"), finish(), done())
    with chat_system.wire.fault("sqs", of("turn_started", broken())):
        stream = chat_system.serve(CHAT_SAVE_S="0.5").say("hi")

    assert stream.last["code"] == "not_saved"
    assert not any(isinstance(record, TurnFinished) for record in chat_system.queued())


def test_a_quota_that_refuses_after_the_turn_has_passed_does_not_undo_it(chat_system: System) -> None:
    chat_system.persisting()
    chat_system.model.always_plays(token("hi"), finish(), done())
    api = chat_system.serve(CHAT_SAVE_S="0.6", CHAT_QUOTA_TURNS_PER_MINUTE="1")
    within_one_minute()
    assert api.say("the one that is allowed").last["type"] == "complete"
    other = chat_system.serve(CHAT_SAVE_S="0.6", CHAT_QUOTA_TURNS_PER_MINUTE="1")
    with chat_system.wire.fault("UpdateItem", of("ADD #turns", late(1.5))):
        stream = other.say("the one that is refused too late")

    assert (stream.last["type"], stream.last["durable"]) == ("complete", True)
    until(lambda: chat_system.api.turn(stream.last["turnId"])["status"] == "complete")
    assert chat_system.api.resume(stream.last["turnId"]).text == "hi"

"""Storage misbehaves: tokens never wait for it, nothing is called saved that is not, and what can be retried is."""

import asyncio
import threading

import httpx2
import pytest

from functions.chat_stream.direct import DirectTransport
from functions.common.aws import Aws
from functions.common.ids import new_id
from functions.common.records import SettleTurn, TurnFinished, TurnStarted
from functions.common.session import Session
from local.model.script import Step, done, finish, pause, token, tokens, wait_for
from tests.support.chat import Lockstep, Seen, Stream, read, user
from tests.support.system import System
from tests.support.waiting import until
from tests.support.wire import Effect, answer, broken, hangs, held, throttled, times

PACED: tuple[Step, ...] = (tokens(*(f"{number} " for number in range(40)), delay_s=0.05), finish(), done())


def span(stream: Stream) -> float:
    arrivals = [seen.at for seen in stream.events if seen.type == "token"]
    return arrivals[-1] - arrivals[0]


def test_tokens_are_as_fast_with_the_queue_hanging_and_the_small_table_failing(chat_system: System) -> None:
    """The queue's first call hangs from the first token to the last: whatever waited for it would wait for ever."""
    answer = Lockstep(*(f"{number} " for number in range(40)))
    all_read = threading.Event()
    chat_system.model.plays(*answer.steps, wait_for(all_read), finish(), done())
    api = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1", CHAT_SAVE_S="1")

    def heard(seen: Seen) -> None:
        if seen.type == "token" and seen.event["content"] == answer.words[0]:
            until(lambda: chat_system.wire.calls("SendMessageBatch"))
        if seen.type == "token" and seen.event["content"] == answer.words[-1]:
            all_read.set()
        answer.heard(seen)

    with (
        chat_system.wire.fault("sqs", held(all_read)),
        chat_system.wire.fault("dynamodb", throttled()),
        api.streaming({"messages": [user("hi")]}) as response,
    ):
        stream = read(response, heard=heard)

    assert [seen.event["content"] for seen in stream.events if seen.type == "token"] == answer.words


def test_a_queue_that_refuses_everything_is_never_called_a_success(chat_system: System) -> None:
    chat_system.model.plays(token("unsaved"), finish(), done())

    with chat_system.wire.fault("sqs", broken()):
        stream = chat_system.serve(CHAT_SAVE_S="0.6").say("hi")

    assert stream.types == ["start", "token", "error"]
    assert (stream.last["code"], stream.last["retryable"], stream.last["partial"]) == ("not_saved", True, False)


@pytest.mark.parametrize("fault", [broken(), throttled(), hangs(0.2)], ids=["500", "throttled", "hanging"])
def test_a_queue_that_recovers_in_time_goes_unnoticed(chat_system: System, fault: Effect) -> None:
    chat_system.model.plays(token("saved"), finish(), done())

    with chat_system.wire.fault("sqs", times(3, fault)):
        stream = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1").say("hi")

    assert (stream.last["type"], stream.last["durable"]) == ("complete", True)
    kinds = [type(record) for record in chat_system.queued()]
    assert kinds.count(TurnStarted) == kinds.count(TurnFinished) == 1


def test_only_what_the_queue_refused_of_a_batch_is_sent_again(chat_system: System) -> None:
    half = answer(
        200,
        {
            "Successful": [{"Id": "1", "MessageId": "x", "MD5OfMessageBody": "d41d8cd98f00b204e9800998ecf8427e"}],
            "Failed": [{"Id": "0", "Code": "InternalError", "SenderFault": False}],
        },
    )
    chat_system.model.plays(pause(0.5), token("hi"), finish(), done())

    with chat_system.wire.fault("SendMessageBatch", times(1, half)):
        stream = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1").say("hi")

    batches = [[entry["MessageBody"] for entry in call.body["Entries"]] for call in chat_system.wire.calls("SendMessageBatch")]
    assert [len(batch) for batch in batches] == [2, 1, 1]
    assert TurnStarted.model_validate_json(batches[1][0])
    assert stream.last["durable"] is True


def of_the(kind: str, effect: Effect) -> Effect:
    """The effect, on the batches alone that hold a record of that kind."""
    return lambda request: effect(request) if kind.encode() in request.body else None


ENTRY_REFUSED = answer(200, {"Successful": [], "Failed": [{"Id": "0", "Code": "InternalError", "SenderFault": False}]})
QUEUE_FAULTS = pytest.mark.parametrize(
    "fault",
    [broken(), throttled(), hangs(0.2), ENTRY_REFUSED, answer(200, {}), answer(200, {"Failed": [{"Id": "0"}]})],
    ids=["500", "throttled", "hanging", "its entry refused", "a reply without a word", "refused without a reason"],
)
ENDS = pytest.mark.parametrize("end", ["turn_started", "turn_finished"], ids=["at the start", "at the end"])


@ENDS
@QUEUE_FAULTS
def test_a_turn_of_which_the_queue_takes_only_one_end_is_not_saved(chat_system: System, end: str, fault: Effect) -> None:
    chat_system.model.plays(token("half"), finish(), done())

    with chat_system.wire.fault("sqs", of_the(end, fault)):
        stream = chat_system.serve(CHAT_SAVE_S="0.6").say("hi")

    assert stream.types == ["start", "token", "error"]
    assert (stream.last["code"], stream.last["retryable"], stream.last["partial"]) == ("not_saved", True, False)


@ENDS
@QUEUE_FAULTS
def test_either_end_of_a_turn_is_tried_again_until_the_queue_takes_it(chat_system: System, end: str, fault: Effect) -> None:
    chat_system.model.plays(token("whole"), finish(), done())

    with chat_system.wire.fault("sqs", of_the(end, times(2, fault))):
        stream = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1").say("hi")

    assert (stream.last["type"], stream.last["durable"]) == ("complete", True)
    kinds = [type(record) for record in chat_system.queued()]
    assert kinds.count(TurnStarted) == kinds.count(TurnFinished) == 1


@pytest.mark.usefixtures("brief_last_words")
@pytest.mark.parametrize(
    "fault",
    [throttled(), broken(), hangs(0.5), answer(400, {"__type": 5})],
    ids=["throttled", "500", "hanging", "an error without a name"],
)
def test_a_failing_small_table_only_delays_the_news_of_the_conversation(chat_system: System, fault: Effect) -> None:
    chat_system.model.plays(*PACED)

    with chat_system.wire.fault("dynamodb", fault):
        stream = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.2").say("hi")

    assert stream.types == ["start", "token", "persistPending", "complete"]
    assert stream.last["durable"] is False, "another run of the turn may hold its claim, and be the one that is stored"
    assert {type(record) for record in chat_system.queued()} >= {TurnStarted, TurnFinished}


def test_a_small_table_that_recovers_gets_the_whole_log(chat_system: System) -> None:
    chat_system.persisting()
    chat_system.model.plays(*PACED)
    api = chat_system.serve(CHAT_CHECKPOINT_S="0.2")

    with chat_system.wire.fault("PutItem", times(4, throttled())):
        stream = api.say("hi")

    replayed = chat_system.serve().resume(stream.last["turnId"])
    assert [(seen.id, seen.event) for seen in replayed.events] == [(seen.id, seen.event) for seen in stream.events]


def test_a_claim_whose_reply_was_lost_is_not_mistaken_for_anothers(chat_system: System) -> None:
    chat_system.persisting()
    chat_system.model.plays(*PACED)
    lost = iter([True])

    def lands_but_times_out(request: object) -> None:
        if next(lost, False):
            import urllib.request

            raw = urllib.request.Request(request.url, request.body, dict(request.headers.items()))  # type: ignore[attr-defined]
            urllib.request.urlopen(raw).read()
            hangs(0)(request)

    with chat_system.wire.fault("PutItem", lands_but_times_out):
        stream = chat_system.serve(CHAT_CHECKPOINT_S="0.2").say("hi")

    assert stream.last["type"] == "complete"


def test_the_model_sees_the_request_before_the_queue_or_the_table_sees_anything(
    chat_system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    send, prepare = DirectTransport.handle_async_request, Session.prepare
    prepared: list[object] = []
    before: list[tuple[int, int]] = []

    def preparing(session: Session) -> None:
        if not session.prepared:
            prepared.append(session)
        prepare(session)

    async def slowly(transport: DirectTransport, request: httpx2.Request) -> httpx2.Response:
        await asyncio.sleep(0.05)  # a slow way to the model: whoever does not wait for it is first at AWS
        before.append((len(prepared), len(chat_system.wire.calls())))
        return await send(transport, request)

    async def nothing(_: Aws) -> None:
        """What is done at the start is paid for before the first token."""

    monkeypatch.setattr(Session, "prepare", preparing)
    monkeypatch.setattr(DirectTransport, "handle_async_request", slowly)
    chat_system.model.always_plays(token("hi"), finish(), done())
    with monkeypatch.context() as starting:
        starting.setattr(Aws, "prepare", nothing)  # as it is inside Lambda
        api = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1")
    assert api.http.get("/api/buds").status_code == 200

    api.say("first")
    calls_of_the_first = len(chat_system.wire.calls())
    api.say("second")

    assert before == [(0, 0), (1, calls_of_the_first)], "nothing of AWS before the first request, no call before any"
    assert all(request.headers["user-agent"].startswith("AsyncOpenAI/") for request in chat_system.model.requests)


def test_the_announcement_of_a_turn_holds_its_settling_too(chat_system: System) -> None:
    chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1").say("hi")

    (announcement,) = (call for call in chat_system.wire.calls("SendMessageBatch") if len(call.body["Entries"]) == 2)
    started, settle = announcement.body["Entries"]
    assert TurnStarted.model_validate_json(started["MessageBody"])
    assert SettleTurn.model_validate_json(settle["MessageBody"])
    assert (started["DelaySeconds"], settle["DelaySeconds"]) == (0, 900)


def test_an_unknown_conversation_ends_the_turn_and_closes_the_model(chat_system: System) -> None:
    chat_system.persisting()
    chat_system.model.plays(tokens(*("word " for _ in range(1000)), delay_s=0.05), finish(), done())

    stream = chat_system.api.post({"messages": [user("hi")]}, conversation_id=new_id())

    assert stream.last == {
        "type": "error",
        "code": "conversation_not_found",
        "message": "There is no such conversation.",
        "retryable": False,
        "partial": False,
    }
    assert len(stream.events) < 1000, "the model had not come to its end"
    chat_system.model.wait_closed()
    chat_system.persist()
    assert chat_system.dynamodb.scan(TableName="conversations")["Items"] == []


def test_a_fast_answer_to_an_unknown_conversation_is_refused_as_well(chat_system: System) -> None:
    chat_system.persisting()
    chat_system.model.plays(token("hi"), finish(), done())

    stream = chat_system.api.post({"messages": [user("hi")]}, conversation_id=new_id())

    assert stream.last["code"] == "conversation_not_found"


def test_reads_and_writes_of_the_small_table_keep_to_their_budget(chat_system: System) -> None:
    chat_system.persisting()
    chat_system.model.plays(tokens(*("word " for _ in range(60)), delay_s=0.1), finish(), done())

    stream = chat_system.serve().say("hi")

    seconds = span(stream)
    reads = len(chat_system.wire.calls("Query"))
    writes = sum(len(chat_system.wire.calls(kind)) for kind in ("PutItem", "UpdateItem", "TransactWriteItems"))
    assert seconds > 5.5
    assert reads <= 8 + seconds / 0.8 + 2
    assert writes <= 4 + seconds / 1.1, "32 in a turn of 30 s: the claim, the quota's two, the seal, and the checkpoints"


def test_a_table_that_does_not_answer_makes_reading_a_turn_unavailable(chat_system: System) -> None:
    api = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1")
    turn_id = api.say("hi").last["turnId"]

    with chat_system.wire.fault("dynamodb", broken()):
        response = api.http.get(f"/api/turns/{turn_id}")

    assert (response.status_code, response.json()["code"]) == (503, "unavailable")
    assert response.headers["retry-after"] == "2"

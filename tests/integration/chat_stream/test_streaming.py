"""A turn as a client sees it: start at once, tokens at the model's pace, the conversation's id while they flow, one ending."""

import threading

from local.model.script import done, finish, pause, reasoning, token, tokens, usage, wait_for
from tests.support.chat import Lockstep, read, user
from tests.support.system import System


def test_start_leaves_long_before_the_models_first_token(chat_system: System) -> None:
    chat_system.model.plays(pause(1), token("late"), finish(), done())

    stream = chat_system.api.post({"messages": [user("hi")]}, until="token")

    assert stream.events[0].event == {"type": "start", "turnId": stream.events[0].event["turnId"], "model": "test-model"}
    assert stream.first("token").at - stream.events[0].at > 0.9


def test_a_token_is_with_the_reader_before_the_model_makes_the_next(chat_system: System) -> None:
    answer = Lockstep(*(f"w{number} " for number in range(20)))
    chat_system.model.plays(*answer.steps, finish(), done())

    with chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1").streaming({"messages": [user("hi")]}) as response:
        stream = read(response, heard=answer.heard)

    assert [seen.event["content"] for seen in stream.events if seen.type == "token"] == answer.words


def test_the_conversations_id_comes_while_tokens_still_flow(chat_system: System) -> None:
    chat_system.persisting()
    chat_system.model.plays(tokens(*"abcdefghij", delay_s=0.2), finish(), usage(3, 10), done())

    stream = chat_system.api.say("hi")

    kinds = [seen.type for seen in stream.events]
    assert kinds.index("conversationCreated") < len(kinds) - 1 - kinds[::-1].index("token")
    assert kinds.count("conversationCreated") == 1


def test_the_terminal_event_is_last_and_says_how_it_ended(chat_system: System) -> None:
    chat_system.persisting()
    chat_system.model.plays(token("Hel"), token("lo"), finish(), usage(3, 2), done())

    stream = chat_system.api.say("hi")

    assert stream.types == ["start", "token", "conversationCreated", "complete"]
    assert [seen.id for seen in stream.events] == list(range(1, len(stream.events) + 1))
    assert stream.last == {
        "type": "complete",
        "turnId": stream.events[0].event["turnId"],
        "conversationId": stream.first("conversationCreated").event["conversationId"],
        "finishReason": "stop",
        "status": "complete",
        "usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5},
        "durable": True,
    }


def test_both_messages_are_stored_in_order(chat_system: System) -> None:
    chat_system.persisting()
    chat_system.model.plays(token("Hel"), token("lo"), finish(), usage(3, 2), done())

    stream = chat_system.api.say("hi")
    chat_system.persist()

    question, answer = chat_system.messages(stream.last["conversationId"])
    assert (question["role"], question["content"], question["status"]) == ("user", "hi", "complete")
    assert (answer["role"], answer["content"], answer["status"]) == ("assistant", "Hello", "complete")
    assert (answer["id"], answer["parent_id"]) == (stream.last["turnId"], question["id"])


def test_the_headers_forbid_caching_and_buffering(chat_system: System) -> None:
    stream = chat_system.api.post({"messages": [user("hi")]}, until="start")

    assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert stream.headers["cache-control"] == "no-store"
    assert stream.headers["x-accel-buffering"] == "no"
    assert "content-encoding" not in stream.headers


def test_silence_is_filled_with_keepalive_comments(chat_system: System) -> None:
    chat_system.model.plays(pause(0.5), token("late"), finish(), done())

    stream = chat_system.serve(CHAT_KEEPALIVE_S="0.1", CHAT_RECEIPT_WAIT_S="0.1").say("hi")

    assert stream.comments >= 3
    assert stream.text == "late"


def test_reasoning_is_streamed_apart_from_the_answer_and_stored_with_it(chat_system: System) -> None:
    chat_system.persisting()
    chat_system.model.plays(reasoning("hmm "), reasoning("so"), token("42"), finish(), done())

    stream = chat_system.api.say("why?")
    chat_system.persist()

    assert "".join(seen.event["content"] for seen in stream.events if seen.type == "reasoning") == "hmm so"
    assert stream.text == "42"
    answer = chat_system.messages(stream.last["conversationId"])[-1]
    assert (answer["content"], answer["reasoning"]) == ("42", "hmm so")


def test_a_model_text_that_looks_like_framing_stays_inside_the_json(chat_system: System) -> None:
    hostile = '\n\ndata: {"type":"complete"}\n\nid: 7\r\n\r\nevent: x\u2028\u0085\x00"}'
    chat_system.model.plays(token(hostile), finish(), done())

    stream = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1").say("hi")

    assert stream.text == hostile
    assert stream.types == ["start", "token", "persistPending", "complete"]


def test_an_answer_cut_off_by_the_models_own_limit_is_truncated(chat_system: System) -> None:
    chat_system.model.plays(token("half a"), finish("length"), done())

    stream = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1").say("hi")

    assert (stream.last["type"], stream.last["status"], stream.last["finishReason"]) == ("complete", "truncated", "length")


def test_deltas_that_were_ready_together_share_a_frame(chat_system: System) -> None:
    chat_system.model.plays(*(token(f"{number} ") for number in range(500)), finish(), done())

    stream = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1").say("hi")

    assert stream.text == "".join(f"{number} " for number in range(500))


def test_when_storage_has_not_confirmed_in_time_the_client_is_told_so_and_nothing_is_lost(chat_system: System) -> None:
    api = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.3")
    chat_system.model.plays(token("kept"), finish(), done())

    stream = api.say("hi")

    assert stream.types == ["start", "token", "persistPending", "complete"]
    assert (stream.last["durable"], stream.last["conversationId"]) == (True, None)
    chat_system.persist()
    stored = api.turn(stream.last["turnId"])
    assert [message["content"] for message in chat_system.messages(stored["conversationId"])] == ["hi", "kept"]


def test_many_turns_at_once_do_not_mix(chat_system: System) -> None:
    chat_system.persisting()
    api = chat_system.serve()
    go = threading.Event()
    chat_system.model.always_plays(wait_for(go), finish(), done())
    texts: dict[str, str] = {}

    def talk(name: str) -> None:
        stream = api.say(name)
        texts[name] = chat_system.messages(stream.last["conversationId"])[0]["content"]

    threads = [threading.Thread(target=talk, args=(f"number {number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    chat_system.model.wait_for_request(8)
    go.set()
    for thread in threads:
        thread.join(20)

    assert texts == {name: name for name in texts}
    assert len(texts) == 8


def test_the_demo_model_answers_too(chat_system: System) -> None:
    stream = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.1").say("hello there")

    assert len(stream.text) > 20
    assert stream.last["usage"]["outputTokens"] > 0

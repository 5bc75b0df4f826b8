"""What one record of the queue becomes: stored once, whatever was there before, and refused where it does not belong."""

import json
from collections.abc import Callable, Iterator

import pytest

from functions.common import keys
from functions.common.events import Complete, Reasoning, Start, Token
from functions.common.records import NewMessage, Record, TurnHead, TurnStarted
from tests.integration.persist.persist_world import (
    CONVERSATION,
    World,
    at,
    finished,
    following,
    head,
    persist_world,
    settling,
    started,
    uid,
)

Recording = Callable[[TurnHead], Record]


@pytest.fixture
def world() -> Iterator[World]:
    with persist_world() as world:
        yield world


def test_a_first_turn_makes_the_conversation_its_message_and_the_answers_place(world: World) -> None:
    turn = head(2)
    assert world.deliver(started(turn, "hi", meta={"a": ["ü"]})) == []
    assert world.scan()["conversations"] == [
        {
            "pk": f"CONV#{CONVERSATION}",
            "sk": "META",
            "workspace_id": "acme",
            "bud_id": "default",
            "model": "m-1",
            "title": "A title",
            "created_at": at(200),
            "updated_at": at(200),
            "activity": keys.activity(at(200), CONVERSATION),
            "leaf": f"MSG#000001#{uid(2)}",
        },
        {"pk": f"CONV#{CONVERSATION}", "sk": f"MID#{uid(2)}", "order_key": "000001"},
        {"pk": f"CONV#{CONVERSATION}", "sk": f"MID#{uid(20)}", "order_key": "000000"},
        {
            "pk": f"CONV#{CONVERSATION}",
            "sk": f"MSG#000000#{uid(20)}",
            "id": uid(20),
            "role": "user",
            "content": "hi",
            "status": "complete",
            "created_at": at(200),
            "updated_at": at(200),
            "meta": '{"a":["ü"]}',
            "user_id": "ann",
        },
        {
            "pk": f"CONV#{CONVERSATION}",
            "sk": f"MSG#000001#{uid(2)}",
            "id": uid(2),
            "parent_id": uid(20),
            "role": "assistant",
            "status": "streaming",
            "created_at": at(200),
            "updated_at": at(200),
            "turn_id": uid(2),
            "user_id": "ann",
            "digest": "digest-2",
        },
    ]


def test_the_receipt_says_where_the_turn_is_stored_and_lives_as_long_as_the_turn(world: World) -> None:
    turn = head(2)
    world.deliver(started(turn))
    receipt = world.receipt(turn)
    assert receipt is not None
    expires_at = receipt.pop("expires_at")
    assert 22 * 3600 < expires_at - keys.expires_in(0) <= 24 * 3600
    assert receipt == {
        "pk": keys.turn_pk(uid(2), "ann"),
        "sk": "RECEIPT",
        "digest": "digest-2",
        "conversation_id": CONVERSATION,
        "workspace_id": "acme",
    }


def test_a_conversation_without_a_title_has_no_title_attribute(world: World) -> None:
    world.deliver(started(head(2, title=None)))
    assert "title" not in (world.meta() or {})


def test_an_answer_takes_its_place_with_everything_known_of_it(world: World) -> None:
    turn = head(2)
    world.deliver(started(turn))
    world.deliver(finished(turn, "hello", reasoning="hm"))
    answer = world.answer(turn)
    assert answer is not None
    assert answer == {
        "pk": f"CONV#{CONVERSATION}",
        "sk": f"MSG#000001#{uid(2)}",
        "id": uid(2),
        "parent_id": uid(20),
        "role": "assistant",
        "status": "complete",
        "content": "hello",
        "reasoning": "hm",
        "finish_reason": "stop",
        "usage": answer["usage"],
        "created_at": at(200),
        "updated_at": at(205),
        "turn_id": uid(2),
        "user_id": "ann",
        "digest": "digest-2",
    }
    assert json.loads(answer["usage"]) == {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    assert (world.receipt(turn) or {})["answer_status"] == "complete"
    assert (world.meta() or {})["updated_at"] == at(205)


def test_a_failed_answer_keeps_its_text_and_its_code(world: World) -> None:
    turn = head(2)
    world.deliver(finished(turn, "par", status="failed", finish_reason=None, usage=None, error="model_cut"))
    answer = world.answer(turn) or {}
    assert (answer["content"], answer["status"], answer["error"]) == ("par", "failed", "model_cut")
    assert not {"usage", "finish_reason", "reasoning"} & answer.keys()


def test_the_answer_alone_makes_the_conversation_and_a_late_message_does_not_touch_the_answer(world: World) -> None:
    turn = head(2)
    world.deliver(finished(turn))
    before = world.answer(turn)
    assert world.deliver(started(turn)) == []
    assert world.answer(turn) == before
    assert (world.meta() or {})["updated_at"] == at(205)
    assert (world.message(0, uid(20)) or {})["content"] == "hi"


def test_a_message_with_the_id_of_an_answer_does_not_overwrite_it(world: World) -> None:
    turn = head(2)
    world.deliver(started(turn), finished(turn))
    other = following(3, parent=2, depth=2)
    forged = NewMessage(id=uid(2), parent_id=None, depth=1, role="user", content="mine now")
    assert world.deliver(TurnStarted(turn=other, messages=[forged])) == []
    answer = world.answer(turn) or {}
    assert (answer["role"], answer["content"], answer["status"]) == ("assistant", "hello", "complete")
    assert (world.receipt(other) or {})["refused"] == "duplicate_turn"


def test_a_message_under_the_id_of_another_is_refused_with_its_whole_turn_and_the_same_one_is_not(world: World) -> None:
    first, other, again = head(2), following(3, parent=20, depth=1), following(4, parent=20, depth=1)
    world.deliver(started(first), finished(first))
    before = world.scan()["conversations"]
    changed = NewMessage(id=uid(20), parent_id=None, depth=0, role="user", content="another question")
    assert world.deliver(TurnStarted(turn=other, messages=[changed]), finished(other)) == []
    assert world.scan()["conversations"] == before
    assert (world.receipt(other) or {})["refused"] == "duplicate_turn"
    repeated = NewMessage(id=uid(20), parent_id=None, depth=0, role="user", content="hi")
    assert world.deliver(TurnStarted(turn=again, messages=[repeated])) == []
    assert "refused" not in (world.receipt(again) or {})


def test_a_continued_turn_finds_its_workspace_and_adds_to_the_branch(world: World) -> None:
    first, second = head(2), following(3, parent=30, depth=3, model="m-2")
    world.deliver(started(first), finished(first))
    assert world.deliver(started(second, "more", parent=2)) == []
    assert (world.message(2, uid(30)) or {})["parent_id"] == uid(2)
    assert (world.receipt(second) or {})["workspace_id"] == "acme"
    meta = world.meta() or {}
    assert (meta["model"], meta["title"], meta["created_at"]) == ("m-2", "A title", at(200))


def test_a_caller_of_every_workspace_continues_any_conversation(world: World) -> None:
    world.deliver(started(head(2)))
    turn = following(3, parent=30, depth=3, workspaces=None)
    world.deliver(started(turn))
    assert (world.receipt(turn) or {})["workspace_id"] == "acme"


@pytest.mark.parametrize(
    "foreign",
    [
        {"workspaces": ["bob"], "user_id": "bob"},
        {"workspaces": ["bob"], "user_id": "bob", "workspace_id": "bob"},
        {"workspaces": ["bob"], "user_id": "bob", "workspace_id": "acme"},
        {"workspaces": None, "workspace_id": "elsewhere"},
        {"workspaces": None, "conversation_id": uid(99)},
        {"workspace_id": "acme", "conversation_id": uid(99)},
    ],
)
@pytest.mark.parametrize("record", [started, finished, settling])
def test_a_conversation_that_is_not_the_callers_is_refused_like_an_absent_one(
    world: World, foreign: dict[str, object], record: Recording
) -> None:
    world.deliver(started(head(2)), finished(head(2)))
    before = world.scan()["conversations"]
    turn = following(3, parent=30, depth=3, **foreign)
    assert world.deliver(record(turn)) == []
    assert world.scan()["conversations"] == before
    receipt = world.receipt(turn) or {}
    assert receipt.keys() == {"pk", "sk", "digest", "refused", "expires_at"}
    assert receipt["refused"] == "conversation_not_found"


def test_a_first_turn_into_anothers_workspace_is_refused(world: World) -> None:
    turn = head(2, workspace_id="others")
    assert world.deliver(started(turn)) == []
    assert world.scan()["conversations"] == []
    assert (world.receipt(turn) or {})["refused"] == "conversation_not_found"


def test_a_first_turn_cannot_take_over_a_conversation_of_another_workspace(world: World) -> None:
    world.deliver(started(head(2)))
    before = world.scan()["conversations"]
    turn = head(3, workspace_id="ann", workspaces=["ann"])
    assert world.deliver(started(turn)) == []
    assert world.scan()["conversations"] == before
    assert (world.receipt(turn) or {})["refused"] == "conversation_not_found"


def test_a_refusal_is_final_for_the_whole_turn(world: World) -> None:
    turn = following(3, parent=30, depth=3)
    world.deliver(started(turn))
    world.deliver(started(head(2)))
    world.deliver(finished(turn), settling(turn))
    assert world.answer(turn) is None
    assert (world.receipt(turn) or {})["refused"] == "conversation_not_found"


def test_within_a_batch_the_conversations_first_turn_goes_first(world: World) -> None:
    turn = following(3, parent=30, depth=3)
    assert world.deliver(finished(turn), started(turn), started(head(2))) == []
    assert (world.answer(turn) or {})["status"] == "complete"
    assert "refused" not in (world.receipt(turn) or {})


def test_an_older_turn_that_comes_late_does_not_turn_the_clock_back(world: World) -> None:
    world.deliver(started(head(2)))
    newer, older = following(5, parent=50, depth=3, model="m-5"), following(3, parent=30, depth=3, model="m-3")
    world.deliver(started(newer))
    assert world.deliver(started(older)) == []
    meta = world.meta() or {}
    assert (meta["model"], meta["updated_at"], meta["activity"]) == ("m-5", at(500), keys.activity(at(500), CONVERSATION))
    assert (world.receipt(older) or {})["conversation_id"] == CONVERSATION


@pytest.mark.parametrize("order", [(3, 5), (5, 3), (3, 5, 3), (5, 3, 5)])
def test_the_newest_leaf_is_the_same_in_every_order_also_of_two_turns_of_one_millisecond(
    world: World, order: tuple[int, ...]
) -> None:
    world.deliver(started(head(2)))
    turns = {3: following(3, parent=30, depth=3), 5: following(5, parent=50, depth=1, started_at=at(300))}
    for number in order:
        assert world.deliver(started(turns[number])) == []
    assert (world.meta() or {})["leaf"] == keys.message_sk(3, uid(3))


def test_what_a_settling_stores_changed_when_it_was_settled_and_not_when_the_turn_began(world: World) -> None:
    turn = head(2, started_at="2026-11-22T18:00:00.000Z")
    world.deliver(started(turn), settling(turn))
    assert (world.answer(turn) or {})["updated_at"] == "2026-11-22T18:15:00.000Z"


@pytest.mark.parametrize("order", [(3, 4, 3, 4), (4, 3, 4, 3)])
def test_two_turns_of_the_same_millisecond_leave_the_same_conversation_in_either_order(
    world: World, order: tuple[int, ...]
) -> None:
    world.deliver(started(head(2)))
    turns = {n: following(n, parent=10 * n, depth=3, model=f"m-{n}", started_at=at(300)) for n in (3, 4)}
    for n in order:
        assert world.deliver(started(turns[n])) == []
    assert (world.meta() or {})["model"] == "m-4"


def test_another_request_under_the_same_turn_id_stores_nothing(world: World) -> None:
    turn = head(2)
    world.deliver(started(turn))
    before = world.scan()
    other = head(2, digest="another", model="m-9")
    assert world.deliver(started(other, "something else"), finished(other), settling(other)) == []
    assert world.scan() == before


def test_the_request_that_owns_the_claim_wins_even_when_the_others_record_is_quicker(world: World) -> None:
    turn, other = head(2), head(2, digest="another")
    world.claim(turn)
    assert world.deliver(started(other, "something else")) == []
    assert world.scan()["conversations"] == []
    assert world.deliver(started(turn, "hi"), finished(turn)) == []
    assert (world.message(0, uid(20)) or {})["content"] == "hi"


def test_an_expired_claim_of_the_same_id_is_as_good_as_none(world: World) -> None:
    world.claim(head(2, digest="another"), expires_at=str(keys.expires_in(-60)))
    world.deliver(started(head(2)))
    assert world.answer(head(2)) is not None


@pytest.mark.parametrize("erased", [False, True])
@pytest.mark.parametrize("record", [started, finished, settling])
@pytest.mark.parametrize(
    "turn", [head(2), following(3, parent=30, depth=3), following(3, parent=30, depth=3, workspace_id="acme")]
)
def test_what_is_deleted_stays_deleted(world: World, turn: TurnHead, record: Recording, erased: bool) -> None:
    world.deliver(started(head(2)))
    world.bury()
    if erased:
        world.erase()
    before = world.scan()["conversations"]
    assert world.deliver(record(turn)) == []
    assert world.scan()["conversations"] == before
    assert (world.receipt(turn) or {})["refused"] == "conversation_not_found"


def test_a_killed_turn_is_settled_from_its_log(world: World) -> None:
    turn = head(2)
    world.deliver(started(turn))
    world.claim(turn)
    world.log(turn, 1, Start(uid(2), "m-1"), Token("Hel"))
    world.log(turn, 3, Reasoning("hm"), Token("lo"))
    assert world.deliver(settling(turn)) == []
    answer = world.answer(turn) or {}
    assert (answer["status"], answer["content"], answer["reasoning"]) == ("interrupted", "Hello", "hm")
    assert (world.receipt(turn) or {})["answer_status"] == "interrupted"
    assert (world.meta() or {})["updated_at"] == at(200)


def test_a_turn_of_which_nothing_but_its_settling_arrived_is_stored_too(world: World) -> None:
    turn = head(2)
    world.claim(turn)
    world.log(turn, 1, Token("text"))
    world.deliver(settling(turn))
    assert (world.answer(turn) or {})["content"] == "text"
    assert (world.meta() or {})["title"] == "A title"


def test_a_settled_turn_gives_way_to_its_own_answer(world: World) -> None:
    turn = head(2)
    world.claim(turn)
    world.log(turn, 1, Reasoning("hm"), Token("Hel"))
    world.deliver(settling(turn))
    assert world.deliver(finished(turn, "Hello")) == []
    answer = world.answer(turn) or {}
    assert (answer["status"], answer["content"]) == ("complete", "Hello")
    assert "reasoning" not in answer
    assert (world.receipt(turn) or {})["answer_status"] == "complete"


def test_a_settling_of_an_answered_turn_costs_one_read_and_changes_nothing(world: World) -> None:
    turn = head(2)
    world.deliver(started(turn), finished(turn))
    before = world.scan()
    world.calls.clear()
    assert world.deliver(settling(turn)) == []
    assert world.calls == ["BatchGetItem"]
    assert world.scan() == before


def test_an_answer_still_in_the_queue_is_stored_from_the_log_in_case_it_never_comes(world: World) -> None:
    turn = head(2)
    world.claim(turn, status="complete")
    world.log(turn, 1, Token("Hello"), Complete(uid(2), None, "stop", "complete", None, True))
    assert world.deliver(settling(turn)) == []
    assert (world.answer(turn) or {})["content"] == "Hello"


def test_a_turn_without_a_log_does_not_stream_for_ever(world: World) -> None:
    turn = head(2)
    world.deliver(started(turn))
    assert world.deliver(settling(turn)) == []
    answer = world.answer(turn) or {}
    assert (answer["status"], answer["content"]) == ("interrupted", "")


def test_a_turn_that_sent_its_own_interruption_keeps_it(world: World) -> None:
    turn = head(2)
    world.claim(turn)
    world.log(turn, 1, Token("Hel"))
    world.deliver(finished(turn, "Hello", status="interrupted"))
    before = world.scan()
    world.deliver(settling(turn))
    assert world.scan() == before


def test_an_interruption_that_arrives_with_the_settling_keeps_its_text(world: World) -> None:
    turn = head(2)
    world.claim(turn)
    world.log(turn, 1, Token("Hel"))
    assert world.deliver(finished(turn, "Hello", status="interrupted"), settling(turn)) == []
    assert (world.answer(turn) or {})["content"] == "Hello"


def test_a_settling_that_outlived_claim_receipt_and_log_does_not_empty_what_was_kept(world: World) -> None:
    turn = head(2, started_at="2026-01-01T00:00:00.000Z")
    world.deliver(finished(turn, "Hello", status="interrupted"))
    receipt = world.receipt(turn) or {}
    world.raw.delete_item(TableName="turns", Key={"pk": {"S": receipt["pk"]}, "sk": {"S": "RECEIPT"}})
    assert world.deliver(settling(turn)) == []
    assert (world.answer(turn) or {})["content"] == "Hello"


def test_a_turn_alive_at_its_settling_is_stored_so_far_and_settled_again(world: World) -> None:
    turn = head(2)
    world.deliver(started(turn))
    world.claim(turn, seen_s_ago=0)
    world.log(turn, 1, Token("Hel"), seen_s_ago=1)
    assert world.deliver(settling(turn)) == [settling(turn)]
    assert (world.answer(turn) or {})["content"] == "Hel"
    assert "answer_status" not in (world.receipt(turn) or {})
    world.claim(turn)
    world.log(turn, 1, Token("Hel"), Token("lo"))
    assert world.deliver(settling(turn)) == []
    assert (world.answer(turn) or {})["content"] == "Hello"
    assert (world.receipt(turn) or {})["answer_status"] == "interrupted"


def test_a_regeneration_and_an_edit_are_siblings(world: World) -> None:
    first = head(2)
    world.deliver(started(first), finished(first))
    again = following(3, parent=20, depth=1)
    world.deliver(TurnStarted(turn=again, messages=[]), finished(again, "another answer"))
    edit = following(4, parent=40, depth=1)
    world.deliver(started(edit, "hi, edited"), finished(edit, "a third"))
    answers = {turn.turn_id: world.answer(turn) or {} for turn in (first, again, edit)}
    assert [answer["parent_id"] for answer in answers.values()] == [uid(20), uid(20), uid(40)]
    assert "parent_id" not in (world.message(0, uid(40)) or {})


@pytest.mark.parametrize("count", [47, 48, pytest.param(200, marks=pytest.mark.slow)])
def test_a_branch_of_hundreds_of_messages_is_stored_whole_its_receipt_last(world: World, count: int) -> None:
    turn = head(2, depth=count)
    messages = [
        NewMessage(id=uid(1000 + n), parent_id=None if n == 0 else uid(999 + n), depth=n, role="user", content=str(n))
        for n in range(count)
    ]
    assert world.deliver(TurnStarted(turn=turn, messages=messages)) == []
    assert world.calls.count("TransactWriteItems") == -(-2 * (count + 1) // 97)
    stored = [row for row in world.scan()["conversations"] if row["sk"].startswith("MSG#")]
    assert [row["content"] for row in stored[:-1]] == [str(n) for n in range(count)]
    assert (world.receipt(turn) or {})["conversation_id"] == CONVERSATION
    before = world.scan()
    assert world.deliver(TurnStarted(turn=turn, messages=messages)) == []
    assert world.scan() == before

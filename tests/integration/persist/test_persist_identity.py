"""Two members of one workspace, and every id a client chooses: what is the other's is never replaced, dropped or taken over.

A turn's id is its answer's id, and a message's id comes from a client too. The members of a workspace write to the same
conversation, so each write asks whose the item is that lies under its key.
"""

from collections.abc import Iterator
from itertools import permutations
from typing import Any

import pytest

from functions.common.events import Token
from functions.common.records import NewMessage, Record, TurnHead, TurnStarted
from tests.integration.persist.persist_world import (
    World,
    finished,
    following,
    head,
    persist_world,
    settling,
    started,
    uid,
)

ANN = head(2)  # begins the conversation
SHARED: dict[str, Any] = {"user_id": "bob", "workspaces": ["acme", "bob"]}


@pytest.fixture(scope="module")
def _module_world() -> Iterator[World]:
    with persist_world() as world:
        yield world


@pytest.fixture
def world(_module_world: World) -> World:
    _module_world.clear()
    _module_world.fault = _module_world.lose_reply = None
    return _module_world


def bobs(turn: TurnHead, **changes: Any) -> TurnHead:
    """A turn of Bob's under the id of that turn, at its place."""
    told = {"new": False, "workspace_id": None, "title": None, "digest": f"bobs-{turn.digest}", **SHARED}
    return turn.model_copy(update=told | changes)


BOB = bobs(ANN, parent_id=uid(99))  # the question is his own, of the same depth
BOB_REGENERATES = bobs(ANN)  # the question is hers


def bobs_question() -> TurnStarted:
    return started(BOB, "what Bob asked")


def of_ann(world: World) -> list[Any]:
    """What of the conversation is Ann's: her question, her answer."""
    return [world.message(0, uid(20)), world.answer(ANN)]


@pytest.mark.parametrize("answered", [False, True], ids=["while it streams", "after its end"])
@pytest.mark.parametrize(
    "records",
    [
        [bobs_question(), finished(BOB, "what Bob was told"), settling(BOB)],
        [finished(BOB, "what Bob was told"), bobs_question(), settling(BOB)],
        [settling(BOB), bobs_question(), finished(BOB, "what Bob was told")],
        [TurnStarted(turn=BOB_REGENERATES, messages=[]), finished(BOB_REGENERATES, "what Bob was told")],
        [finished(BOB_REGENERATES, "what Bob was told")],
        [settling(BOB_REGENERATES)],
    ],
    ids=["a turn", "its answer first", "its settling first", "a regeneration", "its answer alone", "its settling alone"],
)
def test_a_turn_under_the_id_of_anothers_is_refused_and_the_others_stays(
    world: World, records: list[Record], answered: bool
) -> None:
    world.deliver(started(ANN), *([finished(ANN)] if answered else []))
    world.claim(BOB)
    world.log(BOB, 1, Token("what Bob was told"))
    before = world.scan()["conversations"]

    for record in records:
        assert world.deliver(record) == []

    assert world.scan()["conversations"] == before
    receipt = world.receipt(records[0].turn) or {}
    assert receipt["refused"] == "duplicate_turn"
    assert not {"conversation_id", "answer_status"} & receipt.keys()
    assert world.deliver(finished(ANN)) == []
    assert (world.answer(ANN) or {})["content"] == "hello"


@pytest.mark.parametrize("order", list(permutations(range(4))), ids=lambda order: "".join(map(str, order)))
def test_of_two_turns_of_one_id_the_first_stored_is_kept_whole_and_the_other_refused_whole(
    world: World, order: tuple[int, ...]
) -> None:
    """In any order of the four records: nobody's answer stands under the other's name or question."""
    begun = head(1)
    world.deliver(started(begun), finished(begun))
    ann, bob = following(5, parent=50, depth=3), following(5, parent=59, depth=3, digest="bobs", **SHARED)
    records: list[Record] = [started(ann, "ann asks", parent=1), finished(ann, "ann is told")]
    records += [started(bob, "bob asks", parent=1), finished(bob, "bob is told")]

    for index in order:
        assert world.deliver(records[index]) == []

    answer = world.message(3, uid(5)) or {}
    receipts = {"ann": world.receipt(ann) or {}, "bob": world.receipt(bob) or {}}
    (winner,) = {"ann", "bob"} - {user for user, receipt in receipts.items() if "refused" in receipt}
    (loser,) = {"ann", "bob"} - {winner}
    assert (answer["user_id"], answer["content"], answer["status"]) == (winner, f"{winner} is told", "complete")
    assert receipts[winner]["answer_status"] == "complete"
    assert receipts[loser]["refused"] == "duplicate_turn"
    asked = [row["content"] for row in world.scan()["conversations"] if row["sk"].startswith("MSG#000002")]
    assert asked == [f"{winner} asks"]


@pytest.mark.parametrize(
    ("content", "parent_id", "of"),
    [("another text", None, {}), ("hi", None, SHARED), ("hi", uid(7), {})],
    ids=["another text", "another user", "another parent"],
)
def test_a_message_under_the_id_of_another_is_that_one_only_if_all_that_it_is_agrees(
    world: World, content: str, parent_id: str | None, of: dict[str, Any]
) -> None:
    world.deliver(started(ANN), finished(ANN))
    before = world.scan()["conversations"]
    other = following(3, parent=20, depth=1, **of)
    taken = NewMessage(id=uid(20), parent_id=parent_id, depth=0, role="user", content=content)

    assert world.deliver(TurnStarted(turn=other, messages=[taken]), finished(other)) == []

    assert world.scan()["conversations"] == before
    assert (world.receipt(other) or {})["refused"] == "duplicate_turn"


def test_a_message_stored_before_messages_had_users_is_still_the_one_that_is_sent_again(world: World) -> None:
    world.deliver(started(ANN), finished(ANN))
    world.raw.update_item(
        TableName="conversations",
        Key={"pk": {"S": f"CONV#{uid(1)}"}, "sk": {"S": f"MSG#000000#{uid(20)}"}},
        UpdateExpression="REMOVE user_id",
    )
    again = following(4, parent=20, depth=1)

    assert world.deliver(TurnStarted(turn=again, messages=started(ANN).messages)) == []

    assert "refused" not in (world.receipt(again) or {})


def test_an_answer_under_the_id_of_ones_own_message_is_refused(world: World) -> None:
    world.deliver(started(ANN), finished(ANN))
    before = of_ann(world)
    own = following(20, parent=7, depth=0, digest="own")

    records: list[Record] = [finished(own, "an answer"), TurnStarted(turn=own, messages=[]), settling(own)]
    for record in records:
        assert world.deliver(record) == []

    assert of_ann(world) == before
    assert (world.receipt(own) or {})["refused"] == "duplicate_turn"


@pytest.mark.parametrize("depth", [0, 2, 5], ids=["above", "below", "further below"])
@pytest.mark.parametrize("of", [{}, SHARED], ids=["of the same user", "of another member"])
@pytest.mark.parametrize("taken", [20, 2], ids=["a question's id", "an answer's id"])
@pytest.mark.parametrize("by", ["a message", "a turn"])
def test_an_id_stands_once_in_a_conversation_whatever_the_depth(
    world: World, by: str, taken: int, of: dict[str, Any], depth: int
) -> None:
    """Its depth is in a message's key, so the two would be two items: a client finds messages by id, and would show one."""
    begun = head(2, depth=2, parent_id=uid(20))
    world.deliver(TurnStarted(turn=begun, messages=[NewMessage(id=uid(20), parent_id=None, depth=1, role="user", content="hi")]))
    world.deliver(finished(begun))
    before = world.scan()["conversations"]
    if by == "a turn":
        turn = following(taken, parent=7, depth=depth, digest="another", **of)
        records: list[Record] = [finished(turn, "again"), TurnStarted(turn=turn, messages=[]), settling(turn)]
    else:
        turn = following(8, parent=taken, depth=depth + 1, **of)
        again = NewMessage(id=uid(taken), parent_id=uid(7), depth=depth, role="user", content="hi")
        records = [TurnStarted(turn=turn, messages=[again]), finished(turn, "again"), settling(turn)]
    if by == "a turn" and not of and taken == 2:
        world.raw.delete_item(TableName="turns", Key={"pk": {"S": f"TURN#{uid(2)}#ann"}, "sk": {"S": "RECEIPT"}})  # a day later

    for record in records:
        assert world.deliver(record) == []

    assert world.scan()["conversations"] == before
    assert (world.receipt(turn) or {})["refused"] == "duplicate_turn"


def test_the_same_id_in_two_conversations_is_two_messages(world: World) -> None:
    world.deliver(started(ANN), finished(ANN))
    other = head(2, conversation_id=uid(50), user_id="bob", workspaces=["bob"], workspace_id="bob", digest="bobs")

    assert world.deliver(started(other, "bob asks"), finished(other, "bob is told")) == []

    assert [(world.answer(turn) or {})["content"] for turn in (ANN, other)] == ["hello", "bob is told"]


def test_an_answer_whose_beginning_is_stored_does_not_write_its_id_again(world: World) -> None:
    world.deliver(started(ANN))
    before = world.scan()["conversations"]
    written: list[str] = []

    def watch(operation: str, body: Any) -> None:
        if operation == "TransactWriteItems":
            written.extend(str(write) for write in body["TransactItems"])

    world.fault = watch
    world.deliver(finished(ANN))

    assert not any("MID#" in write for write in written)
    assert [row for row in world.scan()["conversations"] if row["sk"].startswith("MID#")] == [
        row for row in before if row["sk"].startswith("MID#")
    ]


def a_day_later(world: World, turn: TurnHead) -> None:
    """The turns table has forgotten the turn."""
    for row in world.scan()["turns"]:
        if row["pk"] == f"TURN#{turn.turn_id}#{turn.user_id}":
            world.raw.delete_item(TableName="turns", Key={"pk": {"S": row["pk"]}, "sk": {"S": row["sk"]}})


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=lambda order: "".join(map(str, order)))
def test_a_turn_sent_again_when_it_is_forgotten_is_refused_and_its_first_answer_stays(
    world: World, order: tuple[int, ...]
) -> None:
    """The same request, in another run: its answer is another one, and must not be told as stored."""
    first, again = head(2, owner="run 1"), head(2, owner="run 2")
    world.deliver(started(first), finished(first))
    before = world.scan()["conversations"]
    a_day_later(world, first)
    records: list[Record] = [started(again), finished(again, "another answer"), settling(again)]

    for index in order:
        assert world.deliver(records[index]) == []

    assert world.scan()["conversations"] == before
    receipt = world.receipt(again) or {}
    assert receipt["refused"] == "duplicate_turn"
    assert not {"conversation_id", "answer_status"} & receipt.keys()


def test_a_turn_sent_again_when_it_is_forgotten_replaces_what_was_left_of_a_killed_run(world: World) -> None:
    first, again = head(2, owner="run 1"), head(2, owner="run 2")
    world.deliver(started(first), settling(first))
    a_day_later(world, first)

    assert world.deliver(started(again), finished(again, "whole")) == []

    assert (world.answer(again) or {})["content"] == "whole"
    assert (world.receipt(again) or {})["answer_status"] == "complete"


@pytest.mark.parametrize("record", [started, finished])
def test_another_run_of_an_answered_turn_does_not_turn_the_first_ones_receipt_into_a_refusal(world: World, record: Any) -> None:
    first, again = head(2, owner="run 1"), head(2, owner="run 2")
    world.deliver(started(first), finished(first))
    before = world.scan()

    assert world.deliver(record(again)) == []

    assert world.scan() == before


@pytest.mark.parametrize("order", list(permutations(range(2))), ids=lambda order: "".join(map(str, order)))
def test_a_run_finds_its_own_answer_whatever_came_first(world: World, order: tuple[int, ...]) -> None:
    turn = head(2, owner="run 1")
    records: list[Record] = [started(turn), finished(turn)]
    for index in (*order, *order):
        assert world.deliver(records[index]) == []

    receipt = world.receipt(turn) or {}
    assert (receipt["answer_status"], receipt["conversation_id"]) == ("complete", turn.conversation_id)
    assert "refused" not in receipt

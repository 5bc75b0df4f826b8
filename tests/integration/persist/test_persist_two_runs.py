"""Two runs of one turn: what is stored is the answer of the run that holds the turn's claim, in any order of delivery."""

from collections.abc import Iterator
from itertools import permutations
from typing import Any

import pytest

from functions.common import keys
from functions.common.records import Record, TurnHead
from functions.common.turns import read_turn
from infra.resources import TURNS
from tests.integration.persist.persist_world import World, finished, head, persist_world, settling, started

ONE, OTHER = head(2, owner="one"), head(2, owner="other")


@pytest.fixture
def world() -> Iterator[World]:
    with persist_world() as world:
        yield world


def stored(world: World) -> dict[str, Any]:
    return world.answer(ONE) or {}


def test_the_answer_of_the_claims_holder_is_stored_whichever_comes_first(world: World) -> None:
    records: list[Record] = [started(ONE), finished(ONE, "mine", status="failed"), started(OTHER), finished(OTHER, "theirs")]
    for order in permutations(records):
        world.claim(ONE, owner="one")
        for record in order:
            assert world.deliver(record) == []
        assert (stored(world)["content"], stored(world)["status"]) == ("mine", "failed"), order
        assert (world.receipt(ONE) or {})["answer_status"] == "failed"
        world.clear()


def test_in_one_batch_the_answer_of_the_claims_holder_is_stored(world: World) -> None:
    world.claim(ONE, owner="one")
    assert world.deliver(finished(OTHER, "theirs"), started(OTHER), started(ONE), finished(ONE, "mine")) == []
    assert stored(world)["content"] == "mine"


@pytest.mark.parametrize("first", [ONE, OTHER], ids=["one", "other"])
def test_without_a_claim_the_first_answer_stored_gets_it(world: World, first: TurnHead) -> None:
    second = OTHER if first is ONE else ONE
    world.deliver(started(first), finished(first, "first"))
    world.deliver(started(second), finished(second, "second"))

    assert stored(world)["content"] == "first"
    view = read_turn(world.raw, TURNS.name, ONE.turn_id, ONE.user_id)
    assert view is not None
    assert (view.owner, view.status, view.durable, view.lost) == (first.owner, "complete", True, False)
    assert view.conversation_id == ONE.conversation_id


def test_an_expired_claim_is_as_good_as_none(world: World) -> None:
    world.claim(ONE, owner="one", expires_at=str(keys.expires_in(-60)))
    world.deliver(finished(OTHER, "theirs"))
    assert stored(world)["content"] == "theirs"


def test_an_answer_of_a_version_that_named_no_run_is_stored_as_ever(world: World) -> None:
    world.claim(ONE, owner="one")
    assert world.deliver(finished(head(2), "old")) == []
    assert stored(world)["content"] == "old"


def test_the_answer_of_a_run_whose_turn_was_taken_over_after_the_claim_was_read_is_not_stored(world: World) -> None:
    world.claim(ONE, owner="one")
    world.deliver(started(ONE))

    def taken_over(operation: str, _body: Any) -> None:
        if operation == "TransactWriteItems":
            world.fault = None
            world.claim(OTHER, owner="other")
            key = {"pk": {"S": keys.turn_pk(ONE.turn_id, ONE.user_id)}, "sk": {"S": keys.RECEIPT}}
            world.raw.update_item(
                TableName=TURNS.name,
                Key=key,
                UpdateExpression="SET #owner = :owner",
                ExpressionAttributeNames={"#owner": keys.OWNER},
                ExpressionAttributeValues={":owner": {"S": "other"}},
            )

    world.fault = taken_over
    assert world.deliver(finished(ONE, "mine")) == []
    assert stored(world)["status"] == "streaming"
    assert world.deliver(finished(OTHER, "theirs")) == []
    assert stored(world)["content"] == "theirs"


def test_a_settling_stores_what_the_claims_holder_has_said(world: World) -> None:
    world.claim(ONE, owner="one")
    assert world.deliver(finished(OTHER, "theirs"), settling(OTHER)) == []
    assert stored(world)["status"] == "interrupted"
    assert world.deliver(finished(ONE, "mine")) == []
    assert stored(world)["content"] == "mine"

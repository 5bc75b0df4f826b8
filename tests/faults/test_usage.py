"""Spending is visible, and counted once per turn: however often a record is delivered, and whatever settled the turn before."""

import time
from collections.abc import Iterator

import pytest

from functions.common import keys
from functions.common.records import Usage
from infra.resources import TURNS
from tests.integration.persist.persist_world import World, finished, following, head, persist_world, settling, started, uid


@pytest.fixture
def world() -> Iterator[World]:
    with persist_world() as world:
        yield world


def usage(world: World) -> dict[str, int]:
    """The sums of the user's days, over all their items."""
    sums = {"turns": 0, "input_tokens": 0, "output_tokens": 0}
    for item in world.scan()[TURNS.name]:
        if item["pk"] == keys.user_pk("ann"):
            assert item[keys.EXPIRES] > time.time() + 62 * 24 * 3600
            sums = {name: total + int(item.get(name, 0)) for name, total in sums.items()}
    return sums


def test_each_turn_counts_once_in_its_users_day_however_often_it_is_delivered(world: World) -> None:
    turns = [head(number, conversation_id=uid(number)) for number in range(1, 40)]
    for turn in turns:
        world.deliver(started(turn), finished(turn))
    again = [finished(turn) for turn in turns]

    assert [world.deliver(*again[at : at + 10]) for at in range(0, 39, 10)] == [[]] * 4
    assert usage(world) == {"turns": 39, "input_tokens": 39, "output_tokens": 78}


def test_what_a_stream_cut_short_cost_by_estimate_counts_too(world: World) -> None:
    estimate = Usage(input_tokens=7, output_tokens=5, total_tokens=12)
    world.deliver(finished(head(1), "par", status="failed", usage=None, spent=estimate))

    assert usage(world) == {"turns": 1, "input_tokens": 7, "output_tokens": 5}


def test_a_settled_turn_counts_when_its_own_answer_comes_after_all_and_only_then(world: World) -> None:
    turn = head(1)
    world.deliver(started(turn))
    world.deliver(settling(turn))
    assert usage(world)["turns"] == 0

    world.deliver(finished(turn))
    world.deliver(finished(turn), settling(turn))

    assert usage(world) == {"turns": 1, "input_tokens": 1, "output_tokens": 2}


def test_what_is_not_stored_does_not_count(world: World) -> None:
    world.deliver(finished(following(1, parent=2, depth=1)))

    assert usage(world)["turns"] == 0

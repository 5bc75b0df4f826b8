"""Ids: the API's form of a UUID, and the same id for the same thing, on any instance."""

import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.common.ids import derived_id, is_uuid, new_id

UUIDS = st.uuids().map(str)


def test_a_new_id_is_a_version_7_of_this_moment() -> None:
    before = time.time_ns() // 1_000_000
    made = uuid.UUID(new_id())
    after = time.time_ns() // 1_000_000
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert before <= made.int >> 80 <= after


def test_new_ids_differ() -> None:
    assert len({new_id() for _ in range(2000)}) == 2000


@given(UUIDS)
def test_every_uuid_in_lower_case_with_dashes_is_one(text: str) -> None:
    assert is_uuid(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0189f7f0-0000-7000-8000-00000000000",
        "0189f7f0-0000-7000-8000-0000000000000",
        "0189F7F0-0000-7000-8000-00000000000A",
        "0189f7f0000070008000000000000000",
        "{0189f7f0-0000-7000-8000-000000000000}",
        "0189f7f0-0000-7000-8000-00000000000\n",
        "0189f7f0-0000-7000-8000-000000000000\n",
        "0189f7f0-0000-7000-8000-00000000000٣",
        "0189f7f0-0000-7000-8000-00000000#ETA",
    ],
)
def test_anything_else_is_none(text: str) -> None:
    assert not is_uuid(text)


@given(UUIDS, st.text(max_size=20), st.text(max_size=20))
def test_a_derived_id_is_a_version_7_and_always_the_same(turn_id: str, user: str, what: str) -> None:
    made = derived_id(turn_id, user, what)
    assert made == derived_id(turn_id, user, what)
    assert is_uuid(made)
    assert uuid.UUID(made).version == 7


@given(UUIDS, st.tuples(st.text(max_size=9), st.text(max_size=9)), st.tuples(st.text(max_size=9), st.text(max_size=9)))
def test_another_user_or_another_thing_gets_another_id(turn_id: str, one: tuple[str, str], other: tuple[str, str]) -> None:
    # `what` is always this project's own word and holds no line break; the user's name may hold anything.
    one, other = (one[0], one[1].replace("\n", "")), (other[0], other[1].replace("\n", ""))
    if one != other:
        assert derived_id(turn_id, *one) != derived_id(turn_id, *other)


def test_a_derived_id_carries_the_time_of_its_turn() -> None:
    turn = new_id()
    assert uuid.UUID(derived_id(turn, "alice", "conversation")).int >> 80 == uuid.UUID(turn).int >> 80

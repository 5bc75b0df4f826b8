"""What a turn's items say of its state, at every moment and with items that should be gone."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.common import keys
from functions.common.access import Caller
from functions.common.events import (
    Complete,
    ConversationCreated,
    Event,
    Failed,
    PersistPending,
    Reasoning,
    Start,
    Token,
    from_log,
    is_terminal,
    text_of,
    to_log,
)
from functions.common.records import Usage
from functions.common.turns import DEAD_AFTER_S, INTERRUPTED, STREAMING, view

NOW = 1_800_000_000.0
GONE = int(NOW)  # the second in which an item expires: it counts as absent from then on


def claim(status: str = STREAMING, age_s: float = 0, durable: bool = False, expires: int = GONE + 1) -> dict[str, Any]:
    flag = {"durable": {"BOOL": True}} if durable else {}
    return {**_item(keys.TURN, expires), "status": {"S": status}, "digest": {"S": "d"}, "at": _at(age_s), **flag}


def events(first: int, *said: Event, age_s: float = 0, expires: int = GONE + 1) -> dict[str, Any]:
    return {**_item(keys.events_sk(first), expires), "events": {"S": to_log(said)}, "at": _at(age_s)}


def receipt(**said: str) -> dict[str, Any]:
    return {**_item(keys.RECEIPT), **{name: {"S": value} for name, value in said.items()}}


def stop(expires: int = GONE + 1) -> dict[str, Any]:
    return {**_item(keys.STOP, expires), "at": _at(0)}


def _item(sk: str, expires: int = GONE + 1) -> dict[str, Any]:
    return {"sk": {"S": sk}, keys.EXPIRES: {"N": str(expires)}}


def _at(age_s: float) -> dict[str, str]:
    return {"N": str(int((NOW - age_s) * 1000))}


def test_without_a_claim_there_is_no_turn() -> None:
    assert view([], NOW) is None
    assert view([events(1, Token("x")), receipt(conversation_id="c")], NOW) is None


def test_an_expired_claim_is_no_claim_though_it_can_still_be_read() -> None:
    assert view([claim(expires=GONE)], NOW) is None


def test_a_turn_with_a_sign_of_life_streams() -> None:
    turn = view([claim(age_s=DEAD_AFTER_S - 1)], NOW)
    assert turn is not None
    assert (turn.status, turn.over) == (STREAMING, False)


def test_a_turn_without_one_is_interrupted() -> None:
    turn = view([claim(age_s=DEAD_AFTER_S + 1)], NOW)
    assert turn is not None
    assert (turn.status, turn.over) == (INTERRUPTED, True)


def test_a_checkpoint_is_a_sign_of_life() -> None:
    turn = view([claim(age_s=600), events(1, Token("x"), age_s=1)], NOW)
    assert turn is not None
    assert turn.status == STREAMING
    assert turn.updated_at == pytest.approx(NOW - 1)


@pytest.mark.parametrize("status", ["complete", "stopped", "truncated", "failed"])
def test_the_claims_own_ending_stands_however_old(status: str) -> None:
    turn = view([claim(status, age_s=6000)], NOW)
    assert turn is not None
    assert (turn.status, turn.over) == (status, True)


def test_what_persist_stored_ends_a_turn_whose_claim_never_heard() -> None:
    turn = view([claim(age_s=600), receipt(answer_status="interrupted", conversation_id="c", workspace_id="w")], NOW)
    assert turn is not None
    assert (turn.status, turn.durable, turn.conversation_id, turn.workspace_id) == ("interrupted", True, "c", "w")


def test_a_refusal_and_a_stop_are_seen() -> None:
    turn = view([claim(), receipt(refused="quota_exceeded"), stop()], NOW)
    assert turn is not None
    assert (turn.refused, turn.stop_requested, turn.durable) == ("quota_exceeded", True, False)


@pytest.mark.parametrize("status", ["complete", "stopped", "failed"])
def test_a_turn_that_persist_refused_has_failed_and_is_not_durable_whatever_its_run_said(status: str) -> None:
    turn = view([claim(status, durable=True), receipt(digest="d", refused="duplicate_turn")], NOW)
    assert turn is not None
    assert (turn.status, turn.durable, turn.over) == ("failed", False, True)


def test_a_receipt_of_another_request_says_nothing_of_this_one() -> None:
    turn = view([claim("complete", durable=True), receipt(digest="another", refused="duplicate_turn", conversation_id="c")], NOW)
    assert turn is not None
    assert (turn.status, turn.durable, turn.refused, turn.conversation_id) == ("complete", True, None, None)


def test_expired_checkpoints_and_stops_are_left_out() -> None:
    turn = view([claim(durable=True), events(1, Token("old"), expires=GONE), stop(expires=GONE)], NOW)
    assert turn is not None
    assert (turn.text, turn.stop_requested, turn.durable) == (("", ""), False, True)


def test_the_text_is_in_the_order_of_its_events_whatever_the_order_of_items() -> None:
    items = [events(12, Token("c")), claim(), events(1, Start("t", "m"), Token("a"), Reasoning("r")), events(4, Token("b"))]
    turn = view(items, NOW)
    assert turn is not None
    assert turn.text == ("abc", "r")
    assert [(checkpoint.first, checkpoint.last) for checkpoint in turn.checkpoints] == [(1, 3), (4, 4), (12, 12)]


def test_a_turn_in_a_workspace_that_was_left_is_hidden() -> None:
    turn = view([claim(), receipt(workspace_id="red")], NOW)
    unplaced = view([claim()], NOW)
    assert turn is not None
    assert unplaced is not None
    assert turn.visible_to(Caller("alice", frozenset({"red"})))
    assert not turn.visible_to(Caller("alice", frozenset()))
    assert unplaced.visible_to(Caller("alice", frozenset()))


TEXT = st.text(max_size=30)
USAGE = st.none() | st.builds(Usage, input_tokens=st.integers(), output_tokens=st.integers(), total_tokens=st.integers())
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(Start, TEXT, TEXT),
    st.builds(Token, TEXT),
    st.builds(Reasoning, TEXT),
    st.builds(ConversationCreated, TEXT),
    st.builds(PersistPending, TEXT),
    st.builds(Failed, TEXT, TEXT, st.booleans(), st.booleans()),
    st.builds(Complete, TEXT, st.none() | TEXT, st.none() | TEXT, TEXT, USAGE, st.booleans()),
)


@given(st.lists(EVENTS, max_size=8))
def test_events_come_back_from_the_log_as_they_went_in(said: list[Event]) -> None:
    back = from_log(to_log(said))
    assert back == said
    assert [type(event) for event in back] == [type(event) for event in said]


@given(st.lists(EVENTS, max_size=12), st.integers(min_value=0, max_value=12))
def test_the_text_does_not_depend_on_where_the_checkpoints_cut(said: list[Event], cut: int) -> None:
    turn = view([claim(), events(1, *said[:cut]), events(cut + 1, *said[cut:])] if cut else [claim(), events(1, *said)], NOW)
    assert turn is not None
    assert turn.text == text_of(said)


def test_only_an_error_and_complete_end_a_turn() -> None:
    ends: list[Event] = [Failed("code", "", False, False), Complete("t", None, None, "complete", None, True)]
    others: list[Event] = [Start("t", "m"), Token(""), Reasoning(""), ConversationCreated("c"), PersistPending("t")]
    assert all(is_terminal(event) for event in ends)
    assert not any(is_terminal(event) for event in others)

"""The soak's invariants hold for a right store and fail for each wrong one: a list that cannot fail proves nothing."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.soak.invariants import Footprint, Row, Stored, check, grown
from tests.soak.traffic import Begun, Ledger

CONVERSATION, TURN = "c-1", "t-1"
PK = f"CONV#{CONVERSATION}"


def ledger(**last: Any) -> Ledger:
    """One turn, of which "Hel" and "lo" were shown, and that is over."""
    turn = Begun(TURN, "what?", new=True, conversation_id=CONVERSATION)
    now = time.monotonic()
    turn.shown = {2: ("Hel", now), 3: ("lo", now)}
    turn.last = last or {"type": "complete", "status": "complete"}
    made = Ledger()
    made.began(turn)
    return made


def stored() -> Stored:
    return Stored(
        [
            {"pk": PK, "sk": "META"},
            {"pk": PK, "sk": "MSG#000000#q-1", "id": "q-1", "role": "user", "content": "what?", "status": "complete"},
            {"pk": PK, "sk": "MSG#000001#t-1", "id": TURN, "role": "assistant", "content": "Hello", "status": "complete"},
        ],
        [
            {"pk": f"TURN#{TURN}#u", "sk": "RECEIPT", "answer_status": "complete"},
            {"pk": "USER#u", "sk": "USAGE#2026-11-22#01", "turns": "1"},
        ],
        0,
    )


def test_a_right_store_breaks_no_invariant() -> None:
    assert check(stored(), ledger()) == []


Change = Callable[[list[Row], list[Row]], object]
WRONG: dict[str, tuple[Change, str]] = {
    "the answer was lost": (lambda rows, _: rows.pop(2), "stored 0 times"),
    "the answer is there twice": (lambda rows, _: rows.append({**rows[2], "sk": "MSG#000003#t-1"}), "stored 2 times"),
    "the question was lost": (lambda rows, _: rows.pop(1), "question is stored 0 times"),
    "the question is there twice": (lambda rows, _: rows.append({**rows[1], "sk": "MSG#000000#q-2"}), "stored 2 times"),
    "a token shown is not stored": (lambda rows, _: rows[2].update(content="Hel"), "5 characters shown, 3 stored"),
    "another text is stored": (lambda rows, _: rows[2].update(content="Hullo"), "the same up to 1"),
    "it ended otherwise": (lambda rows, _: rows[2].update(status="stopped"), "stored as stopped"),
    "it streams for ever": (lambda rows, _: rows[2].update(status="streaming"), "still streaming"),
    "messages without their conversation": (lambda rows, _: rows.pop(0), "orphan item"),
    "a message that will expire": (lambda rows, _: rows[1].update(expires_at="9"), "not final"),
    "a turn counted twice": (lambda _, turns: turns[1].update(turns="2"), "2 turns counted, 1 answers"),
    "a turn not counted": (lambda _, turns: turns.pop(1), "0 turns counted, 1 answers"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_store_breaks_one(wrong: str) -> None:
    change, sentence = WRONG[wrong]
    found = stored()
    change(found.conversations, found.turns)

    assert any(sentence in violation for violation in check(found, ledger()))


def test_what_was_deleted_must_be_gone() -> None:
    told = ledger()
    told.deleted.add(CONVERSATION)

    assert any("deleted, but there" in violation for violation in check(stored(), told))


def test_a_dead_letter_breaks_one() -> None:
    found = stored()
    assert check(Stored(found.conversations, found.turns, 1), ledger()) == ["dead letters: 1"]


def test_a_killed_workers_words_after_its_last_checkpoint_may_be_missing_and_no_earlier_ones() -> None:
    told = ledger()
    turn = told.turns[0]
    turn.last = {}
    turn.shown[2] = ("Hel", turn.began_at + 0.1)
    turn.shown[3] = ("lo", turn.began_at + 2.4)
    told.kills.append(turn.began_at + 2.5)
    found = stored()
    answer = found.conversations[2]

    answer.update(status="interrupted", content="Hel")
    found.turns[:] = [{"pk": f"TURN#{TURN}#u", "sk": "EVENTS#00000001", "last": "2"}]
    assert check(found, told) == []

    answer.update(content="He")
    assert any("3 characters shown, 2 stored" in violation for violation in check(found, told))


def test_a_kill_may_not_lose_more_than_a_checkpoint_and_its_writing() -> None:
    told = ledger()
    turn = told.turns[0]
    turn.last = {}
    turn.shown = {2: ("Hel", turn.began_at + 0.1), 3: ("lo", turn.began_at + 1)}
    told.kills += [turn.began_at + 6, turn.began_at + 20]
    found = stored()
    found.conversations[2].update(status="interrupted", content="Hel")
    found.turns[:] = [{"pk": f"TURN#{TURN}#u", "sk": "EVENTS#00000001", "last": "2"}]

    assert any("a kill lost 5.00 s" in violation for violation in check(found, told))


def test_of_a_turn_sent_twice_a_run_that_was_not_stored_must_have_said_so() -> None:
    found = stored()
    found.conversations[2].update(content="another text", status="failed")
    told = ledger(type="complete", status="complete", durable=False)
    told.turns[0].twice = True
    assert check(found, told) == []

    told = ledger(type="complete", status="complete", durable=True)
    told.turns[0].twice = True
    assert check(found, told) != []


def test_a_turn_that_was_told_to_be_kept_must_be_stored_however_soon_its_worker_was_killed() -> None:
    told = ledger(type="error", code="internal")
    told.kills.append(told.turns[0].began_at + 0.5)
    found = stored()
    found.conversations.pop(2)
    assert any("stored 0 times" in violation for violation in check(found, told))

    told.turns[0].last = {}
    assert any("stored 0 times" in violation for violation in check(found, told)), "persist knows of it"
    found.turns.clear()
    assert not any("stored 0 times" in violation for violation in check(found, told))


def test_a_process_that_grew_is_named_and_a_new_one_is_not() -> None:
    rest = Footprint(megabytes=100, threads=10, files=30)

    assert grown({1: rest, 2: rest}, {1: rest, 3: Footprint(500, 99, 999)}) == []
    assert len(grown({1: rest}, {1: Footprint(300, 90, 300)})) == 3

"""Following a turn from its checkpoints: who is dead, who only pauses, and runs that were written anew."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from functions.chat_stream import replay
from functions.chat_stream.turns_table import TurnsTable
from functions.common import keys, turns
from functions.common.events import Complete, Event, Failed, Start, Token, to_log
from functions.common.turns import DEAD_AFTER_S, STREAMING, TurnView

LONG_AGO = 10 * DEAD_AFTER_S
END = Complete("turn", None, "stop", "complete", None, durable=True)
Step = Callable[["Table"], None]


class Table(TurnsTable):
    """Holds one turn, claimed long ago. Before each read the next step is taken; then it is said that the test ran too long."""

    def __init__(self, *steps: Step) -> None:
        self.items: dict[str, dict[str, Any]] = {}
        self.put(keys.TURN, LONG_AGO, status={"S": STREAMING}, digest={"S": "digest"})
        self._steps = list(steps)
        self.whole_reads = 0

    def put(self, sk: str, ago_s: float, **fields: Any) -> None:
        at = {"N": str(int((time.time() - ago_s) * 1000))}
        self.items[sk] = {"sk": {"S": sk}, "at": at, keys.EXPIRES: {"N": str(int(time.time()) + 3600)}, **fields}

    def run(self, first: int, *events: Event, ago_s: float = 1.0) -> None:
        self.put(keys.events_sk(first), ago_s, events={"S": to_log(events)})

    def end(self) -> None:
        self.items[keys.TURN]["status"] = {"S": "complete"}

    async def read(self, turn_id: str, user_id: str, first: int = 0) -> TurnView | None:
        self.whole_reads += not first
        self._steps.pop(0)(self)
        return turns.view([item for sk, item in self.items.items() if sk >= keys.events_sk(first)])

    async def deleted(self, turn_id: str, user_id: str) -> bool:
        return turns.is_forgotten(list(self.items.values()))


def nothing(_: Table) -> None:
    """A look in vain."""


def follow(table: Table, after: int = 0) -> list[Event]:
    async def all_of_it() -> list[Event]:
        found: list[Event] = []
        async for events in replay.follow(table, "turn", "alice", after):
            found += events
        return found

    return asyncio.run(all_of_it())


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "_QUICK_S", 0.0)
    monkeypatch.setattr(replay, "_SLOW_S", 0.0)


def begun(table: Table) -> None:
    table.run(1, Start("turn", "m"), Token("a"))


def test_a_turn_claimed_long_ago_whose_model_pauses_is_waited_for() -> None:
    table = Table(
        begun, *[nothing] * 20, lambda table: table.run(3, Token("b")), nothing, lambda table: table.run(4, END), nothing
    )
    assert follow(table) == [Start("turn", "m"), Token("a"), Token("b"), END]
    assert table.whole_reads == 1


def test_a_heartbeat_is_a_sign_of_life() -> None:
    def silent(table: Table) -> None:
        table.run(1, Start("turn", "m"), Token("a"), ago_s=LONG_AGO)
        table.put(keys.TURN, 1.0, status={"S": STREAMING}, digest={"S": "digest"})

    assert follow(Table(silent, *[nothing] * 5, lambda table: table.run(3, END)))[-1] == END


def test_a_turn_without_a_sign_of_life_was_left_off() -> None:
    def dead(table: Table) -> None:
        table.run(1, Start("turn", "m"), Token("a"), ago_s=LONG_AGO)

    *said, last = follow(Table(dead, *[nothing] * 3))
    assert said == [Start("turn", "m"), Token("a")]
    assert isinstance(last, Failed)
    assert last.partial


@pytest.mark.parametrize("after", [0, 2, 3])
def test_a_run_that_was_written_anew_longer_is_read_to_its_end(after: int) -> None:
    def longer(table: Table) -> None:
        table.run(1, Start("turn", "m"), Token("a"), Token("b"))
        table.run(4, Token("c"), END)

    said: Sequence[Event] = [Start("turn", "m"), Token("a"), Token("b"), Token("c"), END]
    assert follow(Table(begun, longer), after) == said[after:]


def test_a_run_missing_between_two_pages_is_read_again() -> None:
    """The second page of a read is newer than the first."""

    def torn(table: Table) -> None:
        table.run(4, Token("c"), END)

    def whole(table: Table) -> None:
        table.run(1, Start("turn", "m"), Token("a"), Token("b"))

    assert follow(Table(begun, torn, whole)) == [Start("turn", "m"), Token("a"), Token("b"), Token("c"), END]


def test_a_seal_between_two_pages_of_a_read_is_no_end_of_the_log() -> None:
    assert follow(Table(begun, Table.end, lambda table: table.run(3, END)))[-1] == END


def forget(table: Table) -> None:
    table.items[keys.TURN][keys.FORGOTTEN] = {"BOOL": True}


def lose(table: Table) -> None:
    del table.items[keys.TURN]


def expire(table: Table) -> None:
    for item in table.items.values():
        item[keys.EXPIRES] = {"N": str(int(time.time()))}


def test_a_turn_is_said_to_be_deleted_only_where_its_deletion_is_known() -> None:
    (told,) = follow(Table(forget))
    assert isinstance(told, Failed)
    assert (told.code, told.retryable) == ("conversation_not_found", False)


@pytest.mark.parametrize("step", [lose, expire])
def test_a_turn_that_is_not_known_any_more_or_never_was_is_not_said_to_be_deleted(step: Step) -> None:
    (told,) = follow(Table(step))
    assert isinstance(told, Failed)
    assert (told.code, told.retryable, told.partial) == ("internal", True, False)
    assert "deleted" not in told.message


def test_a_turn_whose_deletion_has_expired_is_not_known_any_more() -> None:
    def both(table: Table) -> None:
        forget(table)
        expire(table)

    (told,) = follow(Table(both))
    assert isinstance(told, Failed)
    assert told.code == "internal"

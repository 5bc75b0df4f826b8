"""Every record twice, in any order and any batches, with kills and a deletion between them, gives the same tables."""

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from functions.common.events import Reasoning, Token
from functions.common.records import Record
from tests.integration.persist.persist_world import (
    CONVERSATION,
    Item,
    World,
    cancelled,
    finished,
    following,
    head,
    persist_world,
    settling,
    started,
    uid,
)

FIRST = head(1)
# A continuation that is answered, an edit of its message that is killed, a regeneration that fails, at the same millisecond.
ANSWERED = following(2, parent=20, depth=3, model="m-2")
KILLED = following(3, parent=30, depth=3, model="m-3")
FAILED = following(4, parent=20, depth=3, model="m-4", started_at=KILLED.started_at)
STOPPED = head(5, conversation_id=uid(50), workspace_id="ann")  # in a conversation of its own
FOREIGN = following(6, parent=60, depth=1, workspaces=["bob"], user_id="bob")

BEGINNING: list[Record] = [started(FIRST, "one"), finished(FIRST, "answer one"), settling(FIRST)]
RECORDS: list[Record] = [
    *BEGINNING,
    started(ANSWERED, "two", parent=1),
    finished(ANSWERED, "answer two", reasoning="because"),
    settling(ANSWERED),
    started(KILLED, "two, edited", parent=1),
    settling(KILLED),
    started(FAILED, "two", parent=1).model_copy(update={"messages": []}),
    finished(FAILED, "hal", status="failed", error="model_cut", finish_reason=None, usage=None, after=-100),
    settling(FAILED),
    started(STOPPED, "aside"),
    finished(STOPPED, "", status="stopped", finish_reason=None, usage=None),
    settling(STOPPED),
    started(FOREIGN),
    finished(FOREIGN),
    settling(FOREIGN),
]
ALL = range(len(RECORDS))


def prepare(world: World) -> None:
    """The turns as the streaming function left them: ended, but for the one that was killed."""
    for turn, status in ((FIRST, "complete"), (ANSWERED, "complete"), (KILLED, "streaming"), (FAILED, "failed")):
        world.claim(turn, status)
        world.log(turn, 1, Reasoning("hm"), Token("shown "))
        world.log(turn, 3, Token("so far"))


class Killed(BaseException):
    """The process ends here."""


class Deliveries(RuleBasedStateMachine):
    """Some batches of the records as chance has it, then each record once more by itself, and all at once."""

    world: World
    expected: dict[str, list[Item]]

    @initialize()
    def begin(self) -> None:
        self.world.clear()
        self.world.fault = self.world.lose_reply = None
        prepare(self.world)
        # A conversation's id leaves the system when the conversation is stored: before that no turn can continue it.
        self.begun = self.deleted = self.erased = False

    def draw(self, data: st.DataObject) -> list[Record]:
        batch = data.draw(st.lists(st.sampled_from(ALL), min_size=1, max_size=5))
        if not self.begun:
            batch = [data.draw(st.sampled_from(range(len(BEGINNING)))), *batch]
        return [RECORDS[index] for index in batch]

    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        assert self.world.deliver(*self.draw(data)) == []
        self.begun = True

    @rule(data=st.data(), call=st.integers(1, 6), after=st.booleans())
    def deliver_to_a_process_that_is_killed(self, data: st.DataObject, call: int, after: bool) -> None:
        left = [call]

        def die(*_: Any) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise Killed

        batch = self.draw(data)
        self.world.fault, self.world.lose_reply = (None, die) if after else (die, None)
        try:
            self.world.deliver(*batch)
            self.begun = True
        except Killed:
            self.begun = self.begun or self.world.meta() is not None
        self.world.fault = self.world.lose_reply = None

    @rule(data=st.data(), calls=st.integers(1, 4))
    def deliver_into_a_conflict(self, data: st.DataObject, calls: int) -> None:
        left = [calls]

        def conflict(called: str, body: Any) -> Any:
            if called != "TransactWriteItems" or left[0] == 0:
                return None
            left[0] -= 1
            return cancelled("TransactionConflict", *("None" for _ in body["TransactItems"][1:]))

        self.world.fault = conflict
        assert self.world.deliver(*self.draw(data)) == []
        self.world.fault, self.begun = None, True

    @precondition(lambda self: self.begun and self.world.meta() is not None and not self.deleted)
    @rule()
    def delete(self) -> None:
        self.world.bury()
        self.deleted = True

    @precondition(lambda self: self.deleted and not self.erased)
    @rule()
    def erase(self) -> None:
        self.world.erase()
        self.erased = True

    def teardown(self) -> None:
        self.world.deliver(*BEGINNING)
        for record in reversed(RECORDS):
            assert self.world.deliver(record) == []
        assert self.world.deliver(*RECORDS) == []
        found = self.world.scan()
        if not self.deleted:
            assert found == self.expected
            return
        self.world.erase()
        left = [row for row in self.world.scan()["conversations"] if row["pk"] == f"CONV#{CONVERSATION}"]
        others = [row for row in found["conversations"] if row["pk"] != f"CONV#{CONVERSATION}"]
        assert left == []
        assert others == [row for row in self.expected["conversations"] if row["pk"] != f"CONV#{CONVERSATION}"]
        if self.erased:
            assert found["conversations"] == others


@pytest.mark.timeout(600)
@pytest.mark.parametrize("examples", [5, pytest.param(25, marks=pytest.mark.slow)])
def test_any_order_any_batches_any_kill_give_the_same_tables(examples: int) -> None:
    with persist_world() as world:
        prepare(world)
        for record in RECORDS:
            assert world.deliver(record) == []
        Deliveries.world, Deliveries.expected = world, world.scan()
        assert {row.get("status") for row in Deliveries.expected["conversations"]} == {
            None,
            "complete",
            "interrupted",
            "failed",
            "stopped",
        }
        checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
        chosen = settings(
            max_examples=examples, stateful_step_count=8, deadline=None, suppress_health_check=checks, derandomize=True
        )
        run_state_machine_as_test(Deliveries, settings=chosen)

"""The access rule: the claimed workspaces and the personal one, nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from functions.common.access import LOCAL_CALLER, Caller

NAMES = st.text(min_size=1, max_size=20)


@given(NAMES, st.frozensets(NAMES, max_size=5), NAMES)
def test_a_caller_may_touch_what_is_listed_and_only_that(user: str, claimed: frozenset[str], asked: str) -> None:
    caller = Caller(user, claimed)
    assert caller.workspaces is not None
    assert caller.may_touch(asked) == (asked in caller.workspaces)
    assert caller.may_touch(user)


@given(NAMES, st.frozensets(NAMES, max_size=5))
def test_workspaces_are_sorted_and_each_is_there_once(user: str, claimed: frozenset[str]) -> None:
    listed = Caller(user, claimed).workspaces
    assert listed is not None
    assert list(listed) == sorted(set(listed))


def test_the_local_caller_may_touch_every_workspace() -> None:
    assert LOCAL_CALLER.workspaces is None
    assert LOCAL_CALLER.may_touch("anything")
    assert LOCAL_CALLER.personal_workspace == "local"


def test_names_are_compared_to_the_letter() -> None:
    caller = Caller("alice", frozenset({"Red"}))
    assert not any(caller.may_touch(name) for name in ("red", "Red ", "Re", "", "Alice"))

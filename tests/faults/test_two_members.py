"""GUARANTEES 36: two members of one workspace, and what they may and may not do to each other's turns, over the whole API."""

from collections.abc import Iterator
from typing import Any

import pytest

from functions.common.ids import new_id
from tests.support.chat import user
from tests.support.members import TEAM, Members, Request, members


@pytest.fixture(scope="module")
def _module_api() -> Iterator[Members]:
    with members() as made:
        yield made


@pytest.fixture
def api(_module_api: Members) -> Members:
    _module_api.clear()
    return _module_api


class Shared:
    """A conversation of the team's, begun by Ann and answered."""

    def __init__(self, api: Members) -> None:
        self.question = user("what Ann asked first", id=new_id())
        self.first = api.post("ann", self.question, workspace=TEAM)
        api.finish(self.first)
        self.id = str(self.first.stream.last["conversationId"])
        self.answer = {"id": self.first.turn_id, "role": "assistant", "content": self.first.stream.text}

    def ask(self, api: Members, who: str, content: str, turn_id: str | None = None, **more: Any) -> Request:
        """One more question below the first answer."""
        branch = [self.question, self.answer, user(content, id=new_id())]
        return api.post(who, *branch, to=self.id, parent=self.first.turn_id, turn_id=turn_id, **more)


@pytest.fixture
def shared(api: Members) -> Shared:
    return Shared(api)


def stands(api: Members, request: Request) -> bool:
    """Whether what the request's stream showed is what is stored, under its user's name."""
    answer = api.answer(request) or {}
    return (answer.get("content"), answer.get("user_id")) == (request.stream.text, request.user)


def is_refused(request: Request) -> bool:
    last = request.stream.last
    return (last["type"], last["code"], last["partial"]) == ("error", "duplicate_turn", False)


@pytest.mark.parametrize("instance", [0, 1], ids=["on the same instance", "on another instance"])
def test_a_turn_id_of_another_member_used_after_its_end_is_refused_and_their_answer_stays(
    api: Members, shared: Shared, instance: int
) -> None:
    anns = shared.ask(api, "ann", "ann asks")
    api.finish(anns)
    before = api.messages(shared.id)

    bobs = shared.ask(api, "bob", "bob asks", anns.turn_id, instance=instance)
    api.finish(bobs)

    assert is_refused(bobs)
    assert api.messages(shared.id) == before
    assert stands(api, anns)
    assert api.turn("bob", anns.turn_id).json()["durable"] is False


@pytest.mark.parametrize("stored", [True, False], ids=["once it is stored", "before it is stored"])
def test_a_turn_id_of_another_member_used_while_it_streams_is_kept_by_who_is_stored_first(
    api: Members, shared: Shared, stored: bool
) -> None:
    anns = shared.ask(api, "ann", "ann asks")
    api.queued(anns)
    if stored:
        api.deliver_all()
    bobs = shared.ask(api, "bob", "bob asks", anns.turn_id, instance=1)
    api.queued(bobs)

    api.finish(anns, bobs)

    assert is_refused(bobs)
    assert stands(api, anns)
    assert "bob asks" not in str(api.messages(shared.id))


def test_whose_record_is_stored_first_keeps_the_id_whoever_began_first(api: Members, shared: Shared) -> None:
    anns = shared.ask(api, "ann", "ann asks")
    api.queued(anns)
    bobs = shared.ask(api, "bob", "bob asks", anns.turn_id)
    api.queued(bobs)
    api.deliver(*(body for body in api.queue if '"user_id":"bob"' in body and "turn_started" in body))

    api.finish(anns, bobs)

    assert is_refused(anns)
    assert stands(api, bobs)
    assert "ann asks" not in str(api.messages(shared.id))


def test_a_turn_refused_after_its_end_says_so_to_whoever_asks_and_is_not_durable(api: Members, shared: Shared) -> None:
    """Persist was too slow to be waited for: `persistPending`, and the turn's state tells the truth once it is known."""
    anns = shared.ask(api, "ann", "ann asks")
    api.finish(anns)
    bobs = shared.ask(api, "bob", "bob asks", anns.turn_id)
    api.let_end("bob asks")
    api.run(lambda: bobs.over, 10)
    assert bobs.stream.types[-2:] == ["persistPending", "complete"]

    api.deliver_all()

    state = api.turn("bob", anns.turn_id).json()
    assert (state["status"], state["durable"]) == ("failed", False)
    assert "conversationId" not in state


@pytest.mark.parametrize("depth", [0, 1, 2, 3])
@pytest.mark.parametrize("of", ["question", "answer"])
def test_a_message_under_an_id_of_another_members_is_refused_at_every_depth(
    api: Members, shared: Shared, of: str, depth: int
) -> None:
    before = api.messages(shared.id)
    taken = shared.question["id"] if of == "question" else shared.answer["id"]
    above = [user(f"above {number}", id=new_id()) for number in range(depth)]

    bobs = api.post("bob", *above, user("bob asks", id=taken), to=shared.id)
    api.finish(bobs)

    assert is_refused(bobs)
    assert api.messages(shared.id) == before


@pytest.mark.parametrize("depth", [0, 2, 3])
@pytest.mark.parametrize("of", ["question", "answer"])
def test_a_turn_under_an_id_of_another_members_is_refused_at_every_depth(
    api: Members, shared: Shared, of: str, depth: int
) -> None:
    before = api.messages(shared.id)
    taken = shared.question["id"] if of == "question" else shared.answer["id"]

    bobs = api.post("bob", *(user(f"bob's {number}", id=new_id()) for number in range(depth + 1)), to=shared.id, turn_id=taken)
    api.finish(bobs)

    assert is_refused(bobs)
    assert api.messages(shared.id) == before


# What members may do to each other's turns (docs/architecture.md, "Who may do what").


def test_a_member_reads_another_members_answer_while_it_is_made(api: Members, shared: Shared) -> None:
    anns = shared.ask(api, "ann", "ann asks")
    api.queued(anns)
    api.deliver_all()
    assert api.run(lambda: "[ann asks]" in str(api.conversation("bob", shared.id)), 5)
    status, document = api.conversation("bob", shared.id)
    api.finish(anns)

    assert (status, document["messages"][-1]["status"]) == (200, "streaming")


@pytest.mark.parametrize("who", ["bob", "mallory"])
def test_only_its_own_user_stops_follows_or_asks_after_a_turn(api: Members, shared: Shared, who: str) -> None:
    anns = shared.ask(api, "ann", "ann asks")
    api.queued(anns)
    api.deliver_all()

    resumed = api.resume(who, anns.turn_id)
    api.run(lambda: resumed.over, 5)
    asked = [api.turn(who, anns.turn_id), api.stop(who, anns.turn_id), resumed.task.result()]
    absent = [api.turn(who, new_id()), api.stop(who, new_id())]
    api.finish(anns)

    assert {response.status_code for response in (*asked, *absent)} == {404}
    assert len({response.content for response in (*asked, *absent)}) == 1
    assert anns.stream.last["status"] == "complete"
    assert stands(api, anns)


def test_a_stop_under_another_members_turn_id_ends_ones_own_turn_alone(api: Members, shared: Shared) -> None:
    anns = shared.ask(api, "ann", "ann asks")
    api.queued(anns)
    bobs = api.post("bob", user("bob asks"), turn_id=anns.turn_id)
    api.queued(bobs)

    assert api.stop("bob", anns.turn_id, instance=1).status_code == 202
    assert api.run(lambda: bobs.over, 5)
    assert not anns.over
    api.finish(anns)

    assert (bobs.stream.last["status"], anns.stream.last["status"]) == ("stopped", "complete")
    assert stands(api, anns)
    assert stands(api, bobs)


def test_a_member_answers_anew_edits_and_goes_on_where_another_was_and_all_is_kept(api: Members, shared: Shared) -> None:
    before = api.messages(shared.id)

    again = api.post("bob", shared.question, to=shared.id, parent=shared.question["id"])
    edited = api.post("bob", user("what Bob would have asked", id=new_id()), to=shared.id)
    on = shared.ask(api, "bob", "bob goes on")
    api.finish(again, edited, on)

    assert all(stands(api, request) for request in (again, edited, on))
    after = api.messages(shared.id)
    assert [row for row in after if row in before] == before
    assert len(after) == len(before) + 1 + 2 + 2


def test_a_member_goes_on_below_an_answer_that_is_still_made(api: Members, shared: Shared) -> None:
    anns = shared.ask(api, "ann", "ann asks")
    api.queued(anns)
    api.deliver_all()
    status, document = api.conversation("bob", shared.id)
    branch = [{name: message[name] for name in ("id", "role", "content")} for message in document["messages"]]

    bobs = api.post("bob", *branch, user("bob goes on", id=new_id()), to=shared.id, parent=anns.turn_id)
    api.finish(anns, bobs)

    assert status == 200
    assert stands(api, anns)
    assert stands(api, bobs)


def test_a_member_renames_and_deletes_what_is_shared_and_a_stranger_does_not(api: Members, shared: Shared) -> None:
    anns = shared.ask(api, "ann", "ann asks")
    api.queued(anns)
    api.deliver_all()
    path = f"/api/conversations/{shared.id}"

    assert api.ask("mallory", "PATCH", path, body={"title": "Mallory's"})[0] == 404
    assert api.ask("mallory", "DELETE", path)[0] == 404
    assert api.ask("bob", "PATCH", path, body={"title": "Bob's"})[1]["title"] == "Bob's"
    assert api.ask("bob", "DELETE", path)[0] == 204
    assert api.run(lambda: anns.over, 5), "a turn of a deleted conversation is asked to stop"
    api.finish(anns)

    assert api.conversation("ann", shared.id)[0] == 404
    assert api.messages(shared.id) == []

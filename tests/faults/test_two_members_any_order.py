"""GUARANTEES 36, by chance: two members of a workspace and a stranger, and every id that a client can choose drawn from all ids
seen so far; requests at once, records in any order and any batches. Neither member reads, changes, drops or blocks what is the
other's, and nobody is told that something is durable that is not stored.
"""

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from functions.common.ids import new_id
from infra.resources import CONVERSATIONS
from tests.integration.persist.persist_world import Item
from tests.support.chat import user
from tests.support.members import MEMBERS, TEAM, Members, Request, members

T = TypeVar("T")
FINAL = {"complete", "stopped", "truncated", "failed"}
users = st.sampled_from(["ann", "bob", "bob", "mallory"])
instances = st.integers(0, 1)
# A place in a list that time decides the length of: what is drawn may not depend on that, or no run could be played again.
places = st.integers(0, 2**16)


def pick(some: Sequence[T], place: int) -> T:
    return some[place % len(some)]


def may_touch(who: str, workspace: str) -> bool:
    return workspace == who or workspace in MEMBERS[who]


class AnyOrder(RuleBasedStateMachine):
    api: ClassVar[Members]
    numbers = count()

    @initialize()
    def begin(self) -> None:
        self.api.clear()
        self.posts: list[Request] = []
        self.resumed: list[Request] = []
        self.seen: list[str] = []  # every id there ever was
        self.named_by: dict[str, list[int]] = {}  # an id, and the posts that name it
        self.fresh: set[int] = set()  # posts that must succeed, if nobody else names their ids
        self.stopped: set[tuple[str, str]] = set()
        self.workspace: dict[str, str] = {}  # of each conversation ever stored
        self.deleted: set[str] = set()
        self.final: dict[tuple[str, str], Item] = {}
        self.post_new("ann", TEAM, 0)
        self.api.finish(*self.posts)
        self.look()

    # What is asked

    def remember(self, request: Request, fresh: bool = False) -> None:
        index = len(self.posts)
        self.posts.append(request)
        if fresh:
            self.fresh.add(index)
        for name in {request.turn_id, *(message["id"] for message in request.body["messages"] if "id" in message)}:
            self.named_by.setdefault(name, []).append(index)
            if name not in self.seen:
                self.seen.append(name)

    def say(self, who: str) -> str:
        return f"{who} asks {next(self.numbers)}"

    def any_id(self, place: int) -> str:
        return pick([*self.seen, *(new_id() for _ in range(3))], place)

    @rule(who=users, workspace=st.sampled_from([None, TEAM]), instance=instances)
    def post_new(self, who: str, workspace: str | None, instance: int) -> None:
        request = self.api.post(who, user(self.say(who), id=new_id()), workspace=workspace, instance=instance)
        self.remember(request, fresh=workspace is None or TEAM in MEMBERS[who])

    @rule(who=users, conversation=places, below=places, shown=st.sampled_from([1, 2, 99]), instance=instances)
    def go_on(self, who: str, conversation: int, below: int, shown: int, instance: int) -> None:
        """An honest question, below any stored message; of the branch so many messages, and their `orderKey`s."""
        conversation_id = pick(list(self.workspace), conversation)
        rows = {row["id"]: row for row in self.api.messages(conversation_id)}
        branch: list[Item] = []
        at = pick([None, *rows], below)
        parent = at
        while at is not None and at in rows:
            order = rows[at]["sk"].split("#")[1]
            branch.insert(0, {"id": at, "orderKey": order, "role": rows[at]["role"], "content": rows[at].get("content", "…")})
            at = rows[at].get("parent_id")
        honest = conversation_id not in self.deleted and may_touch(who, self.workspace[conversation_id])
        question = user(self.say(who), id=new_id())
        sent = [*branch[-shown:], question]
        self.remember(self.api.post(who, *sent, to=conversation_id, parent=parent, instance=instance), honest)

    @rule(
        who=users,
        conversation=places,
        ids=st.lists(st.tuples(places, st.booleans()), min_size=1, max_size=4),
        below=places,
        turn=places,
        instance=instances,
    )
    def post_anything(
        self, who: str, conversation: int, ids: list[tuple[int, bool]], below: int, turn: int, instance: int
    ) -> None:
        """Every id, the parent and the depth as chance has them; a text that is known, or a new one."""
        to = pick([None, *self.workspace, *self.seen], conversation)
        texts = {message["id"]: message["content"] for post in self.posts for message in post.body["messages"] if "id" in message}
        sent = []
        for place, its_own_text in ids:
            message_id = self.any_id(place)
            known = its_own_text and message_id in texts
            sent.append(user(texts[message_id] if known else self.say(who), id=message_id))
        parent = pick([None, *(message["id"] for message in sent)], below)
        self.remember(self.api.post(who, *sent, to=to, parent=parent, turn_id=self.any_id(turn), instance=instance))

    @rule(
        who=users,
        post=places,
        change=st.sampled_from(["the text", "the id and the text", "nothing new", "nothing"]),
        its_own_turn=st.sampled_from([False, False, True]),
        instance=instances,
    )
    def post_where_another_did(self, who: str, post: int, change: str, its_own_turn: bool, instance: int) -> None:
        """In the conversation of another request, at its depth; under its turn's and its messages' ids or other ones."""
        other = pick(self.posts, post)
        sent = [dict(message) for message in other.body["messages"]]
        parent = other.body.get("parentId")
        if change == "the id and the text":
            sent[-1]["id"] = new_id()
        if change in ("the text", "the id and the text"):
            sent[-1]["content"] = self.say(who)
        if change == "nothing new":
            parent = sent[-1].get("id")
        to = other.conversation_id
        if to is None and other.over and other.stream.events:
            to = other.stream.last.get("conversationId")
        turn_id = new_id() if its_own_turn else other.turn_id
        self.remember(self.api.post(who, *sent, to=to, parent=parent, turn_id=turn_id, instance=instance))

    @rule(post=places, instance=instances)
    def post_again(self, post: int, instance: int) -> None:
        self.remember(self.api.post_again(pick(self.posts, post), instance))

    @rule(who=users, turn=places, after=st.sampled_from([0, 1, 3, 99]), instance=instances)
    def resume(self, who: str, turn: int, after: int, instance: int) -> None:
        self.resumed.append(self.api.resume(who, pick(self.seen, turn), after, instance))

    @rule(who=users, turn=places, instance=instances)
    def stop(self, who: str, turn: int, instance: int) -> None:
        turn_id = pick(self.seen, turn)
        status = self.api.stop(who, turn_id, instance).status_code
        if any((post.user, post.turn_id) == (who, turn_id) for post in self.posts):
            assert status in (202, 404)
            self.stopped.add((who, turn_id))
        else:
            assert status == 404

    @rule(
        look=st.sampled_from(["read", "ask_after_a_turn", "list_conversations", "rename", "delete"]),
        who=users,
        about=places,
        other=places,
    )
    def look_around(self, look: str, who: str, about: int, other: int) -> None:
        if look == "read":
            self.read(who, about, other)
        elif look == "ask_after_a_turn":
            self.ask_after_a_turn(who, about)
        elif look == "list_conversations":
            self.list_conversations(who, pick([None, TEAM], about))
        else:
            self.change(who, about, look == "delete" and other % 2 == 0)

    def read(self, who: str, conversation: int, cursor_of: int) -> None:
        conversation_id = pick([*self.workspace, *self.seen], conversation)
        status, document = self.api.conversation(who, conversation_id)
        workspace = self.workspace.get(conversation_id)
        if workspace is None or conversation_id in self.deleted or not may_touch(who, workspace):
            assert (status, document["code"]) == (404, "not_found")
            return
        assert status == 200
        assert {message["id"] for message in document["messages"]} == {row["id"] for row in self.api.messages(conversation_id)}
        for way in (
            {"order": "newest"},
            {"since": "2020-01-01T00:00:00Z"},
            {"order": "newest", "through": f"000000:{conversation_id}"},
        ):
            status, part = self.api.conversation(who, conversation_id, limit=2, **way)
            assert status == 200
            assert {message["id"] for message in part["messages"]} <= {message["id"] for message in document["messages"]}
        # A place in another conversation is only a place in this one.
        readable = [one for one in self.workspace if one not in self.deleted and may_touch(who, self.workspace[one])]
        _, other = self.api.conversation(who, pick(readable, cursor_of), limit=1)
        if "cursor" in other:
            _, page = self.api.conversation(who, conversation_id, cursor=other["cursor"])
            assert {message["id"] for message in page["messages"]} <= {message["id"] for message in document["messages"]}

    def ask_after_a_turn(self, who: str, turn: int) -> None:
        turn_id = pick(self.seen, turn)
        response = self.api.turn(who, turn_id)
        if not any((post.user, post.turn_id) == (who, turn_id) for post in self.posts):
            assert response.status_code == 404

    def list_conversations(self, who: str, workspace: str | None) -> None:
        status, document = self.api.ask(who, "GET", "/api/conversations", {"workspaceId": workspace} if workspace else {})
        if workspace is not None and not may_touch(who, workspace):
            assert status == 403
            return
        self.look()
        mine = {one for one, of in self.workspace.items() if of == (workspace or who) and one not in self.deleted}
        assert {item["id"] for item in document["items"]} == mine

    def change(self, who: str, conversation: int, delete: bool) -> None:
        conversation_id = pick(list(self.workspace), conversation)
        allowed = conversation_id not in self.deleted and may_touch(who, self.workspace[conversation_id])
        path = f"/api/conversations/{conversation_id}"
        if delete:
            status, _ = self.api.ask(who, "DELETE", path)
            assert status == (204 if allowed else 404)
            if allowed:
                self.deleted.add(conversation_id)
        else:
            status, _ = self.api.ask(who, "PATCH", path, body={"title": f"{who}'s"})
            assert status == (200 if allowed else 404)

    # What happens

    @rule(post=places)
    def let_one_end(self, post: int) -> None:
        ends = pick(self.posts, post)
        self.api.let_end(ends.question)
        self.api.run(lambda: ends.over, 0.1)

    @rule(post=places)
    def queue_one(self, post: int) -> None:
        self.api.queued(pick(self.posts, post))

    @rule(records=st.lists(places, min_size=1, max_size=5))
    def deliver(self, records: list[int]) -> None:
        """What waits, and what was delivered before, in any order."""
        bodies = [*self.api.queue, *self.api.delivered]
        if bodies:
            self.api.deliver(*{pick(bodies, record): None for record in records})

    @rule()
    def deliver_all(self) -> None:
        self.api.deliver_all()
        self.api.run(lambda: False, 0.05)

    # What holds

    def rows(self) -> dict[str, list[Item]]:
        """What is stored, by conversation."""
        found: dict[str, list[Item]] = {}
        for row in self.api.world.scan()[CONVERSATIONS.name]:
            found.setdefault(row["pk"].removeprefix("CONV#"), []).append(row)
        return found

    @invariant()
    def look(self) -> None:
        """Whatever was final stays as it was, an id stands once, and what is deleted is gone."""
        for conversation_id, rows in self.rows().items():
            metas = [row for row in rows if row["sk"] == "META"]
            messages = [row for row in rows if row["sk"].startswith("MSG#")]
            assert conversation_id not in self.deleted, "what was deleted is back"
            assert len(metas) == 1, "messages without their conversation"
            assert self.workspace.setdefault(conversation_id, metas[0]["workspace_id"]) == metas[0]["workspace_id"]
            if conversation_id not in self.seen:
                self.seen.append(conversation_id)
            assert len({row["id"] for row in messages}) == len(messages), "an id stands twice"
            for row in messages:
                assert may_touch(row["user_id"], metas[0]["workspace_id"]), "a stranger's message"
                key = (row["pk"], row["sk"])
                if row["status"] in FINAL:
                    assert self.final.setdefault(key, row) == row, "what was final has changed"
        here = {(row["pk"], row["sk"]) for rows in self.rows().values() for row in rows}
        gone = [key for key in self.final if key not in here and key[0].removeprefix("CONV#") not in self.deleted]
        assert gone == [], "what was stored is gone"

    def teardown(self) -> None:
        if not hasattr(self, "posts"):
            return
        requests = [*self.posts, *self.resumed]
        self.api.finish(*requests)
        for body in [*self.api.queue, *reversed(self.api.delivered)]:  # the settlings, and everything once more
            self.api.deliver(body)
        self.look()
        assert self.api.queue == []
        stored = self.rows()
        for rows in stored.values():
            for row in rows:
                if row["sk"].startswith("MSG#"):
                    self.check_stored(row)
        for index, post in enumerate(self.posts):
            self.check_told(index, post)
        for request in requests:
            self.check_shown(request)
        if not self.deleted:
            for who in MEMBERS:
                _, usage = self.api.ask(who, "GET", "/api/usage")
                answers = [row for rows in stored.values() for row in rows if row.get("turn_id") and row["user_id"] == who]
                assert usage["today"]["turns"] == len(answers), "a turn is counted twice, or for another"

    def check_stored(self, row: Mapping[str, Any]) -> None:
        """It is what its user sent, or the answer to that."""
        sent = [post for post in self.posts if post.user == row["user_id"]]
        if row["role"] == "user":
            asked = [(m["id"], m["content"]) for post in sent for m in post.body["messages"] if "id" in m]
            assert (row["id"], row["content"]) in asked
            return
        assert row["status"] in FINAL, "an answer that never ended"
        turns = [post for post in sent if post.turn_id == row["id"]]
        answered = [post for post in turns if row["content"].startswith(f"[{post.question}]") or not row["content"]]
        assert answered, f"an answer to another's question: {row}"
        assert row.get("parent_id") in [post.body["messages"][-1].get("id") for post in answered]

    def check_told(self, index: int, post: Request) -> None:
        """What its user was told is so."""
        stream = post.stream
        if stream.status != 200:
            self.check_refused(index, post)
            return
        last = stream.last
        alone = all(len(self.named_by[name]) == 1 for name in self.ids_of(post))
        told = last.get("conversationId")
        if told is None:
            told = post.conversation_id or self.api.turn(post.user, post.turn_id).json().get("conversationId")
        gone = told in self.deleted or post.conversation_id in self.deleted
        if last["type"] == "complete":
            durable = last["durable"]
            if "persistPending" in stream.types:  # the queue has it: what became of it the turn's state tells
                durable = durable and self.api.turn(post.user, post.turn_id).json().get("durable", False)
            if durable and not gone:
                row = self.row(told, post)
                assert row is not None, "told durable, and not stored"
                assert (row["content"], row["status"]) == (stream.text, last["status"]), "told durable, and another is stored"
                self.check_question(told, post)
            if last["status"] == "stopped" and not gone:
                assert (post.user, post.turn_id) in self.stopped, "stopped by another"
        elif last["partial"] and not gone:
            row = self.row(told, post)
            assert row is not None, "told that a part is saved, and it is not"
            assert row["content"].startswith(stream.text)
        elif not gone:
            self.check_refused(index, post)
        if index in self.fresh and alone and not gone and (post.user, post.turn_id) not in self.stopped:
            assert last["type"] == "complete", f"an honest turn is blocked: {last}"
            assert self.row(told, post) is not None

    def check_question(self, conversation_id: str | None, post: Request) -> None:
        """A new question whose answer is durable is stored as it was asked, by whom it was asked."""
        *_, question = post.body["messages"]
        if "id" in question and post.body.get("parentId") != question["id"]:
            rows = self.rows().get(str(conversation_id), [])
            stored = [(row["content"], row["user_id"]) for row in rows if row.get("id") == question["id"]]
            assert stored == [(question["content"], post.user)], "the answer stands under another question"

    def check_refused(self, index: int, post: Request) -> None:
        """Nothing of it is stored that no other request has brought."""
        own = {name for name in self.ids_of(post) if self.named_by[name] == [index]}
        stored = {row["id"] for rows in self.rows().values() for row in rows if "id" in row}
        assert not own & stored, "refused, and stored"
        assert index not in self.fresh or stream_of_a_repeat(post), "an honest turn is refused"

    def check_shown(self, request: Request) -> None:
        """A stream shows its user's own answer alone."""
        stream = request.stream
        if stream.status == 200 and (text := stream.text) and stream.events[0].id == 1:
            own = [post for post in self.posts if (post.user, post.turn_id) == (request.user, request.turn_id)]
            assert any(text.startswith(f"[{post.question}]") for post in own), "another's answer"

    def row(self, conversation_id: str | None, post: Request) -> Item | None:
        rows: Sequence[Item] = self.rows().get(str(conversation_id), [])
        return next((row for row in rows if row.get("id") == post.turn_id and row.get("user_id") == post.user), None)

    @staticmethod
    def ids_of(post: Request) -> set[str]:
        return {post.turn_id, *(message["id"] for message in post.body["messages"][-1:] if "id" in message)}


def stream_of_a_repeat(post: Request) -> bool:
    """Whether it ended because another instance, or another request, of the same turn was there."""
    return post.stream.status == 200 and post.stream.last.get("code") == "duplicate_turn"


@pytest.mark.timeout(900)
@pytest.mark.parametrize("examples", [4, pytest.param(40, marks=pytest.mark.slow)])
def test_of_two_members_neither_touches_what_is_the_others(examples: int) -> None:
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    with members() as api:
        AnyOrder.api = api
        chosen = settings(
            max_examples=examples, stateful_step_count=12, deadline=None, suppress_health_check=checks, derandomize=True
        )
        run_state_machine_as_test(AnyOrder, settings=chosen)

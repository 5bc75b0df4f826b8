"""GUARANTEES 25: another's conversation is one that does not exist: the same bytes, for the same single read."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from functions.common import keys
from infra.resources import CONVERSATIONS
from tests.integration.conversations.stage import Answer, Stage

ABSENT = "0189f7f0-0000-7000-8000-000000000001"
META_BYTES = 1024  # an item of a title, ids and times
VERBS: dict[str, Callable[[Stage, str], Answer]] = {
    "get": lambda stage, one: stage.get(f"/api/conversations/{one}"),
    "get with a cursor of garbage": lambda stage, one: stage.get(f"/api/conversations/{one}", cursor="garbage"),
    "export": lambda stage, one: stage.get(f"/api/conversations/{one}/export"),
    "rename": lambda stage, one: stage.patch(one, {"title": "mine now"}),
    "delete": lambda stage, one: stage.ask("DELETE", f"/api/conversations/{one}"),
}


@pytest.mark.parametrize("verb", VERBS)
def test_foreign_deleted_and_absent_answer_the_same_for_the_same_single_read(stage: Stage, verb: str) -> None:
    foreign, deleted = stage.conversation("bob"), stage.conversation("bob")
    stage.message(foreign, 0, "x" * 100_000)
    stage.db.update_item(
        TableName=CONVERSATIONS.name,
        Key={"pk": {"S": keys.conversation_pk(deleted)}, "sk": {"S": keys.META}},
        UpdateExpression="SET deleted_at = :now REMOVE activity",
        ExpressionAttributeValues={":now": {"S": "2026-11-22T18:00:00.000Z"}},
    )
    before = stage.items(CONVERSATIONS)
    seen = []
    for one in (foreign, deleted, ABSENT):
        stage.calls.clear()
        answer = VERBS[verb](stage, one)
        seen.append((answer.status, dict(answer.headers), answer.body, tuple(stage.calls)))
    assert seen[0] == seen[1] == seen[2]
    assert (seen[0][0], seen[0][3]) == (404, ("GetItem",))
    assert stage.items(CONVERSATIONS) == before


@pytest.mark.parametrize("verb", VERBS)
def test_an_id_that_is_no_uuid_is_the_same_404(stage: Stage, verb: str) -> None:
    absent = VERBS[verb](stage, ABSENT)
    for odd in ("x", "..", "META", ABSENT.upper(), ABSENT + "%20", "a b", "'"):
        answer = VERBS[verb](stage, odd)
        assert (answer.status, answer.body) == (404, absent.body)


@pytest.mark.parametrize("verb", ["get", "export"])
def test_ones_own_deleted_conversation_is_gone_though_items_of_it_remain(stage: Stage, verb: str) -> None:
    one = stage.conversation()
    stage.db.update_item(
        TableName=CONVERSATIONS.name,
        Key={"pk": {"S": keys.conversation_pk(one)}, "sk": {"S": keys.META}},
        UpdateExpression="SET deleted_at = :now REMOVE activity",
        ExpressionAttributeValues={":now": {"S": "2026-11-22T18:00:00.000Z"}},
    )
    assert VERBS[verb](stage, one).body == VERBS[verb](stage, ABSENT).body


@pytest.mark.parametrize("verb", ["get", "export", "rename", "delete"])
def test_a_shared_workspace_opens_its_conversations_to_its_members(stage: Stage, verb: str) -> None:
    one = stage.conversation("team")
    path, method = f"/api/conversations/{one}", {"rename": "PATCH", "delete": "DELETE"}.get(verb, "GET")
    path += "/export" if verb == "export" else ""
    body = {"headers": {"content-type": "application/json"}, "body": '{"title":"ours"}'} if verb == "rename" else {}
    stranger = stage.ask(method, path, sub="carol", workspaces=["other"], **body)  # type: ignore[arg-type]
    assert stranger.status == 404
    member = stage.ask(method, path, sub="bob", workspaces=["team"], **body)  # type: ignore[arg-type]
    assert member.status in {200, 204}


def test_a_cursor_made_in_one_conversation_is_only_a_position_in_another(stage: Stage) -> None:
    theirs, mine = stage.conversation("bob"), stage.conversation()
    for depth in range(3):
        stage.message(theirs, depth, "theirs")
    late = stage.message(mine, 5, "mine")
    cursor = stage.ask("GET", f"/api/conversations/{theirs}", {"limit": 1}, sub="bob").json["cursor"]
    page = stage.get(f"/api/conversations/{mine}", cursor=cursor).json
    assert [message["id"] for message in page["messages"]] == [late]


@pytest.mark.parametrize("verb", VERBS)
def test_a_foreign_conversation_costs_the_read_of_an_absent_one_however_much_is_in_it(stage: Stage, verb: str) -> None:
    foreign = stage.conversation("bob")
    for depth in range(40):
        stage.message(foreign, depth, "x" * 20_000)
    wire = Wire(stage)

    VERBS[verb](stage, foreign)
    asked_of_foreign, read_of_foreign = wire.taken(foreign)
    VERBS[verb](stage, ABSENT)
    asked_of_absent, read_of_absent = wire.taken(ABSENT)

    assert asked_of_foreign == asked_of_absent
    assert read_of_foreign - read_of_absent < META_BYTES, "the time to read it is that of one small item, not of 800 KB"


class Wire:
    """What leaves for DynamoDB and what comes back, in bytes: the part of an answer's time that depends on what is stored."""

    def __init__(self, stage: Stage) -> None:
        self._asked: list[tuple[str, str]] = []
        self._read = 0
        events = stage.db.meta.events
        events.register(
            "before-call.dynamodb", lambda model, params, **_: self._asked.append((model.name, params["body"].decode()))
        )
        events.register("after-call.dynamodb", self._received)

    def _received(self, http_response: AWSResponse, **_: Any) -> None:
        self._read += len(http_response.content)

    def taken(self, conversation_id: str) -> tuple[list[tuple[str, str]], int]:
        """The requests so far, the conversation's id left out, and how many bytes they read; both begin anew."""
        asked, read = [(name, body.replace(conversation_id, "…")) for name, body in self._asked], self._read
        self._asked.clear()
        self._read = 0
        return asked, read

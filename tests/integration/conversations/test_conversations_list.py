"""The list of a workspace: order, pages, and cursors that lead nowhere else."""

import base64

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.conversations.stage import Stage, accepted

LIST = "/api/conversations"


def ids(stage: Stage, **query: object) -> list[str]:
    return [item["id"] for item in stage.get(LIST, **query).json["items"]]


def test_newest_activity_comes_first_with_the_fields_of_the_contract(stage: Stage) -> None:
    old, new = stage.conversation(at=1_790_000_000), stage.conversation(at=1_790_000_060)
    answer = stage.get(LIST)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert [item["id"] for item in answer.json["items"]] == [new, old]
    assert answer.json["items"][1] == {
        "id": old,
        "title": "Of alice",
        "budId": "default",
        "model": "m",
        "createdAt": "2026-09-21T14:13:20.000Z",
        "updatedAt": "2026-09-21T14:13:20.000Z",
    }
    assert "cursor" not in answer.json


def test_an_empty_workspace_is_an_empty_list(stage: Stage) -> None:
    assert stage.get(LIST).json == {"items": []}


@pytest.mark.parametrize("count", [0, 1, 5, 6, 7, 12])
def test_pages_show_each_conversation_once_in_order_and_the_last_has_no_cursor(stage: Stage, count: int) -> None:
    made = [stage.conversation(at=1_790_000_000 + n // 3) for n in range(count)]  # some in the same second
    seen, cursor = [], None
    while True:
        page = stage.get(LIST, limit=3, **({"cursor": cursor} if cursor else {})).json
        assert len(page["items"]) <= 3
        seen += page["items"]
        if (cursor := page.get("cursor")) is None:
            break
        assert len(page["items"]) == 3
    assert sorted(item["id"] for item in seen) == sorted(made)
    assert [item["updatedAt"] for item in seen] == sorted((item["updatedAt"] for item in seen), reverse=True)


def test_only_the_workspace_asked_for_is_shown_and_it_must_be_the_callers(stage: Stage) -> None:
    mine, teams = stage.conversation("alice"), stage.conversation("team, one")
    stage.conversation("bob")
    both = {"sub": "alice", "workspaces": ["team, one"]}
    assert [item["id"] for item in stage.ask("GET", LIST, **both).json["items"]] == [mine]  # type: ignore[arg-type]
    shown = stage.ask("GET", LIST, {"workspaceId": "team, one"}, sub="alice", workspaces=["team, one"]).json["items"]
    assert [item["id"] for item in shown] == [teams]
    refused = stage.get(LIST, workspaceId="bob")
    assert (refused.status, refused.code) == (403, "forbidden_workspace")
    assert stage.calls.count("Query") == 2


@pytest.mark.parametrize("limit", ["0", "101", "-1", "many", "", "1.5", "1e2", [1, 2]])
def test_a_limit_out_of_bounds_is_named(stage: Stage, limit: object) -> None:
    answer = stage.get(LIST, limit=limit)
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert answer.fields[0] == "limit"


def test_limits_at_their_edges_and_the_default(stage: Stage) -> None:
    for n in range(32):
        stage.conversation(at=1_790_000_000 + n)
    assert (len(ids(stage)), len(ids(stage, limit=1)), len(ids(stage, limit=100))) == (30, 1, 32)


@pytest.mark.parametrize("workspace", ["", "x" * 256, ["alice", "alice"]])
def test_a_workspace_id_that_cannot_be_one_is_named(stage: Stage, workspace: object) -> None:
    answer = stage.get(LIST, workspaceId=workspace)
    assert (answer.status, answer.fields) == (400, ["workspaceId"])


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


ID = "0189f7f0-0000-7000-8000-000000000001"


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "!",
        "A",
        "é",
        "A" * 201,
        encoded(""),
        encoded("c1:"),
        encoded("c2:2026-09-21T13:33:20.000Z#" + ID),
        encoded("m1:0#" + ID),
        encoded("c1:bob#" + ID),
        encoded("c1:2026-09-21T13:33:20.000Z#bob"),
        encoded("c1:2026-09-21T13:33:20.000Z#" + ID + "#x"),
        encoded('{"workspace_id":{"S":"bob"}}'),
        encoded("c1:\ud7ff"),
    ],
)
def test_a_malformed_cursor_is_named(stage: Stage, cursor: str) -> None:
    answer = stage.get(LIST, cursor=cursor)
    assert (answer.status, answer.code, answer.fields) == (400, "invalid_request", ["cursor"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    st.one_of(
        st.text(max_size=80),
        st.binary(max_size=80).map(lambda raw: base64.urlsafe_b64encode(raw).decode().rstrip("=")),
        st.builds(lambda at, who: encoded(f"c1:{at}#{who}"), st.datetimes().map(lambda at: at.isoformat() + "Z"), st.uuids()),
        st.builds(lambda at, who: encoded(f"c1:{at}#{who}"), st.text("0123456789TZ:.-+", max_size=45), st.text(max_size=36)),
    )
)
def test_no_cursor_whatever_leads_to_anothers_conversation_or_to_a_failure(stage: Stage, cursor: str) -> None:
    if not stage.items_made:
        stage.items_made.update(mine=stage.conversation("alice"), theirs=stage.conversation("bob"))
    answer = stage.get(LIST, cursor=cursor)
    assert answer.status in {200, 400}
    if answer.status == 200:
        assert {item["id"] for item in answer.json["items"]} <= {stage.items_made["mine"]}
    else:
        assert answer.fields == ["cursor"]


def test_a_cursor_of_one_workspace_is_only_a_position_in_another(stage: Stage) -> None:
    for n in range(3):
        stage.conversation("bob", at=1_790_000_000 + n)
    mine = stage.conversation("alice", at=1_789_999_999)
    theirs = stage.ask("GET", LIST, {"limit": 1}, sub="bob").json["cursor"]
    assert ids(stage, cursor=theirs) == [mine]


def test_a_page_that_dynamodb_cuts_short_is_filled_by_another_query(stage: Stage) -> None:
    first, second = stage.conversation(at=1_790_000_060), stage.conversation(at=1_790_000_000)
    whole = stage.db.query(
        TableName="conversations",
        IndexName="by_activity",
        KeyConditionExpression="workspace_id = :w",
        ExpressionAttributeValues={":w": {"S": "alice"}},
        ScanIndexForward=False,
    )["Items"]
    keys = {name: whole[0][name] for name in ("pk", "sk", "workspace_id", "activity")}
    cut = iter([accepted(Items=whole[:1], Count=1, ScannedCount=1, LastEvaluatedKey=keys)])
    stage.breaks("Query", lambda _: next(cut, None))
    assert ids(stage) == [first, second]

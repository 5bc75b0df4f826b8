"""Reading from the end: a branch's newest page at the same cost for any length, other branches, and only what has changed."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.common import keys, times
from functions.common.events import Complete, Start, Token
from functions.common.ids import new_id
from infra.resources import CONVERSATIONS
from tests.integration.conversations.stage import Stage

NOW = 1_790_000_000.0


def read(stage: Stage, one: str, **query: object) -> dict[str, object]:
    answer = stage.get(f"/api/conversations/{one}", **query)
    assert answer.status == 200, answer.body
    document: dict[str, object] = answer.json
    return document


def pages(stage: Stage, one: str, **query: object) -> Iterator[list[dict[str, object]]]:
    cursor: dict[str, object] = {}
    while True:
        page = read(stage, one, **query, **cursor)
        assert isinstance(page["messages"], list)
        yield page["messages"]
        if "cursor" not in page:
            return
        cursor = {"cursor": page["cursor"]}


def newest(stage: Stage, one: str, **query: object) -> list[dict[str, object]]:
    return next(pages(stage, one, order="newest", **query))


def ids(messages: list[dict[str, object]]) -> list[object]:
    return [message["id"] for message in messages]


def at(second: float) -> str:
    return times.iso(NOW + second)


def chain(stage: Stage, one: str, length: int, parent: str | None = None, depth: int = 0, since: float = 0) -> list[str]:
    """Messages one below the other, a second apart, the last of them the newest leaf."""
    made: list[str] = []
    rows = []
    for step in range(length):
        message_id, above = new_id(), made[-1] if made else parent
        role = "user" if (depth + step) % 2 == 0 else "assistant"
        row = {"id": message_id, "role": role, "status": "complete", "content": "x", "created_at": at(since + step)}
        row |= {"updated_at": row["created_at"], **({"parent_id": above} if above else {})}
        key = keys.message_key(one, depth + step, message_id)
        rows.append({name: {"S": value} for name, value in {**row, "pk": key.pk, "sk": key.sk}.items()})
        made.append(message_id)
    for start in range(0, length, 25):
        puts: list[Any] = [{"PutRequest": {"Item": row}} for row in rows[start : start + 25]]
        stage.db.batch_write_item(RequestItems={CONVERSATIONS.name: puts})
    activity(stage, one, since + length - 1, keys.message_sk(depth + length - 1, made[-1]))
    return made


def activity(stage: Stage, one: str, second: float, leaf: str | None) -> None:
    """META as persist leaves it at a turn's end; without `leaf` as it did before it knew that."""
    named = {":at": {"S": at(second)}, **({":leaf": {"S": leaf}} if leaf else {})}
    stage.db.update_item(
        TableName=CONVERSATIONS.name,
        Key={"pk": {"S": keys.conversation_pk(one)}, "sk": {"S": keys.META}},
        UpdateExpression="SET updated_at = :at" + (", leaf = :leaf" if leaf else " REMOVE leaf"),
        ExpressionAttributeValues=named,
    )


def test_the_newest_page_comes_first_and_older_ones_by_cursor_parents_before_children_in_each(stage: Stage) -> None:
    one = stage.conversation()
    made = chain(stage, one, 120)
    assert [ids(page) for page in pages(stage, one, order="newest", limit=50)] == [made[70:], made[20:70], made[:20]]


def test_the_first_page_is_the_branch_of_the_newest_leaf_and_names_siblings_by_id(stage: Stage) -> None:
    one = stage.conversation()
    first = chain(stage, one, 30)
    edited = chain(stage, one, 2, parent=first[1], depth=2, since=100)
    page = newest(stage, one)
    assert ids(page) == [*first[:2], *edited]
    assert {message["id"]: message.get("siblings") for message in page} == {
        first[0]: None,
        first[1]: None,
        edited[0]: [first[2], edited[0]],
        edited[1]: None,
    }


@pytest.mark.parametrize("branches", [1, 4])
def test_the_newest_page_costs_the_same_at_any_length(stage: Stage, branches: int) -> None:
    reads: list[int] = []
    stage.db.meta.events.register("after-call.dynamodb.Query", lambda parsed, **_: reads.append(parsed["ScannedCount"]))
    costs = []
    for length in (60, 1_500):
        one = stage.conversation()
        made = chain(stage, one, length)
        for branch in range(1, branches):
            chain(stage, one, 10, parent=made[-12], depth=length - 11, since=-1000 * branch)
        activity(stage, one, 2_000, keys.message_sk(length - 1, made[-1]))
        reads.clear()
        stage.calls.clear()
        assert ids(newest(stage, one, limit=50)) == made[-50:]
        costs.append((list(stage.calls), list(reads)))
    assert costs[0] == costs[1]
    assert len(costs[0][0]) <= 3, "the conversation's own item, and at most two queries"


def test_of_a_conversation_stored_before_its_newest_leaf_was_noted_it_is_found(stage: Stage) -> None:
    one = stage.conversation()
    first = chain(stage, one, 40)
    edited = chain(stage, one, 2, parent=first[1], depth=2, since=100)
    activity(stage, one, 130, None)
    assert ids(newest(stage, one)) == [*first[:2], *edited]


def test_an_answer_under_way_is_in_the_newest_page_with_its_text_so_far(stage: Stage) -> None:
    one = stage.conversation()
    made = chain(stage, one, 3)
    turn = stage.answer_under_way(one, 3, parent_id=made[-1])
    activity(stage, one, 10, keys.message_sk(3, turn))
    stage.turn(turn, Start(turn_id=turn, model="m"), Token("so far"))
    last = newest(stage, one, limit=2)[-1]
    assert (last["id"], last["content"], last["status"]) == (turn, "so far", "streaming")


@pytest.mark.parametrize("limit", [1, 20])
def test_a_question_answered_hundreds_of_times_can_be_read_past(stage: Stage, limit: int) -> None:
    one = stage.conversation()
    made = chain(stage, one, 5)
    for number in range(320):
        stage.message(one, 5, "again", parent_id=made[-1], role="assistant", created_at=at(100 + number))
    leaf = stage.message(one, 5, "last", parent_id=made[-1], role="assistant", created_at=at(1_000))
    activity(stage, one, 1_000, keys.message_sk(5, leaf))
    assert [one for page in reversed(list(pages(stage, one, order="newest", limit=limit))) for one in ids(page)] == [*made, leaf]


@pytest.mark.parametrize("depth", [1, 12, 999_998])
def test_a_message_that_was_put_at_a_wrong_depth_does_not_hide_what_is_above_it(stage: Stage, depth: int) -> None:
    one = stage.conversation()
    made = chain(stage, one, 8)
    question = stage.message(one, depth, "hm?", parent_id=made[-1], created_at=at(50))
    answer = stage.message(one, depth + 1, "so", parent_id=question, role="assistant", created_at=at(50))
    activity(stage, one, 50, keys.message_sk(depth + 1, answer))
    read_so = [one for page in reversed(list(pages(stage, one, order="newest", limit=3))) for one in ids(page)]
    assert read_so == [*made, question, answer]


def test_another_branch_is_read_through_a_message_of_it_down_to_its_newest_leaf(stage: Stage) -> None:
    one = stage.conversation()
    first = chain(stage, one, 10)
    chain(stage, one, 4, parent=first[5], depth=6, since=-50)  # an older end of the first version's branch
    edited = chain(stage, one, 2, parent=first[1], depth=2, since=100)
    assert ids(newest(stage, one, through=f"000002:{first[2]}")) == first
    assert ids(newest(stage, one, through=f"000002:{first[2]}", limit=3)) == first[-3:]
    assert ids(newest(stage, one, through=f"000002:{new_id()}")) == [*first[:2], *edited]


@pytest.mark.parametrize("noted", [True, False])
def test_a_message_is_found_by_its_id_alone_also_where_its_depth_was_not_noted(stage: Stage, noted: bool) -> None:
    one = stage.conversation()
    first = chain(stage, one, 10)
    chain(stage, one, 2, parent=first[1], depth=2, since=100)
    if noted:
        key = keys.message_id_key(one, first[2])
        item = {"pk": {"S": key.pk}, "sk": {"S": key.sk}, "order_key": {"S": "000002"}}
        stage.db.put_item(TableName=CONVERSATIONS.name, Item=item)
    assert ids(newest(stage, one, through=first[2])) == first


def test_a_conversation_without_messages_is_an_empty_newest_page(stage: Stage) -> None:
    assert newest(stage, stage.conversation()) == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"order": "oldest-first"}, "order"),
        ({"since": "yesterday"}, "since"),
        ({"since": "2026-11-22T18:00:00"}, "since"),
        ({"since": "0001-01-01T00:00:00+14:00"}, "since"),
        ({"since": "x" * 41}, "since"),
        ({"order": "newest", "through": "2"}, "through"),
        ({"order": "newest", "through": "2:" + new_id()}, "through"),
        ({"through": "000002:" + new_id()}, "through"),
        ({"order": "newest", "since": "2026-11-22T18:00:00Z", "through": "000002:" + new_id()}, "through"),
        ({"order": "newest", "cursor": "bTE6MCM"}, "cursor"),
    ],
)
def test_a_parameter_that_is_not_valid_is_refused_by_its_name(stage: Stage, query: dict[str, str], field: str) -> None:
    answer = stage.get(f"/api/conversations/{stage.conversation()}", **query)
    assert (answer.status, answer.fields) == (400, [field])


def test_a_cursor_of_one_order_is_none_of_the_other(stage: Stage) -> None:
    one = stage.conversation()
    chain(stage, one, 5)
    forwards, backwards = read(stage, one, limit=2)["cursor"], read(stage, one, limit=2, order="newest")["cursor"]
    assert stage.get(f"/api/conversations/{one}", cursor=backwards).status == 400
    assert stage.get(f"/api/conversations/{one}", cursor=forwards, order="newest").status == 400


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 30), min_size=1, max_size=30), st.integers(1, 4), st.data())
def test_every_tree_is_read_as_the_path_to_its_newest_leaf(
    stage: Stage, parents: list[int], limit: int, data: st.DataObject
) -> None:
    one = stage.conversation()
    rows: list[tuple[str, int, int | None]] = []  # id, depth, index of the parent
    for index, wish in enumerate(parents):
        parent = None if wish >= index else wish
        depth = 0 if parent is None else rows[parent][1] + 1
        above = {} if parent is None else {"parent_id": rows[parent][0]}
        rows.append((stage.message(one, depth, created_at=at(index), **above), depth, parent))
    activity(stage, one, len(rows), keys.message_sk(rows[-1][1], rows[-1][0]) if data.draw(st.booleans()) else None)

    def path(index: int | None) -> list[str]:
        return [] if index is None else [*path(rows[index][2]), rows[index][0]]

    shown = [message for page in reversed(list(pages(stage, one, order="newest", limit=limit))) for message in page]
    assert ids(shown) == path(len(rows) - 1)
    for message in shown:
        family = [one for one, _, parent in rows if parent == next(above for each, _, above in rows if each == message["id"])]
        assert message.get("siblings", [message["id"]]) == family


def changed(stage: Stage, one: str, since: str, **query: object) -> list[object]:
    return [one for page in pages(stage, one, since=since, **query) for one in ids(page)]


def test_since_gives_what_is_new_on_every_branch_and_nothing_else(stage: Stage) -> None:
    one = stage.conversation()
    first = chain(stage, one, 50)
    shallow = chain(stage, one, 2, parent=first[1], depth=2, since=1_000)
    deep = chain(stage, one, 2, parent=first[-1], depth=50, since=1_001)
    assert changed(stage, one, at(999)) == [*shallow, *deep]
    assert changed(stage, one, at(999), limit=3, order="newest") == [*shallow, *deep]
    assert changed(stage, one, at(1_002)) == []


def test_since_gives_an_answer_again_whose_text_goes_on_or_that_has_ended(stage: Stage) -> None:
    one = stage.conversation()
    ended = stage.message(one, 0, "done", role="assistant", created_at=at(0), updated_at=at(30))
    turn = stage.answer_under_way(one, 1, updated_at=times.iso(time.time()))
    stage.turn(turn, Token("so far"))
    activity(stage, one, time.time() - NOW, None)
    assert changed(stage, one, at(20)) == [ended, turn]
    later = times.iso(time.time() + 60)
    (page,) = pages(stage, one, since=later)
    assert [(message["id"], message["content"]) for message in page] == [(turn, "so far")]
    stage.turn(
        turn,
        Token("so far"),
        Complete(turn_id=turn, conversation_id=one, finish_reason="stop", usage=None, durable=True, status="complete"),
    )
    (page,) = pages(stage, one, since=later)
    assert [message["status"] for message in page] == ["complete"]


def test_messages_stored_without_a_time_of_change_count_by_when_they_were_made(stage: Stage) -> None:
    one = stage.conversation()
    stage.message(one, 0, created_at=at(0))
    answer = stage.message(one, 1, role="assistant", created_at=at(3_000))
    activity(stage, one, 3_010, None)
    assert changed(stage, one, at(3_005)) == [answer], "its turn may have ended after that"
    assert changed(stage, one, at(3_950)) == []


def test_when_nothing_has_changed_for_long_no_message_is_read(stage: Stage) -> None:
    one = stage.conversation()
    chain(stage, one, 5)
    stage.calls.clear()
    assert changed(stage, one, at(1_000)) == []
    assert stage.calls == ["GetItem"]


def test_as_of_leads_from_one_reading_to_the_next(stage: Stage) -> None:
    one = stage.conversation()
    chain(stage, one, 5)
    first = read(stage, one, order="newest")
    assert at(10) < str(first["asOf"]) < times.iso(time.time())
    new = stage.message(one, 5, created_at=times.iso(time.time()), updated_at=times.iso(time.time()))
    activity(stage, one, time.time() - NOW, keys.message_sk(5, new))
    assert changed(stage, one, str(first["asOf"])) == [new]


def test_a_long_conversation_is_looked_through_in_bounded_requests(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.conversations.changes._PAGES", 2)
    one = stage.conversation()
    for depth in range(12):
        stage.message(one, depth, "x" * 390_000, created_at=at(0), updated_at=at(0))
    last = stage.message(one, 12, created_at=at(500), updated_at=at(500))
    activity(stage, one, 500, None)
    found = list(pages(stage, one, since=at(400)))
    assert [ids(page) for page in found if page] == [[last]]
    assert len(found) > 1

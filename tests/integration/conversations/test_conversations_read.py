"""Reading a conversation: the tree in pages, answers under way with their text so far, and the export."""

import base64
import json
import time

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ReadTimeoutError

from functions.common import keys, times
from functions.common.events import Complete, Event, Failed, Reasoning, Start, Token
from functions.common.records import Usage
from functions.conversations.underway import LONGEST_TURN_S, MAX_TURNS
from infra.resources import CONVERSATIONS
from tests.integration.conversations.stage import Stage, refusal

USAGE = Usage(input_tokens=3, output_tokens=4, total_tokens=7)


def read(stage: Stage, one: str, **query: object) -> dict[str, object]:
    answer = stage.get(f"/api/conversations/{one}", **query)
    assert answer.status == 200, answer.body
    document: dict[str, object] = answer.json
    return document


def messages(stage: Stage, one: str, **query: object) -> list[dict[str, object]]:
    shown = read(stage, one, **query)["messages"]
    assert isinstance(shown, list)
    return shown


def test_a_conversation_shows_its_head_and_every_branch_parents_first(stage: Stage) -> None:
    one = stage.conversation()
    root = stage.message(one, 0, "question", created_at="2026-11-22T18:00:00.000Z", meta='{"a":[1]}')
    left = stage.message(one, 1, "answer", role="assistant", parent_id=root, usage=USAGE.model_dump_json(), finish_reason="stop")
    right = stage.message(one, 1, "other", role="assistant", parent_id=root, reasoning="hm", status="failed", error="model_cut")
    leaf = stage.message(one, 2, "next", parent_id=left)
    document = read(stage, one)
    assert (document["id"], document["workspaceId"], document["title"]) == (one, "alice", "Of alice")
    assert "cursor" not in document
    shown = {message["id"]: message for message in messages(stage, one)}
    assert [message["orderKey"] for message in shown.values()] == ["000000", "000001", "000001", "000002"]
    assert shown[root] == {
        "id": root,
        "parentId": None,
        "orderKey": "000000",
        "role": "user",
        "content": "question",
        "status": "complete",
        "meta": {"a": [1]},
        "createdAt": "2026-11-22T18:00:00.000Z",
    }
    assert (shown[left]["usage"], shown[left]["finishReason"]) == (
        {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7},
        "stop",
    )
    assert (shown[right]["reasoning"], shown[right]["error"], shown[right]["parentId"]) == ("hm", "model_cut", root)
    assert shown[leaf]["parentId"] == left


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 500])
def test_pages_show_each_message_once_in_order(stage: Stage, limit: int) -> None:
    one = stage.conversation()
    made = [stage.message(one, depth // 2) for depth in range(7)]
    seen: list[dict[str, object]] = []
    query: dict[str, object] = {"limit": limit}
    while True:
        page = read(stage, one, **query)
        seen += page["messages"]  # type: ignore[arg-type]
        if "cursor" not in page:
            break
        query["cursor"] = page["cursor"]
    assert sorted(str(message["id"]) for message in seen) == sorted(made)
    assert [message["orderKey"] for message in seen] == ["000000", "000000", "000001", "000001", "000002", "000002", "000003"]


@pytest.mark.parametrize("limit", ["0", "501", "x"])
def test_a_limit_out_of_bounds_is_named(stage: Stage, limit: str) -> None:
    answer = stage.get(f"/api/conversations/{stage.conversation()}", limit=limit)
    assert (answer.status, answer.fields) == (400, ["limit"])


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    ["", "x", encoded("c1:x"), encoded("m1:1"), encoded("m1:-1#" + "0189f7f0-0000-7000-8000-000000000001"), encoded("m1:1#META")],
)
def test_a_malformed_cursor_is_named(stage: Stage, cursor: str) -> None:
    answer = stage.get(f"/api/conversations/{stage.conversation()}", cursor=cursor)
    assert (answer.status, answer.code, answer.fields) == (400, "invalid_request", ["cursor"])


@pytest.mark.parametrize("text", ["x" * 350_000, "\x01" * 350_000, '"\n' * 175_000, "é" * 170_000])
def test_heavy_messages_make_a_shorter_page_that_fits_a_lambda_answer(stage: Stage, text: str) -> None:
    one = stage.conversation()
    made = {stage.message(one, depth, text) for depth in range(24)}
    seen: set[object] = set()
    query: dict[str, object] = {}
    while True:
        answer = stage.get(f"/api/conversations/{one}", **query)
        assert len(json.dumps({"body": answer.body.decode()}, ensure_ascii=False).encode()) < 6_291_556
        assert answer.json["messages"]
        seen |= {message["id"] for message in answer.json["messages"]}
        if "cursor" not in answer.json:
            break
        query = {"cursor": answer.json["cursor"]}
    assert seen == made
    assert query


def test_a_turn_under_way_shows_its_text_so_far(stage: Stage) -> None:
    one = stage.conversation()
    turn = stage.answer_under_way(one, 1)
    stage.turn(turn, Start(turn, "m"), Reasoning("hm"), Token("Hel"), Token("lo"))
    (shown,) = messages(stage, one)
    assert (shown["content"], shown["reasoning"], shown["status"]) == ("Hello", "hm", "streaming")
    assert "usage" not in shown


@pytest.mark.parametrize("status", ["complete", "stopped", "truncated"])
def test_right_after_complete_the_whole_answer_is_there_before_persist_stored_it(stage: Stage, status: str) -> None:
    one = stage.conversation()
    turn = stage.answer_under_way(one, 1)
    stage.turn(turn, Token("Hello"), Complete(turn, one, "stop", status, USAGE, durable=True))  # the claim still says streaming
    (shown,) = messages(stage, one)
    assert (shown["content"], shown["status"], shown["finishReason"]) == ("Hello", status, "stop")
    assert shown["usage"] == {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7}


def test_a_complete_without_usage_or_reason_shows_neither(stage: Stage) -> None:
    one = stage.conversation()
    turn = stage.answer_under_way(one, 1)
    stage.turn(turn, Token("Hello"), Complete(turn, one, None, "stopped", None, durable=True))
    (shown,) = messages(stage, one)
    assert {"usage", "finishReason", "reasoning", "error"}.isdisjoint(shown)


def test_a_failed_turn_shows_its_partial_text_and_code(stage: Stage) -> None:
    one = stage.conversation()
    turn = stage.answer_under_way(one, 1)
    stage.turn(turn, Token("Hel"), Failed("model_stalled", "words", retryable=True, partial=True))
    (shown,) = messages(stage, one)
    assert (shown["content"], shown["status"], shown["error"]) == ("Hel", "failed", "model_stalled")


def test_after_a_kill_the_text_so_far_is_shown_at_once_as_interrupted(stage: Stage) -> None:
    one = stage.conversation()
    turn = stage.answer_under_way(one, 1, age_s=60)
    stage.turn(turn, Token("Hel"), silent_s=20)
    (shown,) = messages(stage, one)
    assert (shown["content"], shown["status"]) == ("Hel", "interrupted")


def test_the_turn_of_another_member_of_the_workspace_is_read_too(stage: Stage) -> None:
    one = stage.conversation("team")
    turn = stage.answer_under_way(one, 1, user="bob")
    stage.turn(turn, Token("Hi"), user="bob")
    shown = stage.ask("GET", f"/api/conversations/{one}", sub="alice", workspaces=["team"]).json["messages"]
    assert shown[0]["content"] == "Hi"


def test_an_answer_stored_between_the_two_reads_is_shown_as_stored(stage: Stage) -> None:
    one = stage.conversation()
    turn = stage.answer_under_way(one, 1)
    stage.turn(turn, Token("Hel"), status="complete")  # its last checkpoint was lost

    def stores_meanwhile(body: bytes) -> AWSResponse | None:
        if b"TURN#" in body:
            stage.message(one, 1, "Hello", id=turn, role="assistant", status="complete")
        return None

    stage.breaks("Query", stores_meanwhile)
    (shown,) = messages(stage, one)
    assert (shown["content"], shown["status"]) == ("Hello", "complete")


def test_a_turn_that_is_over_without_an_end_in_its_log_shows_what_there_is(stage: Stage) -> None:
    one = stage.conversation()
    turn = stage.answer_under_way(one, 1)
    stage.turn(turn, Token("Hel"), status="complete")
    (shown,) = messages(stage, one)
    assert (shown["content"], shown["status"]) == ("Hel", "complete")


@pytest.mark.parametrize(("age_s", "status"), [(5, "streaming"), (LONGEST_TURN_S + 60, "interrupted")])
def test_a_placeholder_whose_turn_is_not_there_streams_no_longer_than_a_turn_can(stage: Stage, age_s: int, status: str) -> None:
    one = stage.conversation()
    stage.answer_under_way(one, 1, age_s=age_s)
    (shown,) = messages(stage, one)
    assert (shown["content"], shown["status"]) == ("", status)


def test_a_placeholder_that_names_no_turn_is_shown_as_it_is(stage: Stage) -> None:
    one = stage.conversation()
    stage.message(one, 1, None, role="assistant", status="streaming")
    (shown,) = messages(stage, one)
    assert (shown["content"], shown["status"]) == ("", "streaming")


def test_when_the_turns_table_fails_what_is_stored_is_shown_after_a_single_try(stage: Stage) -> None:
    one = stage.conversation()
    stage.message(one, 0, "question")
    for depth in (1, 2, 3):
        stage.answer_under_way(one, depth)
    asked: list[bytes] = []

    def fails(body: bytes) -> AWSResponse | None:
        if b"TURN#" not in body:
            return None
        asked.append(body)
        return refusal("ResourceNotFoundException")

    stage.breaks("Query", fails)
    assert [message["content"] for message in messages(stage, one)] == ["question", "", "", ""]
    assert len(asked) == 1
    assert "does not answer" in stage.log.getvalue()


def test_when_the_turns_table_hangs_what_is_stored_is_shown(stage: Stage) -> None:
    one = stage.conversation()
    stage.message(one, 0, "question")
    stage.answer_under_way(one, 1)
    stage.breaks("Query", lambda body: ReadTimeoutError(endpoint_url="https://dynamodb") if b"TURN#" in body else None)
    assert [message["content"] for message in messages(stage, one)] == ["question", ""]


def test_only_the_newest_turns_are_read_however_many_are_under_way(stage: Stage) -> None:
    one = stage.conversation()
    for depth in range(MAX_TURNS + 3):
        turn = stage.answer_under_way(one, depth, age_s=100 - depth)
        stage.turn(turn, Token(f"{depth}"))
    stage.calls.clear()
    contents = [message["content"] for message in messages(stage, one)]
    assert contents == ["", "", "", *(str(depth) for depth in range(3, MAX_TURNS + 3))]
    assert stage.calls.count("Query") == MAX_TURNS + 1


def test_the_text_so_far_counts_towards_the_weight_of_a_page(stage: Stage) -> None:
    one = stage.conversation()
    for depth in range(6):
        turn = stage.answer_under_way(one, depth)
        said: list[Event] = [Token("\x01" * 25_000) for _ in range(2)]
        stage.turn(turn, *said)
        for first in range(3, 15, 2):
            log = {"events": {"S": json.dumps([["t", "\x02" * 50_000]])}, "at": {"N": str(int(time.time() * 1000))}}
            key = {"pk": {"S": keys.turn_pk(turn, "alice")}, "sk": {"S": keys.events_sk(first)}}
            stage.db.put_item(TableName="turns", Item={**key, **log, "expires_at": {"N": str(int(time.time()) + 60)}})
    first_page = read(stage, one)
    assert 0 < len(first_page["messages"]) < 6  # type: ignore[arg-type]
    assert "cursor" in first_page


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [("gzip", True), ("br, GZIP;q=0.5", True), ("gzip;q=0", False), ("gzip; q=0.00", False), ("br", False), ("", False)],
)
def test_an_answer_is_compressed_when_the_client_takes_it(stage: Stage, accepted: str, packed: bool) -> None:
    one = stage.conversation()
    stage.message(one, 0, "x" * 10_000)
    answer = stage.ask("GET", f"/api/conversations/{one}", headers={"accept-encoding": accepted})
    assert ("content-encoding" in answer.headers) == packed
    assert answer.headers["vary"] == "accept-encoding"
    assert answer.json["messages"][0]["content"] == "x" * 10_000


def test_the_export_is_the_whole_conversation_in_one_document(stage: Stage) -> None:
    one = stage.conversation()
    for depth in range(120):
        stage.message(one, depth, "x")
    turn = stage.answer_under_way(one, 120)
    stage.turn(turn, Token("so far"))
    answer = stage.get(f"/api/conversations/{one}/export")
    assert answer.headers["content-disposition"] == 'attachment; filename="Of-alice.json"'
    assert answer.headers["content-type"] == "application/json"
    assert len(answer.json["messages"]) == 121
    assert answer.json["messages"][-1]["content"] == "so far"
    assert (answer.json["id"], "cursor" in answer.json) == (one, False)


@pytest.mark.parametrize(
    ("title", "disposition"),
    [
        ('a"b\\c\r\nx: y', 'filename="a-b-c-x-y.json"'),
        ("../../etc/passwd", 'filename="etc-passwd.json"'),
        ("日本", "filename=\"conversation.json\"; filename*=UTF-8''%E6%97%A5%E6%9C%AC.json"),
        ("Größe", "filename=\"Gr-e.json\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe.json"),
        ("?!", 'filename="conversation.json"'),
        ("x" * 200, f'filename="{"x" * 60}.json"'),
    ],
)
def test_the_exports_filename_is_the_title_and_safe_whatever_that_is(stage: Stage, title: str, disposition: str) -> None:
    one = stage.conversation()
    stage.db.update_item(
        TableName=CONVERSATIONS.name,
        Key={"pk": {"S": keys.conversation_pk(one)}, "sk": {"S": keys.META}},
        UpdateExpression="SET title = :title",
        ExpressionAttributeValues={":title": {"S": title}},
    )
    answer = stage.get(f"/api/conversations/{one}/export")
    assert answer.headers["content-disposition"] == f"attachment; {disposition}"


def test_an_export_above_6_mb_leaves_compressed_or_says_how_to_read_it_otherwise(stage: Stage) -> None:
    one = stage.conversation()
    for depth in range(25):
        stage.message(one, depth, "words " * 58_000)
    packed = stage.ask("GET", f"/api/conversations/{one}/export", headers={"accept-encoding": "gzip"})
    assert (packed.status, len(packed.json["messages"])) == (200, 25)
    plain = stage.get(f"/api/conversations/{one}/export")
    assert (plain.status, plain.code) == (413, "too_large")
    assert "GET /api/conversations/{id}?limit" in plain.json["detail"]


def test_an_export_beyond_memory_is_refused_before_it_is_read_whole(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.conversations.reading.EXPORT_BYTES", 1_000_000)
    one = stage.conversation()
    for depth in range(12):
        stage.message(one, depth, "x" * 300_000)
    stage.calls.clear()
    answer = stage.ask("GET", f"/api/conversations/{one}/export", headers={"accept-encoding": "gzip"})
    assert (answer.status, answer.code) == (413, "too_large")
    assert stage.calls.count("Query") == 2  # each page of DynamoDB is 1 MB


def test_an_export_that_takes_too_long_says_to_read_in_pages_instead_of_starting_over(stage: Stage) -> None:
    one = stage.conversation()
    for depth in range(5):
        stage.message(one, depth, "x")
    stage.context.remaining_ms = 7_000
    answer = stage.get(f"/api/conversations/{one}/export")
    assert (answer.status, answer.code) == (413, "too_large")
    assert "GET /api/conversations/{id}?limit" in answer.json["detail"]


def test_where_reading_a_turn_takes_seconds_the_others_are_shown_without_their_text(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("functions.conversations.underway.READING_S", -1.0)
    one = stage.conversation()
    for depth in range(3):
        stage.turn(stage.answer_under_way(one, depth), Token("so far"))
    assert [(message["content"], message["status"]) for message in messages(stage, one)] == [("", "streaming")] * 3


def test_a_stored_row_that_breaks_the_contract_is_a_500_and_not_the_clients_fault(stage: Stage) -> None:
    one = stage.conversation()
    stage.message(one, 0, "x", meta="[1]", created_at=times.iso(0))
    answer = stage.get(f"/api/conversations/{one}")
    assert (answer.status, answer.code) == (500, "internal")


def test_a_conversation_without_a_title_can_be_listed_read_and_exported(stage: Stage) -> None:
    one = stage.conversation()
    stage.db.update_item(
        TableName=CONVERSATIONS.name,
        Key={"pk": {"S": keys.conversation_pk(one)}, "sk": {"S": keys.META}},
        UpdateExpression="REMOVE title",
    )
    assert read(stage, one)["title"] == ""
    assert stage.get("/api/conversations").json["items"][0]["title"] == ""
    assert "conversation.json" in stage.get(f"/api/conversations/{one}/export").headers["content-disposition"]

"""Renaming and deleting: strict in what they take, whole in what they do, resumable wherever they break."""

import json
import time
from collections.abc import Callable
from typing import TypeVar

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import EndpointConnectionError

from functions.common import keys
from functions.common.events import Token
from functions.common.keys import Key
from functions.conversations import handler as function
from functions.conversations import store as store_module
from infra.resources import CONVERSATIONS, TURNS
from tests.integration.conversations.stage import Answer, Stage, accepted, refusal

T = TypeVar("T")


def delete(stage: Stage, one: str) -> Answer:
    return stage.ask("DELETE", f"/api/conversations/{one}")


@pytest.fixture
def pauses(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between attempts, noted instead of waited."""
    waited: list[float] = []
    monkeypatch.setattr(store_module.Store.__init__, "__defaults__", (waited.append,))
    function.gate.cache_clear()
    return waited


def test_a_new_title_is_trimmed_stored_and_shown_and_is_no_activity(stage: Stage) -> None:
    one, newer = stage.conversation(at=1_790_000_000), stage.conversation(at=1_790_000_060)
    answer = stage.patch(one, {"title": "  Über 日本 👩‍👩‍👧 "})
    assert answer.status == 200
    assert set(answer.json) == {"id", "title", "workspaceId", "budId", "model", "createdAt", "updatedAt"}
    assert (answer.json["id"], answer.json["title"]) == (one, "Über 日本 👩‍👩‍👧")
    listed = stage.get("/api/conversations").json["items"]
    assert [(item["id"], item["title"]) for item in listed] == [(newer, "Of alice"), (one, "Über 日本 👩‍👩‍👧")]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({}, "title"),
        ({"title": ""}, "title"),
        ({"title": "   \t "}, "title"),
        ({"title": "x" * 201}, "title"),
        ({"title": "a\nb"}, "title"),
        ({"title": "a\u0000b"}, "title"),
        ({"title": "a\u0085b"}, "title"),
        ({"title": "a\u2028b"}, "title"),
        ({"title": 7}, "title"),
        ({"title": None}, "title"),
        ({"title": ["x"]}, "title"),
        ({"title": "x", "workspaceId": "bob"}, "workspaceId"),
        ('{"title":"\\ud800"}', "title"),
        ("", "body"),
        ("null", "body"),
        ("[]", "body"),
        ('[{"title":"x"}]', "body"),
        ('"title"', "body"),
        ("{", "body"),
        ('{"title":"x"} y', "body"),
        ("[" * 16_000, "body"),
        ('{"title":' + "[" * 16_000, "body"),
        (b"\xff\xfe", "body"),
    ],
)
def test_a_change_that_is_not_valid_is_refused_by_its_field(stage: Stage, change: object, field: str) -> None:
    one = stage.conversation()
    before = stage.item(CONVERSATIONS, keys.meta_key(one))
    answer = stage.patch(one, change)
    assert (answer.status, answer.code) == (400, "invalid_request"), answer.body
    assert answer.fields == [field]
    assert stage.item(CONVERSATIONS, keys.meta_key(one)) == before


def test_a_base64_body_is_read_like_any_other(stage: Stage) -> None:
    one = stage.conversation()
    assert stage.patch(one, '{"title":"é"}'.encode()).json["title"] == "é"


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonp", ""]
)
def test_another_content_type_is_a_415(stage: Stage, kind: str) -> None:
    answer = stage.patch(stage.conversation(), {"title": "x"}, headers={"content-type": kind})
    assert (answer.status, answer.code) == (415, "unsupported_media_type")


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON"])
def test_json_is_json_however_it_is_named(stage: Stage, kind: str) -> None:
    assert stage.patch(stage.conversation(), {"title": "x"}, headers={"content-type": kind}).status == 200


@pytest.mark.parametrize("body", ["x" * 16_385, "é" * 8_193, b"\xff" * 16_385])
def test_a_body_too_large_in_bytes_is_a_413(stage: Stage, body: str | bytes) -> None:
    answer = stage.patch(stage.conversation(), body)
    assert (answer.status, answer.code) == (413, "too_large")


def test_a_conversation_deleted_between_check_and_write_stays_deleted(stage: Stage) -> None:
    one = stage.conversation()

    def deleted_meanwhile(_: bytes) -> AWSResponse | None:
        stage.db.delete_item(TableName=CONVERSATIONS.name, Key={"pk": {"S": keys.conversation_pk(one)}, "sk": {"S": keys.META}})
        return None

    stage.breaks("UpdateItem", deleted_meanwhile)
    assert stage.patch(one, {"title": "back again"}).status == 404
    assert stage.items(CONVERSATIONS) == set()


def test_a_rename_waits_for_a_transaction_that_holds_the_item(stage: Stage, pauses: list[float]) -> None:
    one = stage.conversation()
    conflicts = iter([refusal("TransactionConflictException"), refusal("TransactionConflictException")])
    stage.breaks("UpdateItem", lambda _: next(conflicts, None))
    assert stage.patch(one, {"title": "in the end"}).json["title"] == "in the end"
    assert len(pauses) == 2


def _full(stage: Stage) -> tuple[str, set[tuple[str, str]]]:
    """A conversation of 60 messages, some made by turns, beside another of the same user; and the other's items."""
    other = stage.conversation()
    stage.message(other, 0)
    kept = stage.items(CONVERSATIONS)
    one = stage.conversation()
    for depth in range(57):
        stage.message(one, depth)
    for depth in range(57, 60):
        turn = stage.answer_under_way(one, depth)
        stage.turn(turn, Token("secret text"))
    return one, kept


def _texts(stage: Stage) -> set[tuple[str, str]]:
    return {key for key in stage.items(TURNS) if key[1].startswith(keys.EVENTS_PREFIX)}


def test_deletion_takes_every_item_and_every_checkpoint_and_leaves_a_tombstone(stage: Stage) -> None:
    one, kept = _full(stage)
    answer = delete(stage, one)
    assert (answer.status, answer.body) == (204, b"")
    assert stage.items(CONVERSATIONS) == kept
    assert _texts(stage) == set()
    tombstone = stage.item(TURNS, keys.tombstone_key(one))
    assert int(tombstone["expires_at"]["N"]) == pytest.approx(time.time() + keys.TOMBSTONE_TTL_S, abs=30)
    assert delete(stage, one).status == 404
    assert stage.get(f"/api/conversations/{one}").status == 404


def test_a_turn_still_streaming_is_asked_to_stop_and_its_claim_stays(stage: Stage) -> None:
    one = stage.conversation()
    turn = stage.answer_under_way(one, 1)
    stage.turn(turn, Token("x"))
    ended = stage.answer_under_way(one, 2, status="complete")
    stage.turn(ended, Token("x"), status="complete")
    assert delete(stage, one).status == 204
    left = {(pk, sk) for pk, sk in stage.items(TURNS) if pk.startswith("TURN#")}
    assert left == {
        (keys.turn_pk(turn, "alice"), keys.TURN),
        (keys.turn_pk(turn, "alice"), keys.STOP),
        (keys.turn_pk(ended, "alice"), keys.TURN),
    }


def test_turns_whose_checkpoints_expired_long_ago_cost_nothing(stage: Stage) -> None:
    one = stage.conversation()
    for depth in range(20):
        stage.answer_under_way(one, depth, age_s=30 * 24 * 3600, status="complete")
    stage.calls.clear()
    assert delete(stage, one).status == 204
    assert stage.calls.count("Query") == 2


def test_from_the_first_step_on_the_conversation_is_in_no_list(stage: Stage) -> None:
    one, _ = _full(stage)
    stage.breaks("BatchWriteItem", lambda _: refusal("ResourceNotFoundException"))
    assert delete(stage, one).status == 503
    listed = [item["id"] for item in stage.get("/api/conversations").json["items"]]
    assert one not in listed
    assert stage.item(TURNS, keys.tombstone_key(one))


def test_when_the_first_step_fails_nothing_happened(stage: Stage) -> None:
    one, _ = _full(stage)
    before = stage.items(CONVERSATIONS), stage.items(TURNS)
    stage.breaks("TransactWriteItems", lambda _: refusal("ValidationException"))
    assert delete(stage, one).status == 503
    assert (stage.items(CONVERSATIONS), stage.items(TURNS)) == before
    assert stage.get(f"/api/conversations/{one}").status == 200


WRITES = ("TransactWriteItems", "Query", "PutItem", "BatchWriteItem", "DeleteItem")


@pytest.mark.parametrize("step", range(14))
def test_a_crash_at_any_step_leaves_what_a_repeated_delete_finishes(stage: Stage, step: int) -> None:
    one, kept = _full(stage)
    count = iter(range(1000))
    armed = [True]

    def crash(_: bytes) -> EndpointConnectionError | None:
        return EndpointConnectionError(endpoint_url="x") if armed[0] and next(count) >= step else None

    for operation in WRITES:
        stage.breaks(operation, crash)
    first = delete(stage, one)
    armed[0] = False
    assert first.status == 503, "the crash never came"
    assert stage.get(f"/api/conversations/{one}").status == (200 if step == 0 else 404)
    assert delete(stage, one).status == 204
    assert stage.items(CONVERSATIONS) == kept
    assert _texts(stage) == set()
    assert stage.item(TURNS, keys.tombstone_key(one))


def test_what_dynamodb_hands_back_from_a_batch_is_sent_again(stage: Stage, pauses: list[float]) -> None:
    one, kept = _full(stage)
    handed_back = [0]

    def half(body: bytes) -> AWSResponse | None:
        requests = json.loads(body)["RequestItems"].get(CONVERSATIONS.name, [])
        if len(requests) < 2 or handed_back[0] >= 3:
            return None
        handed_back[0] += 1
        return accepted(UnprocessedItems={CONVERSATIONS.name: requests[1:]})

    stage.breaks("BatchWriteItem", half)
    assert delete(stage, one).status == 204
    assert stage.items(CONVERSATIONS) == kept
    assert len(pauses) == 3


def test_a_table_that_takes_nothing_ends_the_attempt_with_a_503_that_says_to_repeat(stage: Stage, pauses: list[float]) -> None:
    one, _ = _full(stage)
    stage.breaks("BatchWriteItem", lambda body: accepted(UnprocessedItems=json.loads(body)["RequestItems"]))
    answer = delete(stage, one)
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "unavailable", "1")
    assert pauses == sorted(pauses)
    assert len(pauses) == 5


def test_a_deletion_that_runs_out_of_time_says_to_repeat(stage: Stage) -> None:
    one, kept = _full(stage)
    stage.context.remaining_ms = 1_000
    answer = delete(stage, one)
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    stage.context.remaining_ms = 30_000
    assert delete(stage, one).status == 204
    assert stage.items(CONVERSATIONS) == kept


class Killed(BaseException):
    """What Lambda does to a function whose time is over."""


@pytest.mark.parametrize("call_ms", [2_500, 1_500, 400])
def test_on_a_slow_table_each_delete_goes_on_where_the_one_before_stopped(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, call_ms: int
) -> None:
    one, kept = _full(stage)
    for _ in range(12):
        stage.turn(stage.answer_under_way(one, 60, status="complete"), Token("more"), status="complete")
    left = [0]

    def takes_time(**_: object) -> None:
        left[0] -= call_ms
        if left[0] <= 0:
            raise Killed

    monkeypatch.setattr(stage.context, "get_remaining_time_in_millis", lambda: left[0])
    stage.db.meta.events.register("before-call.dynamodb", takes_time)

    def with_all_the_time(ask: Callable[[], T]) -> T:
        left[0] = 10_000_000
        return ask()

    sizes = [with_all_the_time(lambda: len(stage.items(CONVERSATIONS)))]
    for _ in range(40):
        left[0] = 30_000
        answer = delete(stage, one)
        if answer.status == 204:
            break
        assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "unavailable", "1")
        assert with_all_the_time(lambda: stage.get(f"/api/conversations/{one}")).status == 404
        sizes.append(with_all_the_time(lambda: len(stage.items(CONVERSATIONS))))
    assert answer.status == 204
    assert sizes == sorted(set(sizes), reverse=True), "every request took something away"
    assert with_all_the_time(lambda: stage.items(CONVERSATIONS)) == kept
    assert with_all_the_time(lambda: _texts(stage)) == set()


def conflict(*codes: str) -> Callable[[], AWSResponse]:
    return lambda: refusal("TransactionCanceledException", CancellationReasons=[{"Code": code} for code in codes])


def test_a_deletion_waits_for_a_transaction_that_holds_the_item(stage: Stage, pauses: list[float]) -> None:
    one, kept = _full(stage)
    conflicts = iter([conflict("None", "TransactionConflict")(), conflict("None", "TransactionConflict")()])
    stage.breaks("TransactWriteItems", lambda _: next(conflicts, None))
    assert delete(stage, one).status == 204
    assert stage.items(CONVERSATIONS) == kept
    assert len(pauses) == 2


def test_a_conflict_that_never_ends_is_a_503(stage: Stage, pauses: list[float]) -> None:
    one, _ = _full(stage)
    stage.breaks("TransactWriteItems", lambda _: conflict("None", "TransactionConflict")())
    assert delete(stage, one).status == 503
    assert len(pauses) == 5


def test_of_two_deletions_at_once_the_slower_finds_nothing(stage: Stage) -> None:
    one = stage.conversation()

    def gone_meanwhile(_: bytes) -> AWSResponse | None:
        meta = Key(keys.conversation_pk(one), keys.META)
        stage.db.delete_item(TableName=CONVERSATIONS.name, Key={"pk": {"S": meta.pk}, "sk": {"S": meta.sk}})
        return None

    stage.breaks("TransactWriteItems", gone_meanwhile)
    assert delete(stage, one).status == 404
    assert stage.items(CONVERSATIONS) == set()


def test_a_conversation_of_another_is_not_deleted_even_when_it_moves_between_check_and_write(stage: Stage) -> None:
    one = stage.conversation()

    def moved_meanwhile(_: bytes) -> AWSResponse | None:
        stage.conversation("bob", conversation_id=one)
        return None

    stage.breaks("TransactWriteItems", moved_meanwhile)
    assert delete(stage, one).status == 404
    assert "deleted_at" not in stage.item(CONVERSATIONS, keys.meta_key(one))
    assert not stage.item(TURNS, keys.tombstone_key(one))

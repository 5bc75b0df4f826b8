"""What a body becomes: ids, depths and parents, the prompt, the title, and a digest that tells two requests apart."""

import json
from typing import Any

import pytest

from functions.chat_stream.buds import Bud
from functions.chat_stream.request import TurnRequest, read_body, turn_request
from functions.chat_stream.settings import Limits
from functions.common import problems
from functions.common.access import Caller
from functions.common.api import ChatBody
from functions.common.ids import is_uuid, new_id
from tests.support import titles

ALICE = Caller("alice", frozenset({"team"}))
BUD = Bud(
    id="default", name="B", system=("be kind",), models=("m",), default_model="m", temperature=0.5, allow_client_system=True
)
NOW = "2026-11-22T00:00:00.000Z"


def request(body: dict[str, Any], conversation_id: str | None = None, caller: Caller = ALICE) -> TurnRequest:
    return turn_request(ChatBody.model_validate(body), conversation_id, caller, {"default": BUD}, Limits(), NOW)


def message(role: str, content: str, message_id: str | None = None) -> dict[str, Any]:
    return {"role": role, "content": content, **({"id": message_id} if message_id else {})}


def test_a_new_conversation_stores_all_its_messages_in_a_chain() -> None:
    made = request({"messages": [message("assistant", "Hello!"), message("system", "rules"), message("user", "hi")]})

    first, second, third = made.started.messages
    assert [one.depth for one in made.started.messages] == [0, 1, 2]
    assert [one.parent_id for one in made.started.messages] == [None, first.id, second.id]
    assert (made.head.parent_id, made.head.depth, made.head.new) == (third.id, 3, True)
    assert made.head.workspace_id == "alice"
    assert is_uuid(made.head.conversation_id)


def test_what_follows_the_parent_is_new_and_only_that() -> None:
    stored, parent, conversation = new_id(), new_id(), new_id()
    body = {
        "messages": [message("user", "a", stored), message("assistant", "b", parent), message("user", "c")],
        "parentId": parent,
    }

    made = request(body, conversation)

    (new,) = made.started.messages
    assert (new.content, new.parent_id, new.depth) == ("c", parent, 2)
    assert (made.head.conversation_id, made.head.new, made.head.workspace_id) == (conversation, False, None)


def branch(first: int, stored: int, new: int, keyed: set[int] | None = None) -> dict[str, Any]:
    """A body that begins at depth `first`: stored messages, all or those of `keyed` with their order keys, then new ones."""
    roles = ("user", "assistant") if (stored + new) % 2 else ("assistant", "user")
    messages: list[dict[str, Any]] = [message(roles[index % 2], "x", new_id()) for index in range(stored + new)]
    for index in range(stored) if keyed is None else sorted(keyed):
        messages[index]["orderKey"] = f"{first + index:06d}"
    return {"messages": messages, "parentId": messages[stored - 1]["id"] if stored else None}


@pytest.mark.parametrize("keyed", [None, {0}, {3}, {1, 2}])
@pytest.mark.parametrize("first", [0, 1, 700, 123_456])
def test_a_request_may_begin_in_the_middle_of_a_branch(first: int, keyed: set[int] | None) -> None:
    body = branch(first, 4, 3, keyed)

    made = request(body, new_id())

    assert [one.depth for one in made.started.messages] == [first + 4, first + 5, first + 6]
    assert made.started.messages[0].parent_id == body["parentId"]
    assert made.head.depth == first + 7


def test_a_regeneration_in_the_middle_of_a_branch_has_its_place_below_the_question() -> None:
    body = branch(41, 1, 0)

    made = request(body, new_id())

    assert (made.started.messages, made.head.depth, made.head.parent_id) == ([], 42, body["parentId"])


@pytest.mark.parametrize(
    ("keys", "field"),
    [
        ({0: "000005", 1: "000005"}, "messages.1.orderKey"),
        ({0: "000005", 1: "000007"}, "messages.1.orderKey"),
        ({0: "000005", 2: "000004"}, "messages.2.orderKey"),
        ({1: "000000"}, "messages.1.orderKey"),
        ({0: "000005", 3: "000008"}, "messages.3.orderKey"),
        ({3: "000003"}, "messages.3.orderKey"),
        ({0: "999996"}, "messages.0.orderKey"),
        ({0: "999999"}, "messages.0.orderKey"),
    ],
)
def test_order_keys_that_do_not_fit_together_are_refused_by_name(keys: dict[int, str], field: str) -> None:
    body = branch(0, 3, 2, set())
    for index, key in keys.items():
        body["messages"][index]["orderKey"] = key

    with pytest.raises(problems.InvalidRequest) as caught:
        request(body, new_id())

    assert [one.field for one in caught.value.fields] == [field]


@pytest.mark.parametrize("key", ["5", "00000５", "-00001", "0000001", "", "00000\n", 5])
def test_an_order_key_is_six_digits(key: object) -> None:
    body = branch(0, 1, 2)
    body["messages"][0]["orderKey"] = key

    with pytest.raises(problems.InvalidRequest) as caught:
        read_body(json.dumps(body).encode(), Limits())

    assert [one.field for one in caught.value.fields] == ["messages.0.orderKey"]


def test_a_turn_sent_again_after_an_update_of_the_server_has_the_digest_it_had() -> None:
    body = {"turnId": "019ab000-0000-7000-8000-000000000001", "messages": [message("user", "a")]}

    assert request(body).head.digest == "8d056f7be98a562a150be7b07f5d7777"


def test_a_regeneration_adds_nothing() -> None:
    question = new_id()

    made = request({"messages": [message("user", "a", question)], "parentId": question}, new_id())

    assert made.started.messages == []
    assert (made.head.parent_id, made.head.depth) == (question, 1)


def test_the_prompt_is_the_buds_and_then_the_branch_without_empty_answers() -> None:
    made = request({"messages": [message("user", "a"), message("assistant", ""), message("user", "b")]})

    assert made.prompt == [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "a"},
        {"role": "user", "content": "b"},
    ]
    assert made.parameters == {"temperature": 0.5}


def test_what_a_model_said_comes_back_even_a_nul_which_no_provider_is_sent() -> None:
    body = {"messages": [message("user", "a"), message("assistant", "b\0c"), message("user", "d")]}

    made = turn_request(read_body(json.dumps(body).encode(), Limits()), None, ALICE, {"default": BUD}, Limits(), NOW)

    assert [one.content for one in made.started.messages] == ["a", "b\0c", "d"]
    assert made.prompt[2] == {"role": "assistant", "content": "b\ufffdc"}
    with pytest.raises(problems.InvalidRequest):
        read_body(json.dumps({"messages": [message("user", "a\0")]}).encode(), Limits())


def test_an_answer_of_the_greatest_length_comes_back_with_the_next_request() -> None:
    limits = Limits(message_bytes=10, answer_bytes=20)
    said = [message("user", "a"), message("assistant", "b" * 20), message("user", "c")]

    assert len(read_body(json.dumps({"messages": said}).encode(), limits).messages) == 3
    for too_long in (message("user", "a" * 11), message("assistant", "b" * 21)):
        with pytest.raises(problems.TooLarge):
            read_body(json.dumps({"messages": [*said, too_long]}).encode(), limits)


def test_the_same_turn_names_the_same_things_on_every_instance() -> None:
    body = {"turnId": new_id(), "messages": [message("user", "a"), message("user", "b")]}

    here, there = (made.started.model_dump(exclude={"turn": {"owner"}}) for made in (request(body), request(body)))
    assert here == there


def test_another_users_turn_of_the_same_id_names_other_things() -> None:
    body = {"turnId": new_id(), "messages": [message("user", "a")]}

    mine, theirs = request(body), request(body, caller=Caller("mallory", frozenset()))

    assert mine.head.conversation_id != theirs.head.conversation_id
    assert mine.started.messages[0].id != theirs.started.messages[0].id


def test_the_digest_tells_content_apart_but_not_the_order_of_keys_or_defaults() -> None:
    turn_id = new_id()
    plain = request({"turnId": turn_id, "messages": [message("user", "a")]}).head.digest

    assert request({"messages": [{"content": "a", "role": "user", "meta": {}}], "turnId": turn_id}).head.digest == plain
    for other in (
        {"messages": [message("user", "b")]},
        {"messages": [message("user", "a")], "workspaceId": "team"},
        {"messages": [message("user", "a")], "model": "m"},
    ):
        assert request({"turnId": turn_id, **other}).head.digest != plain
    assert request({"turnId": turn_id, "messages": [message("user", "a")]}, new_id()).head.digest != plain


@pytest.mark.parametrize("case", titles.cases(), ids=lambda case: case.why)
def test_the_title_is_the_first_line_cut_at_a_word_and_never_inside_a_character(case: titles.Case) -> None:
    assert request({"messages": [message("user", case.text)]}).head.title == case.title


def test_a_blank_first_message_is_no_title() -> None:
    assert request({"messages": [message("user", " \n\t ")]}).head.title == "New chat"


def test_a_workspace_of_the_caller_is_taken_and_a_strangers_refused() -> None:
    body = {"messages": [message("user", "a")]}

    assert request({**body, "workspaceId": "team"}).head.workspace_id == "team"
    with pytest.raises(problems.ForbiddenWorkspace):
        request({**body, "workspaceId": "theirs"})


def test_an_error_names_the_field_and_never_its_value() -> None:
    with pytest.raises(problems.InvalidRequest) as caught:
        read_body(b'{"messages":[{"role":"a secret role","content":"x"}]}', Limits())

    assert caught.value.fields[0].field == "messages.0.role"
    assert "secret" not in str(caught.value.document())

"""A conversation has no end: a turn sends the newest part of its branch, and what it adds still gets its right place."""

from functions.common.ids import new_id
from local.model.script import done, finish, token
from tests.support.chat import user
from tests.support.system import System


def test_turns_that_send_only_the_newest_messages_keep_one_branch_in_order(chat_system: System) -> None:
    chat_system.persisting()
    chat_system.model.always_plays(token("so"), finish(), done())
    api = chat_system.serve()
    question, turn_id = user("question 0", id=new_id()), new_id()
    started = api.post({"messages": [question], "turnId": turn_id})
    conversation_id = str(started.last["conversationId"])
    written = [question["content"], "so"]
    parent = turn_id
    for number in range(1, 6):
        question, turn_id = user(f"question {number}", id=new_id()), new_id()
        stored = {"role": "assistant", "content": "so", "id": parent, "orderKey": f"{2 * number - 1:06d}"}
        body = {"messages": [stored, question], "parentId": parent, "turnId": turn_id}
        assert api.post(body, conversation_id).last["type"] == "complete"
        written += [question["content"], "so"]
        parent = turn_id
    chat_system.persist()

    messages = chat_system.messages(conversation_id)
    assert [message["content"] for message in messages] == written
    assert [message.get("parent_id") for message in messages] == [None, *(message["id"] for message in messages[:-1])]
    assert [message["sk"][:11] for message in messages] == [f"MSG#{depth:06d}#" for depth in range(12)]


def test_an_order_key_that_does_not_fit_is_refused_before_anything_is_asked_or_stored(chat_system: System) -> None:
    api = chat_system.serve()
    stored = {"role": "assistant", "content": "so", "id": new_id(), "orderKey": "000000"}
    body = {"messages": [user("x", id=new_id()), stored, user("y")], "parentId": stored["id"]}

    answer = api.http.post(f"/api/chat/{new_id()}", json=body)

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "messages.1.orderKey")
    assert chat_system.queued() == []

"""GUARANTEES 13: two tabs that write to one conversation at once lose nothing: both messages are kept, as siblings."""

import threading
from concurrent.futures import ThreadPoolExecutor

from functions.common.ids import new_id
from local.model.script import done, finish, pause, token
from tests.support.chat import Api, Stream, user
from tests.support.system import System


def test_what_two_tabs_say_at_once_is_kept_as_siblings_each_with_its_answer(chat_system: System) -> None:
    chat_system.persisting()
    chat_system.model.always_plays(pause(0.2), token("an answer"), finish(), done())
    instances = [chat_system.serve(), chat_system.serve()]
    question = user("first", id=new_id())
    first = instances[0].post({"messages": [question]})
    conversation_id, answer_id = str(first.last["conversationId"]), str(first.last["turnId"])
    branch = [question, {"role": "assistant", "content": first.text, "id": answer_id}]
    gate = threading.Barrier(4)

    def say(api: Api, tab: int) -> Stream:
        gate.wait(10)
        return api.post({"messages": [*branch, user(f"tab {tab}")], "parentId": answer_id}, conversation_id)

    with ThreadPoolExecutor(4) as pool:
        streams = [each.result() for each in [pool.submit(say, instances[tab % 2], tab) for tab in range(4)]]
    chat_system.persist()

    assert {stream.last["type"] for stream in streams} == {"complete"}
    messages = {message["id"]: message for message in chat_system.messages(conversation_id)}
    assert len(messages) == 2 + 2 * 4
    said = [message for message in messages.values() if message.get("parent_id") == answer_id]
    assert sorted(message["content"] for message in said) == ["tab 0", "tab 1", "tab 2", "tab 3"]
    for stream in streams:
        answer = messages[stream.last["turnId"]]
        assert (answer["content"], answer["status"]) == ("an answer", "complete")
        assert messages[answer["parent_id"]] in said
    assert len({messages[stream.last["turnId"]]["parent_id"] for stream in streams}) == 4

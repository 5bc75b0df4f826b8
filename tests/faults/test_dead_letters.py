"""GUARANTEES 17: what cannot be stored ends among the dead letters, alone, and a redrive brings back what can be stored later."""

import json
import time
from unittest import mock

from functions.common.aws import Aws
from functions.common.records import encode
from infra.redrive import redrive
from local.model.script import done, finish, token
from tests.integration.persist.persist_world import finished, head, started
from tests.support.system import System
from tests.support.wire import Wire, answer

GONE = answer(400, {"__type": "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException", "message": "no such table"})


def dead_letters(system: System) -> list[str]:
    """The bodies in the dead-letter queue, left there."""
    page = system.sqs.receive_message(QueueUrl=f"{system.queue_url}-dead", MaxNumberOfMessages=10, VisibilityTimeout=0)
    return [message["Body"] for message in page.get("Messages", [])]


def deliver_until_dead(system: System, count: int, seconds: float = 30) -> None:
    """Delivers, again and again, until so many letters are dead."""
    pump, end = system.pump(), time.monotonic() + seconds
    while len(dead_letters(system)) < count:
        assert time.monotonic() < end, f"{len(dead_letters(system))} of {count} letters are dead"
        pump.deliver()
        time.sleep(0.05)


def test_of_a_batch_only_what_is_no_record_of_ours_dies(chat_system: System) -> None:
    good = head(1, user_id="local", workspaces=None)
    of_tomorrow = json.loads(encode(started(head(2)))) | {"v": 99}
    bad = ["not json at all", json.dumps(of_tomorrow), json.dumps({"kind": "nothing we know"})]
    for body in [bad[0], encode(started(good)), bad[1], encode(finished(good)), bad[2]]:
        chat_system.sqs.send_message(QueueUrl=chat_system.queue_url, MessageBody=body)

    deliver_until_dead(chat_system, 3)

    assert sorted(dead_letters(chat_system)) == sorted(bad)
    stored = chat_system.messages(good.conversation_id)
    assert [(message["role"], message["content"]) for message in stored] == [("user", "hi"), ("assistant", "hello")]


def test_what_died_of_an_outage_is_stored_whole_and_once_after_a_redrive(chat_system: System) -> None:
    api = chat_system.serve(CHAT_RECEIPT_WAIT_S="0.05", CHAT_SETTLE_DELAY_S="600")
    chat_system.model.plays(token("kept"), finish(), done())
    stream = api.say("hi")
    assert stream.last["type"] == "complete"
    wire = Wire()
    with mock.patch.object(Aws, "send", wire.around(Aws.send)), wire.fault("dynamodb", GONE):
        deliver_until_dead(chat_system, 2)

    assert redrive(chat_system.sqs, f"{chat_system.queue_url}-dead", chat_system.queue_url, at_most=100) == 2
    chat_system.persist()

    conversation_id = api.turn(stream.last["turnId"])["conversationId"]
    stored = chat_system.messages(conversation_id)
    assert [(message["role"], message["content"]) for message in stored] == [("user", "hi"), ("assistant", "kept")]
    assert dead_letters(chat_system) == []

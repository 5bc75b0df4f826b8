"""What leaves for DynamoDB: the very request that boto3 would make; and what a connection that closed meanwhile means."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import httpx2
import pytest

from functions.common import keys
from functions.common.aws import Aws, Service
from functions.common.http_body import Head
from functions.common.records import Answer, NewMessage, TurnFinished, TurnHead, TurnStarted, Usage
from functions.common.session import NotReady, Session
from functions.persist.entries import Tables, What, Write, update
from functions.persist.errors import Cancelled, PersistError, Reason, Rejected, Unavailable
from functions.persist.pace import CONNECT_TIMEOUT_S, READ_TIMEOUT_S
from functions.persist.plan import plan_finished, plan_refused, plan_settled, plan_started
from functions.persist.store import DYNAMODB, Store
from tests.support.aws_requests import Kept, check_against_boto3, signs_in

TABLES = Tables("conversations", "turns")
TURN = TurnHead(
    turn_id="t-1",
    user_id="ann",
    workspaces=None,
    workspace_id="acme",
    conversation_id="c-1",
    new=True,
    bud_id="default",
    model="m",
    title='Ünï "quoted" \\ \u2028 🙂',
    parent_id="p-1",
    depth=1,
    digest="d",
    started_at="2026-11-22T18:20:20.123Z",
)
USAGE = Usage(input_tokens=1, output_tokens=2, total_tokens=3)
NOTHING: dict[str, Any] = {"Responses": {}, "UnprocessedKeys": {}, "Items": []}


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> None:
    signs_in(monkeypatch)


@contextmanager
def store_on(aws: Aws) -> Iterator[Store]:
    with closing(Store(aws, TABLES)) as store:
        yield store


def written() -> list[list[Write]]:
    """A transaction of each shape."""
    asked = NewMessage(id="m-1", parent_id=None, depth=0, role="user", content="\x00\t\u007f 'ü' 🙂 </script>", meta={"n": 1.5})
    told = Answer(content="🙂" * 3, reasoning="r", status="complete", usage=USAGE, spent=USAGE, finished_at=TURN.started_at)
    failed = Answer(content="", status="failed", error="model_cut", finished_at=TURN.started_at)
    plans = [
        plan_started(TABLES, TurnStarted(turn=TURN, messages=[asked]), "acme"),
        plan_finished(TABLES, TurnFinished(turn=TURN, answer=told), "acme", begun=False, claimed=True),
        plan_finished(
            TABLES, TurnFinished(turn=TURN.model_copy(update={"new": False}), answer=failed), "acme", begun=False, claimed=True
        ),
        plan_settled(TABLES, TURN, "acme", ("text", ""), alive=False),
        plan_settled(TABLES, TURN, "acme", None, alive=True),
    ]
    transactions = [plan.transaction(0, stale) for plan in plans for stale in (False, True)]
    return [*transactions, plan_refused(TABLES, TURN).refusal("conversation_not_found")]


def test_each_request_is_the_one_that_boto3_would_make() -> None:
    wire = Kept(said=NOTHING)
    with store_on(wire) as store:
        for transaction in written():
            store.transact(transaction)
        store.read([keys.meta_key("c-1"), keys.Key("TURN#t-1#ann", keys.TURN), keys.Key("TURN#t-1#ann", keys.RECEIPT)])
        store.read_turn("t-1", "ann")

    assert len(wire.sent) == 13
    for sent in wire.sent:
        operation = sent[1]["x-amz-target"].partition(".")[2]
        check_against_boto3(sent, "dynamodb", operation, json.loads(sent[2]))


def test_each_transaction_has_a_token_of_its_own() -> None:
    wire = Kept()
    with store_on(wire) as store:
        for _ in range(2):
            store.transact(written()[0])

    tokens = {json.loads(body)["ClientRequestToken"] for _, _, body in wire.sent}
    assert [len(token) for token in tokens] == [36, 36], "DynamoDB takes at most 36 characters"


def test_a_text_that_has_no_bytes_is_rejected_before_anything_leaves() -> None:
    wire = Kept()
    half = update(What.MESSAGE, "conversations", keys.Key("pk", "sk"), keep={}, replace={"content": "x"})
    half.entry["Update"]["ExpressionAttributeValues"] = {":content": {"S": "\ud83d"}}
    with store_on(wire) as store, pytest.raises(Rejected, match="PydanticSerializationError"):
        store.transact([half])

    assert wire.sent == []


def test_a_call_takes_no_longer_than_the_pace_reckons_with() -> None:
    assert (DYNAMODB.connect_s, DYNAMODB.read_s) == (CONNECT_TIMEOUT_S, READ_TIMEOUT_S)


SHOWN = {"digest": {"S": "d"}}


@pytest.mark.parametrize(
    ("status", "said", "expected"),
    [
        (400, {"__type": "x#ThrottlingException"}, Unavailable("ThrottlingException")),
        (400, {"__type": "x#TransactionInProgressException"}, Unavailable("TransactionInProgressException")),
        (400, {"__type": "x#ValidationException"}, Rejected("ValidationException")),
        (413, ["too large, says what is in between"], Rejected("413")),
        (503, {}, Unavailable("503")),
        (502, {"__type": "x#SomethingNew"}, Unavailable("SomethingNew")),
        (200, ["no answer of DynamoDB's"], Unavailable("StorageUnavailable")),
    ],
)
def test_an_error_says_whether_another_attempt_can_help(status: int, said: object, expected: PersistError) -> None:
    with store_on(Kept(status, said)) as store, pytest.raises(type(expected)) as caught:
        store.transact(written()[0])

    assert caught.value.code == expected.code


def test_a_cancelled_transaction_says_what_each_write_met() -> None:
    reasons = [{"Code": "None"}, {"Code": "ConditionalCheckFailed", "Item": SHOWN}, {}]
    said = {"__type": "x#TransactionCanceledException", "CancellationReasons": reasons}
    with store_on(Kept(400, said)) as store, pytest.raises(Cancelled) as caught:
        store.transact(written()[0])

    assert caught.value.reasons == [Reason("None", {}), Reason("ConditionalCheckFailed", SHOWN), Reason("None", {})]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (httpx2.ConnectTimeout("no connection"), Unavailable("ConnectTimeout")),
        (httpx2.ReadError("cut off"), Unavailable("ReadError")),
        (NotReady("there are no credentials"), Rejected("NotReady")),
    ],
)
def test_no_answer_is_worth_another_attempt_and_no_credentials_are_not(fault: Exception, expected: PersistError) -> None:
    class Failing(Aws):
        async def send(self, service: Service, head: bytes, body: bytes) -> tuple[Head, bytes]:
            raise fault

    with store_on(Failing(Session())) as store, pytest.raises(type(expected)) as caught:
        store.transact(written()[0])

    assert caught.value.code == expected.code


Serve = Callable[[socket.socket, Callable[[], None]], None]


@contextmanager
def dynamodb(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """A server that does as told with each connection, one after the other; the bodies that reached it."""
    listening = socket.create_server(("127.0.0.1", 0))
    bodies: list[bytes] = []

    def request(file: Any) -> None:
        length = 0
        while (line := file.readline().strip()) != b"":
            name, _, value = line.partition(b":")
            length = int(value) if name == b"content-length" else length
        if length:
            bodies.append(file.read(length))

    def run() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as file:
                serve(connection, lambda: request(file))

    thread = threading.Thread(target=run)
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{listening.getsockname()[1]}")
    try:
        yield bodies
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(5)


ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


def test_a_connection_that_was_closed_while_the_process_stood_still_costs_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    stands_still, closed = threading.Event(), threading.Event()

    def serve(connection: socket.socket, request: Callable[[], None]) -> None:
        request()
        connection.sendall(ANSWER)
        stands_still.wait(5)
        connection.shutdown(socket.SHUT_WR)
        closed.set()
        request()  # what is sent all the same

    with dynamodb(serve, monkeypatch) as bodies, store_on(Aws(Session())) as store:
        for _ in range(3):
            stands_still.clear()
            closed.clear()
            store.transact(written()[0])
            stands_still.set()
            assert closed.wait(5)

    assert len(set(bodies)) == len(bodies) == 3, "nothing was sent to where nobody listens any more"


def test_a_connection_that_closes_under_a_request_repeats_it_with_the_same_token(monkeypatch: pytest.MonkeyPatch) -> None:
    def serve(connection: socket.socket, request: Callable[[], None]) -> None:
        request()
        connection.sendall(ANSWER)
        request()  # carried out, for all the function knows; the answer never comes

    with dynamodb(serve, monkeypatch) as bodies, store_on(Aws(Session())) as store:
        for _ in range(2):
            store.transact(written()[0])

    first, lost, repeated = bodies
    assert lost == repeated
    assert json.loads(first)["ClientRequestToken"] != json.loads(lost)["ClientRequestToken"]

"""What leaves for DynamoDB: the very request that botocore would make, and nothing of a text that has no bytes."""

import json
from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

import boto3
import pytest
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.compat import HTTPHeaders

from functions.common import keys
from functions.common.records import Answer, NewMessage, TurnFinished, TurnHead, TurnStarted, Usage
from functions.persist.entries import Tables, What, Write, update
from functions.persist.errors import Rejected
from functions.persist.plan import plan_finished, plan_refused, plan_settled, plan_started
from functions.persist.store import Store, dynamodb

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


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")


class Wire:
    """Takes the place of the network: keeps what would leave, and answers that all is done."""

    def __init__(self, client: Any) -> None:
        self.requests: list[AWSRequest] = []
        client.meta.events.register_first("before-send.dynamodb", self._keep)

    def _keep(self, request: AWSRequest, **_: Any) -> AWSResponse:
        self.requests.append(request)
        raw = mock.Mock(stream=lambda *_args, **_kwargs: iter([b'{"Responses":{},"UnprocessedKeys":{}}']))
        return AWSResponse("https://dynamodb", 200, HTTPHeaders(), raw)


def written() -> list[list[Write]]:
    """A transaction of each shape."""
    asked = NewMessage(id="m-1", parent_id=None, depth=0, role="user", content="\x00\t\u007f 'ü' 🙂 </script>", meta={"n": 1.5})
    told = Answer(content="🙂" * 3, reasoning="r", status="complete", usage=USAGE, spent=USAGE, finished_at=TURN.started_at)
    failed = Answer(content="", status="failed", error="model_cut", finished_at=TURN.started_at)
    plans = [
        plan_started(TABLES, TurnStarted(turn=TURN, messages=[asked]), "acme"),
        plan_finished(TABLES, TurnFinished(turn=TURN, answer=told), "acme"),
        plan_finished(TABLES, TurnFinished(turn=TURN.model_copy(update={"new": False}), answer=failed), "acme"),
        plan_settled(TABLES, TURN, "acme", ("text", ""), alive=False),
        plan_settled(TABLES, TURN, "acme", None, alive=True),
    ]
    transactions = [plan.transaction(0, stale) for plan in plans for stale in (False, True)]
    return [*transactions, plan_refused(TABLES, TURN).refusal("conversation_not_found")]


def calls(store: Callable[[Any], Store], client: Any) -> Sequence[AWSRequest]:
    wire, port = Wire(client), store(client)
    for transaction in written():
        port.transact(transaction)
    port.read([keys.meta_key("c-1"), keys.Key("TURN#t-1#ann", keys.TURN), keys.Key("TURN#t-1#ann", keys.RECEIPT)])
    return wire.requests


def body(request: AWSRequest) -> Any:
    """Read, with the length alone of the token that tells a transaction's repeats by botocore itself."""
    told = json.loads(request.body)
    return told | ({"ClientRequestToken": len(told["ClientRequestToken"])} if "TransactItems" in told else {})


def test_each_request_is_the_one_that_botocore_would_make() -> None:
    ours, plain = (calls(lambda client: Store(client, TABLES), client) for client in (dynamodb(), boto3.client("dynamodb")))
    assert len(ours) == len(plain) == 12
    for mine, its in zip(ours, plain, strict=True):
        assert body(mine) == body(its)
        assert (mine.url, mine.method) == (its.url, its.method)
        for name in ("X-Amz-Target", "Content-Type"):
            assert mine.headers[name] == its.headers[name]
        assert int(mine.headers["Content-Length"]) == len(mine.body)


def test_calls_that_are_not_persists_are_left_as_they_are() -> None:
    client = dynamodb()
    wire = Wire(client)
    client.get_item(TableName="turns", Key={"pk": {"S": "a"}, "sk": {"B": b"b"}})
    assert json.loads(wire.requests[0].body)["Key"] == {"pk": {"S": "a"}, "sk": {"B": "Yg=="}}


def test_a_text_that_has_no_bytes_is_rejected_before_anything_leaves() -> None:
    client = dynamodb()
    wire = Wire(client)
    half = update(What.MESSAGE, "conversations", keys.Key("pk", "sk"), keep={}, replace={"content": "x"})
    half.entry["Update"]["ExpressionAttributeValues"] = {":content": {"S": "\ud83d"}}
    with pytest.raises(Rejected, match="PydanticSerializationError"):
        Store(client, TABLES).transact([half])
    assert wire.requests == []

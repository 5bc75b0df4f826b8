"""What is asked of the deployed parts: each check raises RehearsalFailed with what it saw instead."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import boto3
import httpx2
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from functions.common import keys
from functions.common.ids import derived_id, new_id
from functions.common.records import Answer, NewMessage, Record, TurnFinished, TurnHead, TurnStarted, Usage, encode
from functions.common.times import iso
from infra.redrive import redrive
from tests.oidc import OidcProvider
from tests.rehearsal.deployment import STACK
from tests.rehearsal.ministack import REGION, RehearsalFailed

_T = TypeVar("_T")
_PATIENCE_S: Final = 60.0
_USER: Final = "ann"


@dataclass(frozen=True, slots=True)
class Deployed:
    """The stack as MiniStack runs it, and the provider whose tokens it is told to believe."""

    aws: boto3.Session
    endpoint: str
    outputs: Mapping[str, str]
    issuer: OidcProvider

    def client(self, service: str) -> Any:
        factory: Any = self.aws.client
        return factory(service, endpoint_url=self.endpoint)

    def get(self, path: str, user: str | None = _USER, signed: bool = True) -> httpx2.Response:
        """A request to the function URL of conversations, signed as CloudFront signs what it sends on."""
        host = str(urlsplit(self.outputs["ConversationsUrl"]).hostname)
        token = {"x-forwarded-authorization": f"Bearer {self.issuer.token(user)}"} if user else {}
        request: Any = AWSRequest("GET", f"https://{host}{path}", headers=token)
        if signed:
            credentials: Any = self.aws.get_credentials()
            SigV4Auth(credentials, "lambda", REGION).add_auth(request)
        headers = {**dict(request.headers.items()), "host": host}
        return httpx2.get(f"{self.endpoint}{path}", headers=headers, trust_env=False, timeout=30)


def the_stack_is_complete(deployed: Deployed) -> str:
    (stack,) = deployed.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
    if stack["StackStatus"] != "CREATE_COMPLETE":
        raise RehearsalFailed(f"the stack is {stack['StackStatus']}")
    resources = deployed.client("cloudformation").list_stack_resources(StackName=STACK)["StackResourceSummaries"]
    return f"{len(resources)} resources"


def a_turn_goes_from_the_queue_into_the_tables(deployed: Deployed) -> str:
    turn = _turn()
    began = time.monotonic()
    _send(deployed, *_records(turn))
    key = {keys.PK: {"S": keys.turn_pk(turn.turn_id, turn.user_id)}, keys.SK: {"S": keys.RECEIPT}}
    dynamodb = deployed.client("dynamodb")

    def stored() -> Any:
        receipt = dynamodb.get_item(TableName=deployed.outputs["TurnsTable"], Key=key).get("Item", {})
        # The two records may be delivered one by one and in any order, each adding its part to the receipt.
        return receipt if receipt.keys() >= {"answer_status", "conversation_id"} else None

    receipt = _eventually(stored, "no receipt of the turn")
    if receipt["conversation_id"] != {"S": turn.conversation_id}:
        raise RehearsalFailed("the receipt names another conversation")
    return f"{time.monotonic() - began:.1f} s from the queue to the receipt"


def a_conversation_is_read_over_the_function_url(deployed: Deployed) -> str:
    turn = _turn()
    _send(deployed, *_records(turn))
    path = f"/api/conversations/{turn.conversation_id}"

    def found() -> httpx2.Response | None:
        answer = deployed.get(path)
        if answer.status_code not in {200, 404}:
            raise RehearsalFailed(f"GET {path} answers {answer.status_code}: {answer.text[:300]}")
        return answer if answer.status_code == 200 and len(answer.json()["messages"]) > 1 else None

    document = _eventually(found, f"GET {path} does not find both messages").json()
    texts = [message["content"] for message in document["messages"]]
    if texts != ["hi", "hello"]:
        raise RehearsalFailed(f"the conversation reads {texts}")
    refused = {
        "another user": deployed.get(path, user="eve").status_code,
        "no token": deployed.get(path, user=None).status_code,
        "no signature": deployed.get(path, signed=False).status_code,
    }
    if refused != {"another user": 404, "no token": 401, "no signature": 403}:
        raise RehearsalFailed(f"refusals: {refused}")
    return "both messages; 404 for another user, 401 without a token, 403 without a signature"


def a_poisoned_message_reaches_the_dead_letters_and_comes_back(deployed: Deployed) -> str:
    sqs, queue, dead = deployed.client("sqs"), deployed.outputs["QueueUrl"], deployed.outputs["DeadLetterQueueUrl"]
    # Five deliveries, three minutes apart, are more than anybody waits for.
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "1"})
    first = sqs.send_message(QueueUrl=queue, MessageBody=json.dumps({"v": 99, "kind": "unknown"}))["MessageId"]
    _eventually(lambda: _waiting(sqs, dead) == 1, "the message is not among the dead letters")
    if redrive(sqs, dead, queue, 10) != 1:
        raise RehearsalFailed("the redrive moved nothing")
    _eventually(lambda: _waiting(sqs, dead) == 1, "the message that was driven back is gone")
    (message,) = sqs.receive_message(QueueUrl=dead, MaxNumberOfMessages=1)["Messages"]
    if message["MessageId"] == first:
        raise RehearsalFailed("the redrive kept the message's id")
    return "dead after 5 deliveries, driven back under a new id, dead again"


CHECKS: Final = (
    the_stack_is_complete,
    a_turn_goes_from_the_queue_into_the_tables,
    a_conversation_is_read_over_the_function_url,
    a_poisoned_message_reaches_the_dead_letters_and_comes_back,
)


def _turn() -> TurnHead:
    turn_id = new_id()
    return TurnHead(
        turn_id=turn_id,
        user_id=_USER,
        workspaces=[_USER],
        workspace_id=_USER,
        conversation_id=derived_id(turn_id, _USER, "conversation"),
        new=True,
        bud_id="default",
        model="m",
        title="A rehearsal",
        parent_id=derived_id(turn_id, _USER, "message 0"),
        depth=1,
        digest=turn_id,
        started_at=iso(time.time()),
    )


def _records(turn: TurnHead) -> list[Record]:
    message = NewMessage(id=turn.parent_id or "", parent_id=None, depth=0, role="user", content="hi")
    answer = Answer(
        content="hello",
        status="complete",
        finish_reason="stop",
        usage=Usage(input_tokens=1, output_tokens=1, total_tokens=2),
        finished_at=iso(time.time()),
    )
    return [TurnStarted(turn=turn, messages=[message]), TurnFinished(turn=turn, answer=answer)]


def _send(deployed: Deployed, *records: Record) -> None:
    for record in records:
        deployed.client("sqs").send_message(QueueUrl=deployed.outputs["QueueUrl"], MessageBody=encode(record))


def _waiting(sqs: Any, url: str) -> int:
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
    return int(found["Attributes"]["ApproximateNumberOfMessages"])


def _eventually(look: Callable[[], _T | None], otherwise: str) -> _T:
    """What `look` returns once it is true; raises RehearsalFailed."""
    end = time.monotonic() + _PATIENCE_S
    while not (found := look()):
        if time.monotonic() > end:
            raise RehearsalFailed(f"{otherwise}, after {_PATIENCE_S:g} s")
        time.sleep(0.2)
    return found

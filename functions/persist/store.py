"""The port to DynamoDB: one call each, its failures told apart by whether another attempt can help."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError  # noqa: A004 - botocore's own name
from pydantic_core import PydanticSerializationError

from functions.common import keys
from functions.common.keys import Key
from functions.common.turns import TurnView, read_turn
from functions.persist.bodies import written_in_one_go
from functions.persist.entries import Tables, Write
from functions.persist.errors import NO_REASON, RETRYABLE_ERRORS, Cancelled, PersistError, Reason, Rejected, Unavailable
from functions.persist.pace import CONNECT_TIMEOUT_S, READ_TIMEOUT_S

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_dynamodb.type_defs import KeysAndAttributesTypeDef, UniversalAttributeValueTypeDef

Item = Mapping[str, Any]
T = TypeVar("T")

MAX_READS: Final = 100  # BatchGetItem: "up to 100 items"
_SERVER_ERROR: Final = 500
# What is read of an item (known.py): botocore takes its time for each attribute of a reply.
_ATTRIBUTES: Final = (keys.PK, keys.SK, keys.EXPIRES, "digest", "refused", "answer_status", "workspace_id", "deleted_at")
_NAMES: Final = {f"#{name}": name for name in _ATTRIBUTES}
_PROJECTION: Final = ", ".join(_NAMES)

CLIENT_CONFIG: Final = Config(
    connect_timeout=CONNECT_TIMEOUT_S,
    read_timeout=READ_TIMEOUT_S,
    retries={"total_max_attempts": 1},  # the pace of the whole invocation decides, not each call for itself
    parameter_validation=False,  # every parameter is made in this package; the check costs a third of a call's CPU
    tcp_keepalive=True,
    user_agent="streaming-first-chat",  # botocore would put its own together anew for each call, a tenth of the call's CPU
)


def dynamodb() -> "DynamoDBClient":
    """The client of this package's calls."""
    client = boto3.client("dynamodb", config=CLIENT_CONFIG)
    written_in_one_go(client.meta.events)
    return client


class Store:
    """Safe to share between invocations. Raises Unavailable, Rejected, and `transact` also Cancelled."""

    def __init__(self, client: "DynamoDBClient", tables: Tables) -> None:
        self._client = client
        self.tables = tables

    def transact(self, writes: Iterable[Write]) -> None:
        """All of the writes, or none."""
        _call(lambda: self._client.transact_write_items(TransactItems=[write.entry for write in writes]))

    def read(self, some: Sequence[Key]) -> dict[Key, Item]:
        """One BatchGetItem of at most MAX_READS distinct keys. What DynamoDB leaves unread is Unavailable."""
        wanted: dict[str, list[dict[str, UniversalAttributeValueTypeDef]]] = {}
        for key in some:
            table = self.tables.conversations if key.sk == keys.META else self.tables.turns
            wanted.setdefault(table, []).append({keys.PK: {"S": key.pk}, keys.SK: {"S": key.sk}})
        # Strongly consistent: neither a conversation nor a claim made a moment ago may look absent.
        asked: dict[str, KeysAndAttributesTypeDef] = {
            table: {
                "Keys": those,
                "ConsistentRead": True,
                "ProjectionExpression": _PROJECTION,
                "ExpressionAttributeNames": _NAMES,
            }
            for table, those in wanted.items()
        }
        page = _call(lambda: self._client.batch_get_item(RequestItems=asked))
        if page.get("UnprocessedKeys"):
            raise Unavailable("UnprocessedKeys")
        return {Key(item[keys.PK]["S"], item[keys.SK]["S"]): item for rows in page["Responses"].values() for item in rows}

    def read_turn(self, turn_id: str, user_id: str) -> TurnView | None:
        """The turn with all its checkpoints."""
        return _call(lambda: read_turn(self._client, self.tables.turns, turn_id, user_id))


def _call(call: Callable[[], T]) -> T:
    try:
        return call()
    except ClientError as error:
        raise _understood(error) from error
    except (HTTPClientError, ConnectionError) as error:
        # No reply: done or not, the same write again is right, since every write is conditional.
        raise Unavailable(type(error).__name__) from error
    except (BotoCoreError, PydanticSerializationError) as error:
        raise Rejected(type(error).__name__) from error


def _understood(error: ClientError) -> PersistError:
    response: Any = error.response
    if "CancellationReasons" in response:
        reasons = [Reason(reason.get("Code", NO_REASON), reason.get("Item", {})) for reason in response["CancellationReasons"]]
        return Cancelled(reasons)
    code = response.get("Error", {}).get("Code", "Unknown")
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return Unavailable(code) if code in RETRYABLE_ERRORS or status >= _SERVER_ERROR else Rejected(code)

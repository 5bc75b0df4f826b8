"""The port to DynamoDB: one call each, its failures told apart by whether another attempt can help."""

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic_core import PydanticSerializationError

from functions.common import aws, keys
from functions.common.aws import Aws, Refused, StorageUnavailable, TransactionCanceled
from functions.common.ids import new_id
from functions.common.keys import Key
from functions.common.session import NotReady
from functions.common.turns import TurnView, turn_query, view
from functions.persist.entries import Tables, Write
from functions.persist.errors import NO_REASON, RETRYABLE_ERRORS, Cancelled, PersistError, Reason, Rejected, Unavailable
from functions.persist.pace import CONNECT_TIMEOUT_S, READ_TIMEOUT_S

if TYPE_CHECKING:
    from types_boto3_dynamodb.type_defs import KeysAndAttributesTypeDef, UniversalAttributeValueTypeDef

Item = Mapping[str, Any]
T = TypeVar("T")

MAX_READS: Final = 100  # BatchGetItem: "up to 100 items"
DYNAMODB: Final = replace(aws.DYNAMODB, connect_s=CONNECT_TIMEOUT_S, read_s=READ_TIMEOUT_S)
_SERVER_ERROR: Final = 500
# What is read of an item (known.py).
_READ: Final = (
    keys.EXPIRES,
    keys.OWNER,
    "digest",
    "refused",
    "answer_status",
    "conversation_id",
    "workspace_id",
    "deleted_at",
)
_NAMES: Final = {f"#{name}": name for name in (keys.PK, keys.SK, *_READ)}
_PROJECTION: Final = ", ".join(_NAMES)


class Store:
    """Safe to share between invocations. Raises Unavailable, Rejected, and `transact` also Cancelled.

    Its event loop runs while a call does, and stands still between them, as the whole process may.
    """

    def __init__(self, aws: Aws, tables: Tables) -> None:
        self.tables = tables
        self._aws = aws
        self._loop = asyncio.new_event_loop()

    def close(self) -> None:
        """No call may follow."""
        self._loop.run_until_complete(self._aws.close())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def transact(self, writes: Iterable[Write]) -> None:
        """All of the writes, or none."""
        # The token: whoever repeats a transaction that was carried out is told so. That is a call which met a closing connection,
        # sent again as it is; another attempt is another call, and for that the writes' conditions tell a repeat.
        asked = {"TransactItems": [write.entry for write in writes], "ClientRequestToken": new_id()}
        self._run(self._aws.call(DYNAMODB, "TransactWriteItems", asked))

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
        page = self._run(self._aws.call(DYNAMODB, "BatchGetItem", {"RequestItems": asked}))
        if page.get("UnprocessedKeys"):
            raise Unavailable("UnprocessedKeys")
        return {Key(item[keys.PK]["S"], item[keys.SK]["S"]): item for rows in page["Responses"].values() for item in rows}

    def read_turn(self, turn_id: str, user_id: str) -> TurnView | None:
        """The turn with all its checkpoints."""
        return view(self._run(self._aws.query(DYNAMODB, turn_query(self.tables.turns, turn_id, user_id))))

    def _run(self, call: Coroutine[Any, Any, T]) -> T:
        try:
            return self._loop.run_until_complete(_awake(call))
        except StorageUnavailable as error:
            raise _understood(error) from error
        except PydanticSerializationError as error:
            raise Rejected(type(error).__name__) from error


async def _awake(call: Coroutine[Any, Any, T]) -> T:
    """The call, once the loop has heard which connections were closed while it stood still."""
    await asyncio.sleep(0)
    return await call


def _understood(error: StorageUnavailable) -> PersistError:
    if isinstance(error, TransactionCanceled):
        return Cancelled([Reason(reason.get("Code", NO_REASON), reason.get("Item", {})) for reason in error.reasons])
    if isinstance(error, Refused):
        passing = error.code in RETRYABLE_ERRORS or error.status >= _SERVER_ERROR
        return Unavailable(error.code) if passing else Rejected(error.code)
    cause = type(error.__cause__ or error)
    # No answer: done or not, the same write again is right, since every write is conditional. Without credentials none was sent.
    return Rejected(cause.__name__) if cause is NotReady else Unavailable(cause.__name__)

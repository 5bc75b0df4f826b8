"""AWS off the event loop: boto3's clients, made on first use, called in threads.

Nothing here is imported or made before the first model request has gone out: importing boto3 and building two clients takes about
300 ms, which the model's own time to first token hides.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from functions.chat_stream.session import Session

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_sqs import SQSClient

_T = TypeVar("_T")
_THREADS: Final = 64
_CONNECT_S: Final = 1.0
_TABLE_READ_S: Final = 2.0
_QUEUE_READ_S: Final = 3.0


class StorageUnavailable(Exception):
    """A call to AWS failed or took too long; the cause is in `__cause__`."""


@dataclass(frozen=True, slots=True)
class Clients:
    dynamodb: "DynamoDBClient"
    sqs: "SQSClient"


class Aws:
    """Runs calls on the clients in a pool of threads. A call that hangs holds a thread until its own time-out, never the loop."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="aws")
        self._clients: Clients | None = None
        self._lock = threading.Lock()

    async def call(self, function: Callable[[Clients], _T]) -> _T:
        """What `function` returns. Raises StorageUnavailable for any error of AWS that `function` did not deal with itself."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, function)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def prepare(self) -> None:
        """Imports boto3, so that the first turn only has to make its clients. For a server that has time before it."""
        await asyncio.get_running_loop().run_in_executor(self._threads, _import)

    def warm(self) -> None:
        """Makes the clients now. Opens no connection."""
        with self._lock:
            if self._clients is None:
                self._clients = _connect(self._session)

    def _run(self, function: Callable[[Clients], _T]) -> _T:
        if self._clients is None:
            self.warm()
        from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError

        clients = self._clients
        if clients is None:
            raise StorageUnavailable
        try:
            try:
                return function(clients)
            except ConnectionClosedError:  # AWS had closed a connection that lay idle; every call here may be repeated
                return function(clients)
        except (BotoCoreError, ClientError) as error:
            raise StorageUnavailable from error


def _import() -> None:
    import boto3  # noqa: F401


def _connect(session: Session) -> Clients:
    def client(service: str, read_s: float) -> Any:
        # One try: the turn decides what is tried again, and until when.
        return session.client(
            service,
            connect_timeout=_CONNECT_S,
            read_timeout=read_s,
            retries={"total_max_attempts": 1, "mode": "standard"},
            max_pool_connections=_THREADS,
            parameter_validation=False,
        )

    return Clients(dynamodb=client("dynamodb", _TABLE_READ_S), sqs=client("sqs", _QUEUE_READ_S))

"""AWS on the event loop: the JSON protocol of its services over connections and with a signature of our own.

boto3's clients block, so that each call of chat_stream would hold a thread, and that thread the interpreter while a token waits;
and a call through them takes eight times the CPU. Nothing of botocore is imported before `prepare` or the first call.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from zlib import crc32

import httpx2
from pydantic_core import from_json, to_json

from functions.common import VERSION
from functions.common.connections import Connections, Origin
from functions.common.http_body import Head
from functions.common.proxied import ProxiedWay
from functions.common.session import Session
from functions.common.shared_call import SharedCall
from functions.common.storage_faults import StorageFault, fault_of, fault_of_cancelled, fault_of_code
from functions.common.trust import proxy_for


@dataclass(frozen=True, slots=True)
class Service:
    """One that speaks AWS's JSON protocol: a POST to `/`, the operation in a header. `connect_s` is what a connection may take,
    `read_s` an answer.
    """

    name: str
    target: str
    version: str
    read_s: float
    connect_s: float = 1.0


DYNAMODB: Final = Service("dynamodb", "DynamoDB_20120810", "1.0", 3.0)
SQS: Final = Service("sqs", "AmazonSQS", "1.0", 3.0)
SECRETS_MANAGER: Final = Service("secretsmanager", "secretsmanager", "1.1", 5.0)


class StorageUnavailable(Exception):
    """A call to AWS failed or took too long; the cause is in `__cause__`, and `fault` tells its kind."""

    @property
    def fault(self) -> StorageFault | None:
        """None where all is well with AWS: a condition did not hold, which is an answer."""
        return StorageFault.BROKEN_REPLY if self.__cause__ is None else fault_of(self.__cause__)

    @property
    def name(self) -> str:
        """AWS's name for the error, or the class of what went wrong on the way."""
        return type(self.__cause__ or self).__name__


class Refused(StorageUnavailable):
    """AWS answered with an error: its name (`ThrottlingException`), its HTTP status, and all that it said."""

    def __init__(self, code: str, status: int, said: Mapping[str, Any]) -> None:
        super().__init__(code)
        self.code = code
        self.status = status
        self.said = said

    @property
    def fault(self) -> StorageFault | None:
        return fault_of_code(self.code, self.status)

    @property
    def name(self) -> str:
        return self.code


class ConditionFailed(Refused):
    """The condition of a single write did not hold; `item` is what lies there, when the write asked for it."""

    fault = None

    @property
    def item(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.said.get("Item", {})
        return found


class TransactionCanceled(Refused):
    """A transaction was not carried out; the reasons say why, one for each of its items."""

    @property
    def reasons(self) -> Sequence[Mapping[str, Any]]:
        found: Sequence[Mapping[str, Any]] = self.said.get("CancellationReasons", ())
        return found

    @property
    def codes(self) -> list[str]:
        return [reason.get("Code", "") for reason in self.reasons]

    @property
    def fault(self) -> StorageFault | None:
        return fault_of_cancelled(self.codes)


_NAMED: Final[Mapping[str, type[Refused]]] = {
    "ConditionalCheckFailedException": ConditionFailed,
    "TransactionCanceledException": TransactionCanceled,
}


class Aws:
    """Calls AWS. One try: who calls decides what is tried again, and until when."""

    def __init__(self, session: Session, failed: Callable[[str, StorageFault, str], None] = lambda *_: None) -> None:
        """`failed` hears of every call that failed: its operation, the kind of fault, the name of the error."""
        self._session = session
        self.failed = failed
        self._connections = Connections()
        self._origins: dict[str, Origin] = {}
        self._ways: dict[str, ProxiedWay | None] = {}
        self._prepare = SharedCall(lambda: asyncio.to_thread(self._session.prepare))
        self._renew = SharedCall(lambda: asyncio.to_thread(self._session.renew))

    async def call(self, service: Service, operation: str, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the operation answers. Raises Refused for an error that AWS names, else StorageUnavailable."""
        try:
            return await self._call(service, operation, asked)
        except StorageUnavailable as error:
            if error.fault is not None:
                self.failed(operation, error.fault, error.name)
            raise

    async def _call(self, service: Service, operation: str, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """A request on a connection of ours.

        For operations that may be repeated: this one is, when it met a connection that lay idle until AWS closed it.
        """
        body = to_json(asked)
        headers = {
            "x-amz-target": f"{service.target}.{operation}",
            "content-type": f"application/x-amz-json-{service.version}",
            "user-agent": f"streaming-first-chat/{VERSION}",
        }
        try:
            await self._credentials()
            answer, content = await self.send(service, self._session.signed(service.name, headers, body), body)
        except Exception as error:  # of whatever class: who calls has one way to go on without storage, and it must be taken
            raise StorageUnavailable from error
        return _read(answer, content)

    async def query(self, service: Service, asked: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """The items of all pages of DynamoDB's Query. Raises as `call` does."""
        items: list[Mapping[str, Any]] = []
        start: Mapping[str, Any] = {}
        while True:
            page = await self.call(service, "Query", {**asked, **start})
            items += items_of(page)
            if not (last := page.get("LastEvaluatedKey")):
                return items
            start = {"ExclusiveStartKey": last}

    async def send(self, service: Service, head: bytes, body: bytes) -> tuple[Head, bytes]:
        """A signed request, and what came back. Raises a TransportError."""
        if (origin := self._origins.get(service.name)) is None:
            origin = self._origins[service.name] = Origin.of(httpx2.URL(self._session.endpoint(service.name)))
        if (proxied := self._proxied(service)) is not None:
            return await proxied.exchange(head, body)
        return await self._connections.exchange(origin, head, body, service.connect_s, service.read_s)

    def _proxied(self, service: Service) -> ProxiedWay | None:
        """The way through a proxy, where one is configured for the service."""
        if service.name not in self._ways:
            url = self._session.endpoint(service.name)
            through = proxy_for(url)
            timeouts = service.connect_s, service.read_s
            self._ways[service.name] = ProxiedWay(url, through, self._session.ca_bundle, timeouts) if through else None
        return self._ways[service.name]

    async def prepare(self) -> None:
        """Does now what the first call would have to do, but for finding credentials. Opens no connection."""
        await self._prepare()
        self._connections.ca_bundle = self._session.ca_bundle
        await asyncio.to_thread(self._connections.warm)

    async def close(self) -> None:
        """Closes every connection; later calls open new ones."""
        await self._connections.close()
        for way in filter(None, self._ways.values()):
            way.close()

    async def _credentials(self) -> None:
        """Sees to it that there are some. Only those near their end are waited for. Raises NotReady."""
        session = self._session
        if not session.prepared:
            await self.prepare()
        if session.must_renew:
            await self._renew()
        elif session.should_renew:
            self._renew.start()  # beside the calls, which have good credentials for some minutes more: what fails is tried again


def items_of(page: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Of a reply to Query, which names them even when there are none. Raises StorageUnavailable."""
    if not isinstance(items := page.get("Items"), list):
        raise StorageUnavailable("a reply without items")
    return items


def _read(answer: Head, content: bytes) -> Mapping[str, Any]:
    """Raises StorageUnavailable."""
    if (sum_ := answer.get(b"x-amz-crc32")) and sum_ != b"%d" % crc32(content):
        raise StorageUnavailable("damaged on its way")
    try:
        said = from_json(content or b"{}")
    except ValueError:
        said = None  # not AWS's own words: something between it and us
    if answer.status == 200:
        if not isinstance(said, dict):
            raise StorageUnavailable("an answer that is no JSON object")
        return said
    said = said if isinstance(said, dict) else {}
    name = str(said.get("__type") or answer.get(b"x-amzn-errortype").decode("latin-1") or answer.status)
    code = name.partition(":")[0].rpartition("#")[2]
    raise _NAMED.get(code, Refused)(code, answer.status, said)

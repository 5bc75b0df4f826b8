"""SnapStart: what the Lambda Web Adapter asks of the application around a snapshot of its process.

Before it: make what the first turn would have to make, and leave no connection open. After a restore: renew what no two
instances may share, and fetch what the first turn would have to wait for. Routes of the adapter's alone: it posts to them
itself, and only inside Lambda are they there at all.
"""

import asyncio
import os
import random
import ssl
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from functions.chat_stream.model import Model
from functions.chat_stream.secret import ModelKey
from functions.common import problems
from functions.common.auth import TokenVerifier
from functions.common.aws import Aws
from functions.common.log import get_logger
from functions.common.session import Session
from functions.common.storage_faults import fault_of

logger = get_logger("chat_stream")

BEFORE: Final = "/_snapshot/before"  # the stack sets AWS_LWA_SNAPSTART_BEFORE_CHECKPOINT_PATH to it
AFTER: Final = "/_snapshot/after"  # … and AWS_LWA_SNAPSTART_AFTER_RESTORE_PATH to it
# On every request that came from outside, and on none of the adapter's own.
_INVOCATION: Final = "x-amzn-request-context"
_SEED_BYTES: Final = 32
_FETCH_S: Final = 3.0  # Lambda gives a restore 10 s with its hooks, and a reader waits for it


class Snapshot:
    """The two hooks, over what is made on first use, what is fetched on first use, and what holds connections."""

    def __init__(self, session: Session, aws: Aws, key: ModelKey, model: Model, verifier: TokenVerifier) -> None:
        self._session = session
        self._aws = aws
        self._key = key
        self._model = model
        self._verifier = verifier

    def routes(self) -> list[Route]:
        return [Route(BEFORE, self.before, methods=["POST"]), Route(AFTER, self.after, methods=["POST"])]

    async def before(self, request: Request) -> Response:
        """Loads what calls of AWS and of the model need, TLS contexts included, and closes every connection."""
        _only_the_adapter(request)
        await self._aws.prepare()
        await asyncio.to_thread(self._verifier.warm)
        await self._model.warm()
        self._session.drop_connections()
        await self._aws.close()
        await self._model.drop_connections()
        return Response(status_code=204)

    async def after(self, request: Request) -> Response:
        """Seeds anew what was seeded before the snapshot, and fetches the keys, which may not lie in one.

        Ids need nothing: they come from the kernel, which Lambda seeds anew itself.
        """
        _only_the_adapter(request)
        random.seed(os.urandom(_SEED_BYTES))  # the jitter of retries: instances of one snapshot must not retry in step
        ssl.RAND_add(os.urandom(_SEED_BYTES), _SEED_BYTES)
        await self._fetch_keys()
        return Response(status_code=204)

    async def _fetch_keys(self) -> None:
        """The issuer's keys and the provider's at once; the first turn would ask for one after the other.

        What fails here fails no restore: the request that needs it asks again, and says what is wrong.
        """
        fetches = asyncio.gather(asyncio.to_thread(self._verifier.refresh), self._key(), return_exceptions=True)
        try:
            async with asyncio.timeout(_FETCH_S):
                outcomes: list[object] = [*await fetches]
        except TimeoutError as late:
            outcomes = [late]
        for error in outcomes:
            if isinstance(error, Exception):
                reason = getattr(error, "reason", None) or fault_of(error)  # of the issuer, of the key, of AWS
                logger.warning("a key could not be fetched after the restore", extra={"reason": reason})


def _only_the_adapter(request: Request) -> None:
    if _INVOCATION in request.headers:
        raise problems.NotFound

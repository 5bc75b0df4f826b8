"""moto's server with DynamoDB made atomic: its calls run one after the other, as moto itself leaves them to race.

moto applies a transaction item by item, and undoes a failed one by putting back a copy of the whole table: beside a running
transaction another call reads half of it, and a write beside a failing one is lost. SQS calls are left alone; they may wait long.
"""

import threading
from collections.abc import Iterable
from contextlib import nullcontext
from functools import cache
from typing import Any, Final

from moto.moto_server.threaded_moto_server import ThreadedMotoServer
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from local import moto_transactions
from local.faults import FaultyAws

_DYNAMODB: Final = "DynamoDB_"  # how `X-Amz-Target` begins: DynamoDB_20120810.PutItem


class AtomicMotoServer(ThreadedMotoServer):
    """In a thread of this process, on loopback; port 0 takes a free one. `faulty`: its faults can be switched on."""

    def __init__(self, port: int = 0, faulty: bool = False) -> None:
        super().__init__("127.0.0.1", port, verbose=False)
        moto_transactions.install()  # they run one at a time here
        self._dispatch = _dispatcher()
        self._one_at_a_time = threading.Lock()
        self._app = FaultyAws(self._answer) if faulty else self._answer

    def _server_entry(self) -> None:
        self._server = make_server(self._ip_address, self._port, self._app, True, request_handler=MotoRequestHandler)
        self._server_ready_event.set()
        self._server.serve_forever()

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        dynamodb = environ.get("HTTP_X_AMZ_TARGET", "").startswith(_DYNAMODB)
        with self._one_at_a_time if dynamodb else nullcontext():
            answer: Iterable[bytes] = self._dispatch(environ, start_response)
        return answer


def _dispatcher() -> DomainDispatcherApplication:
    """moto's choice of a service by host, made once for each: it lists its own directory and tries hundreds of patterns."""
    made: Any = DomainDispatcherApplication(create_backend_app)
    made.get_backend_for_host = cache(made.get_backend_for_host)
    return made  # type: ignore[no-any-return]

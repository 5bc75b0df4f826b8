"""Faults of the embedded AWS, switched on and off over HTTP while it runs: moto itself never throttles, breaks or hangs.

`PUT /faults {"dynamodb": {"throttle": 0.1}, "sqs": {"hang": 0.05, "hang_s": 3}}` sets how often (0 to 1) a call of a service
fails; `{}` ends it. Only an embedded AWS started with CHAT_EMBEDDED_AWS_FAULTS=1 listens to it.
"""

import json
import random
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]

PATH: Final = "/faults"
_SERVICES: Final = {"DynamoDB_20120810": "dynamodb", "AmazonSQS": "sqs"}  # by the first part of X-Amz-Target
_JSON: Final = [("content-type", "application/x-amz-json-1.0")]


@dataclass(frozen=True, slots=True)
class Rates:
    """How often one service fails, each from 0 to 1: before the call is carried out, or (`lost`) after."""

    throttle: float = 0.0
    error: float = 0.0
    hang: float = 0.0
    hang_s: float = 3.0
    lost: float = 0.0


class FaultyAws:
    """Stands in front of the embedded AWS and answers some calls itself."""

    def __init__(self, aws: Wsgi, seed: int | None = None) -> None:
        self._aws = aws
        self._rates: dict[str, Rates] = {}
        self._random = random.Random(seed)  # noqa: S311 - chooses faults
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == PATH:
            return self._switch(environ, start_response)
        rates = self._rates.get(_SERVICES.get(environ.get("HTTP_X_AMZ_TARGET", "").partition(".")[0], ""))
        if rates is None:
            return self._aws(environ, start_response)
        with self._lock:
            chance = self._random.random()
        faults: tuple[tuple[float, Callable[[], Iterable[bytes]]], ...] = (
            (rates.throttle, lambda: _error(start_response, "400 Bad Request", "ThrottlingException")),
            (rates.error, lambda: _error(start_response, "500 Internal Server Error", "InternalServerError")),
            (rates.hang, lambda: _hang(rates.hang_s, start_response)),
            (rates.lost, lambda: self._lose(environ, start_response)),
        )
        for rate, fault in faults:
            if chance < rate:
                return fault()
            chance -= rate
        return self._aws(environ, start_response)

    def _switch(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        asked = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        self._rates = {service: Rates(**rates) for service, rates in asked.items()}
        start_response("204 No Content", [])
        return []

    def _lose(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """The call is carried out, its answer is not heard."""
        list(self._aws(environ, lambda *_: None))
        return _error(start_response, "500 Internal Server Error", "InternalServerError")


def _error(start_response: Any, status: str, code: str) -> Iterable[bytes]:
    start_response(status, _JSON)
    return [json.dumps({"__type": code, "message": "a fault that was asked for"}).encode()]


def _hang(seconds: float, start_response: Any) -> Iterable[bytes]:
    time.sleep(seconds)
    return _error(start_response, "500 Internal Server Error", "InternalServerError")

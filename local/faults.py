"""Faults of the embedded AWS, switched on and off over HTTP while it runs: by itself it never throttles, breaks or hangs.

`PUT /faults {"dynamodb": {"throttle": 0.1}, "sqs": {"hang": 0.05, "hang_s": 3}}` sets how often (0 to 1) a call of a service
fails; `{}` ends it. Only an embedded AWS started with CHAT_EMBEDDED_AWS_FAULTS=1 listens to it.
"""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

Answer = tuple[int, dict[str, str], bytes]

_SERVICES: Final = {"DynamoDB": "dynamodb", "AmazonSQS": "sqs"}  # as X-Amz-Target names them, and as a person does


@dataclass(frozen=True, slots=True)
class Rates:
    """How often one service fails, each from 0 to 1: before the call is carried out, or (`lost`) after."""

    throttle: float = 0.0
    error: float = 0.0
    hang: float = 0.0
    hang_s: float = 3.0
    lost: float = 0.0


class Faults:
    """Stands in front of the embedded AWS and answers some calls itself."""

    def __init__(self, seed: int | None = None) -> None:
        self._rates: dict[str, Rates] = {}
        self._random = random.Random(seed)  # noqa: S311 - chooses faults

    def switch(self, asked: Mapping[str, Mapping[str, Any]]) -> None:
        """The rates of each service from here on."""
        self._rates = {service: Rates(**rates) for service, rates in asked.items()}

    async def around(self, service: str, carry_out: Callable[[], Awaitable[Answer]]) -> Answer:
        """The answer to a call of `service`, which `carry_out` would give, or a fault in its place."""
        rates = self._rates.get(_SERVICES[service])
        if rates is None:
            return await carry_out()
        names = ("throttle", "error", "hang", "lost")
        (fault,) = self._random.choices([*names, None], [*self._shares(rates, names)])
        if fault == "throttle":
            return error(400, "ThrottlingException")
        if fault == "hang":
            await asyncio.sleep(rates.hang_s)
        if fault in {None, "lost"}:
            answer = await carry_out()
            if fault is None:
                return answer  # else the call is carried out, and its answer is not heard
        return error(500, "InternalServerError")

    @staticmethod
    def _shares(rates: Rates, names: tuple[str, ...]) -> list[float]:
        shares = [getattr(rates, name) for name in names]
        return [*shares, max(0.0, 1 - sum(shares))]


def error(status: int, code: str) -> Answer:
    """An error as both services answer it."""
    body = {"__type": code, "message": "a fault that was asked for"}
    return status, {"content-type": "application/x-amz-json-1.0", "x-amzn-errortype": code}, json.dumps(body).encode()

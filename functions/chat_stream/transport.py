"""The way to the model: it tells when a request is on the wire, and lets no retry wait longer than the turn would."""

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import httpx2

from functions.chat_stream.deadline import Deadline
from functions.chat_stream.direct import DirectTransport


@dataclass(frozen=True, slots=True)
class Asked:
    """What a turn gives along: `sent` is set when the request's last byte has been written, `patience` ends with the wait
    for a first token.
    """

    sent: asyncio.Event
    patience: Deadline


ASKED: Final[ContextVar[Asked | None]] = ContextVar("asked", default=None)


class Transport(DirectTransport):
    """Hears from the turn by ASKED."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if (asked := ASKED.get()) is None:
            return await super().handle_async_request(request)
        request.extensions = {**request.extensions, "sent": asked.sent.set}
        response = await super().handle_async_request(request)
        if response.is_error and _retry_after_s(response.headers) > asked.patience.left():
            # The client would wait for up to two minutes, only to be cut off; this header, a provider's word, it obeys.
            response.headers["x-should-retry"] = "false"
        return response


def _retry_after_s(headers: httpx2.Headers) -> float:
    """RFC 9110 section 10.2.3: seconds or a date; and OpenAI's header in milliseconds. 0 without any."""
    for name, per_second in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            return float(headers[name]) / per_second
        except (KeyError, ValueError):
            continue
    try:
        date = parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return 0.0
    return (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds()

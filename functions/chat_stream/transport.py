"""The way to the model: it tells when a request is on the wire, and lets no retry wait longer than the turn would."""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import httpx2

from functions.chat_stream.deadline import Deadline
from functions.chat_stream.direct import DirectTransport
from functions.chat_stream.reports import Report
from functions.common.trust import proxy_for, tls_context


@dataclass(frozen=True, slots=True)
class Asked:
    """What a turn gives along: `sent` is set when the request's last byte has been written, `patience` ends with the wait
    for a first token. `said_all` tells whether the answer's last event has been read.
    """

    sent: asyncio.Event
    patience: Deadline
    said_all: Callable[[], bool] = lambda: False


_ERROR_BYTES: Final = 64 * 1024  # far more than any error object has
_MOST_IDLE: Final = 100
_SENT: Final = "http11.send_request_body.complete"
_ERROR_S: Final = 2.0  # for its body, once its head is there
ASKED: Final[ContextVar[Asked | None]] = ContextVar("asked", default=None)


def way_to(base_url: str, ca_bundle: str | None = None) -> httpx2.AsyncBaseTransport:
    """The direct way, or httpx2's own where a proxy is configured for this URL. Raises ValueError with a sentence."""
    proxy = proxy_for(base_url)
    if proxy is None:
        return DirectTransport(ca_bundle)
    if not proxy.startswith(("http://", "https://")):
        kind = proxy.partition(":")[0]
        raise ValueError(f"the model's proxy is a {kind} one: only http and https are supported; NO_PROXY can exempt the host")
    tls = tls_context(ca_bundle)
    through = httpx2.Proxy(proxy, ssl_context=tls if proxy.startswith("https://") else None)
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=_MOST_IDLE)
    return httpx2.AsyncHTTPTransport(verify=tls, trust_env=False, limits=limits, proxy=through)


class Transport(httpx2.AsyncBaseTransport):
    """A way to the model that hears from the turn by ASKED."""

    def __init__(self, way: httpx2.AsyncBaseTransport | None = None) -> None:
        self._way = way or DirectTransport()

    async def aclose(self) -> None:
        await self._way.aclose()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if (asked := ASKED.get()) is None:
            return await self._way.handle_async_request(request)

        async def trace(step: str, _: object) -> None:  # of httpx2's own way
            if step == _SENT:
                asked.sent.set()

        told = {"sent": asked.sent.set, "said_all": asked.said_all}  # of the direct way
        request.extensions = {**request.extensions, **(told if isinstance(self._way, DirectTransport) else {"trace": trace})}
        response = await self._way.handle_async_request(request)
        if response.is_error:
            response = await _in_short(response)
            hopeless = Report.of_bytes(response.status_code, response.content).final
            if hopeless or _retry_after_s(response.headers) > asked.patience.left():
                # The client goes by the status alone, and would wait for up to two minutes, only to be cut off or refused again;
                # this header, a provider's word, it obeys.
                response.headers["x-should-retry"] = "false"
        return response


async def _in_short(response: httpx2.Response) -> httpx2.Response:
    """The same error with the beginning of its body, read: the client reads it whole, and nothing promises that it ends."""
    stream = response.stream
    parts: list[bytes] = []
    room = _ERROR_BYTES
    try:
        async with asyncio.timeout(_ERROR_S):
            async for data in stream:  # type: ignore[union-attr]
                parts.append(data[:room])
                room -= len(data)
                if room <= 0:
                    break
    except (TimeoutError, httpx2.TransportError):
        pass  # what came tells enough, or nothing does
    finally:
        await stream.aclose()  # type: ignore[union-attr]
    try:
        return httpx2.Response(response.status_code, headers=response.headers, content=b"".join(parts))
    except httpx2.DecodingError:  # compressed, and cut
        return httpx2.Response(response.status_code, headers={"retry-after": response.headers.get("retry-after", "")})


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

"""The model: one chat completion, streamed through the official `openai` client, read as raw bytes.

The client makes the request, its retries and its errors; its one object per token (70 % of what a relay would cost) is left out:
the body goes through our SSE decoder, and the deltas that one read brought come out together.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final

import httpx2
import openai
from openai._models import FinalRequestOptions  # what the client's `request` takes; the SDK names it nowhere else

from functions.chat_stream import errors
from functions.chat_stream.asking import Asking, Learnt, Prompt
from functions.chat_stream.chunks import Answer, Piece
from functions.chat_stream.deadline import Deadline
from functions.chat_stream.direct import POUR, DirectClient
from functions.chat_stream.reports import ProviderError, Report, failure
from functions.chat_stream.transport import ASKED, Asked, Transport, way_to
from functions.common.connections import Sink
from functions.common.log import get_logger
from functions.common.records import Usage
from functions.common.sse import SSEOverflow

logger = get_logger("chat_stream")
MAX_RETRIES: Final = 2
_CONNECT_S: Final = 5.0
# The turn's own clocks decide about silence; this only frees a socket whose peer vanished.
_SOCKET_S: Final = 600.0
_PLAYED: Final = b'data: {"choices":[{"delta":{"content":"hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
EVERY_MODEL: Final = "*"

__all__ = ["EVERY_MODEL", "Completion", "Model", "Piece"]


class Model:
    """The provider. One instance a process; its connections are kept between turns, and so is what it was found to refuse.

    `think_models` names the models that write their reasoning into the text, between tags; EVERY_MODEL is all of them.
    """

    def __init__(
        self,
        base_url: str,
        key: Callable[[], Awaitable[str]],
        think_models: Iterable[str] = (),
        ca_bundle: str | None = None,
    ) -> None:
        """Raises ValueError when the proxy that is configured for the URL is of a kind that is not supported."""
        self._base_url = base_url
        self._ca_bundle = ca_bundle
        self._key = key
        self._think_models = frozenset(think_models)
        self._learnt = Learnt()
        self._client = self._connect(Transport(way_to(self._base_url, self._ca_bundle)), self._key)
        base = self._client.base_url
        self._request = FinalRequestOptions.construct(
            method="post",
            # In full, put together as the client does: of a path, it would do so for each request.
            url=str(base.copy_with(raw_path=base.raw_path + b"chat/completions")),
            headers={"accept-encoding": "identity"},
            security={"bearer_auth": True},
        )

    def _connect(self, transport: httpx2.AsyncBaseTransport, key: Callable[[], Awaitable[str]]) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(
            api_key=key,
            base_url=self._base_url,
            max_retries=MAX_RETRIES,
            timeout=httpx2.Timeout(_SOCKET_S, connect=_CONNECT_S),
            http_client=DirectClient(transport),
        )

    async def close(self) -> None:
        await self._client.close()

    async def warm(self) -> None:
        """Plays one answer through another client of the same kind: what it loads and computes on first use is there afterwards.

        Opens no connection, and asks for no key.
        """
        "localhost".encode("idna")  # a codec that the first connection would load
        async with self._connect(_PlayedTransport(), _no_key) as client:
            prompt = [{"role": "user", "content": "hi"}]
            played_to = Asked(asyncio.Event(), Deadline.after(_SOCKET_S))
            await Completion(client, self._request, Asking("none", prompt), Learnt(), False, played_to).relay(lambda _: None)

    async def drop_connections(self) -> None:
        """Closes every connection: none may cross a snapshot."""
        await self._client.close()
        self._client = self._connect(Transport(way_to(self._base_url, self._ca_bundle)), self._key)

    def ask(self, model: str, prompt: Prompt, parameters: Mapping[str, Any] | None, asked: Asked) -> "Completion":
        """A completion to be read once. `parameters` are those that the answer can do without, by OpenAI's names."""
        asking = Asking(model, prompt, parameters or {}, self._learnt.about(model))
        thinks = not self._think_models.isdisjoint((model, EVERY_MODEL))
        return Completion(self._client, self._request, asking, self._learnt, thinks, asked)


class Completion:
    """One streamed answer; `finish_reason` and `usage` are known once `relay` is through."""

    def __init__(
        self,
        client: openai.AsyncOpenAI,
        request: FinalRequestOptions,
        asking: Asking,
        learnt: Learnt,
        thinks: bool,
        asked: Asked,
    ) -> None:
        self._client, self._request, self._asked = client, request, asked
        self._asking, self._learnt, self._thinks = asking, learnt, thinks
        self._found: frozenset[str] = frozenset()  # what was refused, until the request without it is answered
        self._answer = Answer(thinks)

    @property
    def finish_reason(self) -> str | None:
        return self._answer.finish_reason

    @property
    def usage(self) -> Usage | None:
        return self._answer.usage

    async def relay(self, take: Callable[[list[Piece]], None]) -> None:
        """Calls `take` with what each read of the socket brought, neighbours of one kind joined, within that read.

        Raises a ModelFailed, or what `take` raised. Cancelling it closes the connection; one whose answer came to its end serves
        another turn. The client retries (429, 5xx, no connection; at most twice, with jitter, honouring a Retry-After that the
        turn can wait for) only before the response's head, so never after a first token. What the provider refuses of what is
        optional in the request is left out, and it is asked once more, never twice.
        """
        ASKED.set(replace(self._asked, said_all=lambda: self._answer.ended))
        try:
            await self._once(take)
        except ProviderError as error:
            if self._answer.begun or not (found := self._asking.refused(error.report)):
                raise failure(error.report) from (error.__cause__ or error)
        else:
            return
        self._asking, self._found, self._answer = self._asking.without(found), found, Answer(self._thinks)
        try:
            await self._once(take)
        except ProviderError as error:
            if not self._answer.begun and (more := self._asking.refused(error.report)):
                self._found |= more
                self._remember()
                raise errors.ParameterRefused from (error.__cause__ or error)
            raise failure(error.report) from (error.__cause__ or error)
        self._remember()

    async def _once(self, take: Callable[[list[Piece]], None]) -> None:
        """One request, its answer relayed to the end. Raises a ModelFailed, a ProviderError, or what `take` raised."""
        try:
            await self._exchange(take)
            self._pass_on(self._answer.close, take)
        except (httpx2.TransportError, httpx2.DecodingError, SSEOverflow) as error:
            raise errors.ModelCut from error
        finally:
            self._pass_on(self._answer.rest, take)

    async def _exchange(self, take: Callable[[list[Piece]], None]) -> None:
        try:
            # The method below `chat.completions.create`, which would look up the types of all messages, for 2 ms.
            request = self._request.model_copy(update={"json_data": self._asking.body()})
            response = await self._client.request(httpx2.Response, request, stream=True)
        except openai.APIStatusError as error:
            raise ProviderError(Report.of_bytes(error.status_code, error.response.content)) from error
        except openai.APITimeoutError as error:
            raise errors.ModelTimeout from error
        except openai.APIConnectionError as error:
            raise errors.ModelUnavailable from error
        async with aclosing(response) as opened:
            await _pour(opened, lambda data: self._on_read(data, take))

    def _on_read(self, data: bytes, take: Callable[[list[Piece]], None]) -> bool:
        """Whether that was the answer's end."""
        self._pass_on(lambda pieces: self._answer.read(data, pieces), take)
        return self._answer.ended

    def _pass_on(self, read: Callable[[list[Piece]], None], take: Callable[[list[Piece]], None]) -> None:
        pieces: list[Piece] = []
        try:
            read(pieces)
        finally:
            if pieces:  # what came before a fault was said all the same
                if self._found:
                    self._remember()
                take(pieces)

    def _remember(self) -> None:
        """Only once a request without it was answered: what was refused may have been named for another reason."""
        found, self._found = self._found, frozenset()
        self._learnt.add(self._asking.model, found)
        for name in sorted(found):
            logger.warning(
                "the provider refuses a parameter, which is left out from here on",
                extra={"model": self._asking.model, "parameter": name.replace(" ", "_")},
            )


async def _no_key() -> str:
    return "none"


class _PlayedTransport(httpx2.AsyncBaseTransport):
    """Answers by itself."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=_PLAYED, request=request)


async def _pour(response: httpx2.Response, sink: Sink) -> None:
    """The body as it is read; through httpx2's decoders only when the provider compresses although it was asked not to."""
    pour = response.extensions.get(POUR)
    if pour is not None and "content-encoding" not in response.headers:
        await pour(sink)
        return
    async with aclosing(response.aiter_bytes()) as reads:
        async for data in reads:
            if sink(data):
                return

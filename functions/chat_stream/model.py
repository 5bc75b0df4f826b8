"""The model: one chat completion, streamed through the official `openai` client, read as raw bytes.

The client makes the request, its retries and its errors; its one object per token (70 % of what a relay would cost) is left out:
the body goes through our SSE decoder, and the deltas that one read brought come out together.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final

import httpx2
import openai
from openai._models import FinalRequestOptions  # what the client's `request` takes; the SDK names it nowhere else
from pydantic_core import from_json

from functions.chat_stream import errors
from functions.chat_stream.deadline import Deadline
from functions.chat_stream.direct import POUR, DirectClient
from functions.chat_stream.transport import ASKED, Asked, Transport
from functions.common.connections import Sink
from functions.common.events import Reasoning, Token
from functions.common.records import Usage
from functions.common.sse import SSEDecoder, SSEOverflow

MAX_RETRIES: Final = 2
_CONNECT_S: Final = 5.0
# The turn's own clocks decide about silence; this only frees a socket whose peer vanished.
_SOCKET_S: Final = 600.0
_DONE: Final = b"[DONE]"
_MOST_TOKENS: Final = 100_000_000  # of one completion, prompt included: ten times the longest context on offer
_PLAYED: Final = b'data: {"choices":[{"delta":{"content":"hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'

Piece = Token | Reasoning


class Model:
    """The provider. One instance a process; its connections are kept between turns."""

    def __init__(self, base_url: str, key: Callable[[], Awaitable[str]]) -> None:
        self._base_url = base_url
        self._key = key
        self._client = self._connect(Transport(), self._key)
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
            await Completion(client, self._request, "none", prompt, None, played_to).relay(lambda _: None)

    async def drop_connections(self) -> None:
        """Closes every connection: none may cross a snapshot."""
        await self._client.close()
        self._client = self._connect(Transport(), self._key)

    def ask(self, model: str, prompt: Sequence[Mapping[str, str]], temperature: float | None, asked: Asked) -> "Completion":
        """A completion to be read once."""
        return Completion(self._client, self._request, model, prompt, temperature, asked)


class Completion:
    """One streamed answer; `finish_reason` and `usage` are known once `relay` is through."""

    def __init__(
        self,
        client: openai.AsyncOpenAI,
        request: FinalRequestOptions,
        model: str,
        prompt: Sequence[Mapping[str, str]],
        temperature: float | None,
        asked: Asked,
    ) -> None:
        self._client, self._request, self._asked = client, request, asked
        self._model, self._prompt, self._temperature = model, prompt, temperature
        self.finish_reason: str | None = None
        self.usage: Usage | None = None
        self._decoder = SSEDecoder()
        self._ended = False

    async def relay(self, take: Callable[[list[Piece]], None]) -> None:
        """Calls `take` with what each read of the socket brought, neighbours of one kind joined, within that read.

        Raises a ModelFailed, or what `take` raised. Cancelling it closes the connection; one whose answer came to its end serves
        another turn. The client retries (429, 5xx, no connection; at most twice, with jitter, honouring a Retry-After that the
        turn can wait for) only before the response's head, so never after a first token.
        """
        ASKED.set(replace(self._asked, said_all=lambda: self._ended))
        body = {
            "model": self._model,
            "messages": self._prompt,
            "stream": True,
            "stream_options": {"include_usage": True},
            **({} if self._temperature is None else {"temperature": self._temperature}),
        }
        try:
            # The method below `chat.completions.create`, which would look up the types of all messages, for 2 ms.
            request = self._request.model_copy(update={"json_data": body})
            response = await self._client.request(httpx2.Response, request, stream=True)
            async with aclosing(response) as opened:
                await _pour(opened, lambda data: self._on_read(data, take))
        except openai.APIStatusError as error:
            raise _by_status(error.status_code) from error
        except openai.APITimeoutError as error:
            raise errors.ModelTimeout from error
        except openai.APIConnectionError as error:
            raise errors.ModelUnavailable from error
        except (httpx2.TransportError, httpx2.DecodingError, SSEOverflow) as error:
            raise errors.ModelCut from error
        if self.finish_reason is None:
            raise errors.ModelCut

    def _on_read(self, data: bytes, take: Callable[[list[Piece]], None]) -> bool:
        """Whether that was the answer's end."""
        pieces: list[Piece] = []
        try:
            self._read(self._decoder.feed(data), pieces)
        finally:
            if pieces:  # what came before a fault was said all the same
                take(pieces)
        return self._ended

    def _read(self, messages: Sequence[Any], pieces: list[Piece]) -> None:
        for message in messages:
            if message.data.startswith(_DONE):
                self._ended = True
                break
            chunk = _parse(message.data)
            if (error := chunk.get("error")) is not None:
                raise _by_error_object(error)
            try:
                self._take(chunk, pieces)
            except (TypeError, ValueError, AttributeError, LookupError, OverflowError) as error:
                raise errors.ModelCut from error

    def _take(self, chunk: dict[str, Any], pieces: list[Piece]) -> None:
        if chunk.get("usage"):
            self.usage = _usage(chunk["usage"])
        if not (choices := chunk.get("choices")):
            return
        choice = choices[0]
        delta = choice.get("delta") or {}
        # `reasoning_content` is DeepSeek's and vLLM's name, `reasoning` OpenRouter's.
        if reasoning := delta.get("reasoning_content") or delta.get("reasoning"):
            _join(pieces, Reasoning(_text(reasoning)))
        # A refusal is the answer, in the model's own words.
        if content := delta.get("content") or delta.get("refusal"):
            _join(pieces, Token(_text(content)))
        if reason := choice.get("finish_reason"):
            self.finish_reason = _text(reason)


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


def _join(pieces: list[Piece], piece: Piece) -> None:
    if pieces and type(pieces[-1]) is type(piece):
        pieces[-1] = type(piece)(pieces[-1].content + piece.content)
    else:
        pieces.append(piece)


def _parse(data: bytes) -> dict[str, Any]:
    try:
        chunk = from_json(data)
    except ValueError:
        chunk = _parse_leniently(data)
    if not isinstance(chunk, dict):
        raise errors.ModelCut
    return chunk


def _parse_leniently(data: bytes) -> Any:
    """A chunk whose JSON escapes hold half a surrogate pair, as some providers cut them; raises ModelCut for anything else."""
    try:
        text = json.dumps(json.loads(data), ensure_ascii=False)
    except (ValueError, RecursionError) as error:
        raise errors.ModelCut from error
    return from_json(text.encode("utf-8", "replace"))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _usage(raw: Mapping[str, Any]) -> Usage | None:
    """The provider's count; None for one that cannot be, which would use up its user's day."""
    given, made = int(raw.get("prompt_tokens") or 0), int(raw.get("completion_tokens") or 0)
    total = int(raw.get("total_tokens") or given + made)
    if not all(0 <= count <= _MOST_TOKENS for count in (given, made, total)):
        return None
    return Usage(input_tokens=given, output_tokens=made, total_tokens=total)


def _by_status(status: int) -> errors.ModelFailed:
    if status == 429:
        return errors.ModelRateLimited()
    if status == 408:
        return errors.ModelTimeout()
    return errors.ModelRefused() if 400 <= status < 500 else errors.ModelUnavailable()


def _by_error_object(error: object) -> errors.ModelFailed:
    """An error that came inside a 200: by its numeric code where there is one, else by its name."""
    fields = error if isinstance(error, dict) else {}
    if isinstance(code := fields.get("code"), int):
        return _by_status(code)
    name = f"{fields.get('code')} {fields.get('type')}"
    if "rate_limit" in name or "quota" in name:
        return errors.ModelRateLimited()
    return errors.ModelRefused() if "invalid_request" in name or "content_policy" in name else errors.ModelUnavailable()

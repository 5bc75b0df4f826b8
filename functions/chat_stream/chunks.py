"""A provider's answer, read: the chunks of a stream, or one JSON document; text, reasoning, finish reason and usage out of it.

They all follow OpenAI's chat completions, each a little differently (tests/faults/test_providers.py says who does what). A chunk
as OpenAI itself sends it takes the shortest way through here.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic_core import from_json

from functions.chat_stream import errors
from functions.chat_stream.reports import ProviderError, Report
from functions.chat_stream.thinking import ThinkTags
from functions.common.events import Reasoning, Token
from functions.common.records import Usage
from functions.common.sse import MAX_MESSAGE_BYTES, Message, SSEDecoder, SSEOverflow

Piece = Token | Reasoning
Kind = type[Token] | type[Reasoning]

_DONE: Final = b"[DONE]"
_BLANK: Final = b" \t\r\n\xef\xbb\xbf"  # white space, and the mark that may stand before all
_MOST_TOKENS: Final = 100_000_000  # of one completion, prompt included: ten times the longest context on offer
_MOST_REASON_CHARS: Final = 64
# `reasoning_content` is DeepSeek's, vLLM's and xAI's name, `reasoning` OpenRouter's, Ollama's and Groq's, the lists
# OpenRouter's and LiteLLM's. Some send the same under two names: the first counts.
_REASONING: Final = ("reasoning_content", "reasoning", "thinking", "reasoning_details", "thinking_blocks")
_REASONING_PARTS: Final = frozenset({"thinking", "reasoning", "reasoning_text", "summary_text"})
# What other names mean: Mistral's, Gemini's, vLLM's, Anthropic's behind a gateway.
_REASONS: Final = {
    **dict.fromkeys(("eos", "eos_token", "end", "end_turn", "stop_sequence", "stop_token", "completed", "complete"), "stop"),
    **dict.fromkeys(("max_tokens", "max_output_tokens", "max_completion_tokens", "model_length"), "length"),
    **dict.fromkeys(("safety", "sensitive", "blocklist", "prohibited_content", "content_filtered"), "content_filter"),
}
# The provider broke off: OpenRouter's, vLLM's, Zhipu's, DeepSeek's.
_BROKE_OFF: Final = frozenset({"error", "abort", "aborted", "network_error", "insufficient_system_resource"})
_CONTENT_FILTER: Final = "content_filter"


class Answer:
    """One answer, as it comes in. `ended` says that its end was read, `begun` that some of it came out."""

    def __init__(self, thinks: bool) -> None:
        self.finish_reason: str | None = None
        self.usage: Usage | None = None
        self.ended = False
        self.begun = False
        self._said = False  # text, not only reasoning
        self._decoder = SSEDecoder()
        self._document: bytearray | None = None  # the body, when it is JSON and no stream
        self._looked = False
        self._tags = ThinkTags() if thinks else None
        self._halves: dict[Kind, str] = {}  # of surrogate pairs, waiting for the other half
        self._mending = False
        self._plain = not thinks  # what comes is passed on as it is

    def read(self, data: bytes, pieces: list[Piece]) -> None:
        """Adds what `data` brought to `pieces`, neighbours of one kind joined. Raises ModelFailed, ProviderError, SSEOverflow."""
        if not self._looked:
            data = self._look(data)
        if self._document is not None:
            self._document += data
            if len(self._document) > MAX_MESSAGE_BYTES:
                raise SSEOverflow
            return
        for message in self._decoder.feed(data):
            if message.data.startswith(_DONE):
                self.ended = True
                break
            self._message(message, pieces)

    def close(self, pieces: list[Piece]) -> None:
        """The body is over: adds what it still held, decides whether that was an answer. Raises ModelFailed, ProviderError."""
        if self._document is not None:
            self._whole(bytes(self._document), pieces)
        self.rest(pieces)
        if self.finish_reason == _CONTENT_FILTER and not self._said:
            raise errors.ContentFiltered
        if self.finish_reason is None:
            if not self.ended:
                raise errors.ModelCut
            self.finish_reason = "stop"  # its own end mark says no less

    def rest(self, pieces: list[Piece]) -> None:
        """Adds what was held back for more to come."""
        for kind in tuple(self._halves):
            self._add(kind, "", pieces, last=True)
        if self._tags is not None:
            self._split(self._tags.rest(), pieces)

    def _look(self, data: bytes) -> bytes:
        """Some answer a streamed request with JSON, under any content type; no stream of events begins with a bracket."""
        if begin := data.lstrip(_BLANK):
            self._looked = True
            if begin[0] in b"{[":
                self._document = bytearray()
                return begin
        return data

    def _message(self, message: Message, pieces: list[Piece]) -> None:
        try:
            chunk = from_json(message.data)
        except ValueError:
            if not message.data.strip():
                return
            chunk = self._leniently(message.data, message.event)
        if not isinstance(chunk, dict):
            raise ProviderError(Report.of(None, chunk)) if message.event == "error" else errors.ModelCut
        self._take(chunk, pieces)
        if message.event == "error" or "error" in chunk or not chunk.get("choices"):
            self._complain(chunk, message.event)

    def _complain(self, chunk: dict[str, Any], event: str | None) -> None:
        """Raises a ProviderError when the chunk is one."""
        if event == "error" or chunk.get("error") or (not chunk.get("choices") and _is_error(chunk)):
            raise ProviderError(Report.of(None, chunk))

    def _leniently(self, data: bytes, event: str | None) -> Any:
        """A chunk with half a surrogate pair in its escapes: the other half may be in the next."""
        try:
            chunk = json.loads(data)
        except (ValueError, RecursionError) as error:
            if event == "error":
                raise ProviderError(Report.of(None, data.decode(errors="replace"))) from error
            raise errors.ModelCut from error
        self._mending, self._plain = True, False
        return chunk

    def _whole(self, document: bytes, pieces: list[Piece]) -> None:
        """One JSON completion in place of a stream."""
        try:
            found = from_json(document)
        except ValueError:
            found = self._leniently(document, None)
        if isinstance(found, list) and found:
            found = found[0]  # Gemini's errors
        if not isinstance(found, dict):
            raise errors.ModelCut
        self._take(found, pieces)
        self.ended = bool(found.get("choices"))
        if not self.ended or found.get("error"):
            raise ProviderError(Report.of(None, found)) if _is_error(found) or found.get("message") else errors.ModelCut

    def _take(self, chunk: dict[str, Any], pieces: list[Piece]) -> None:
        try:
            self._chunk(chunk, pieces)
        except (TypeError, ValueError, AttributeError, LookupError, OverflowError) as error:
            raise errors.ModelCut from error

    def _chunk(self, chunk: dict[str, Any], pieces: list[Piece]) -> None:
        if usage := chunk.get("usage"):
            self._count(usage)
        if not (choices := chunk.get("choices")):
            return
        choice = choices[0]
        if choice.get("index"):
            choice = next((one for one in choices if not one.get("index")), None)  # of several answers, the first
            if choice is None:
                return
        delta = choice.get("delta")
        if delta and len(delta) == 1 and (content := delta.get("content")) and content.__class__ is str:
            if self._plain:
                self._join(Token(content), pieces)  # how nearly every chunk looks
            else:
                self._add(Token, content, pieces)
        else:
            self._speech(choice, delta, pieces)
        if reason := choice.get("finish_reason"):
            self._finish(reason, chunk, choice)

    def _speech(self, choice: dict[str, Any], delta: Any, pieces: list[Piece]) -> None:
        if not delta and not self._said:
            delta = choice.get("message")  # whole answers have it, and some streams; beside deltas it repeats them
        if not delta:
            if isinstance(text := choice.get("text"), str) and text:
                self._add(Token, text, pieces)
            return
        for name in _REASONING:
            if said := delta.get(name):
                for _, text in _parts(said, Reasoning):
                    self._add(Reasoning, text, pieces)
                break
        # A refusal is the answer, in the model's own words.
        if content := delta.get("content") or delta.get("refusal"):
            if not isinstance(content, str | list | dict):
                raise TypeError
            for kind, text in _parts(content, Token):
                self._add(kind, text, pieces)

    def _finish(self, reason: Any, chunk: Mapping[str, Any], choice: Mapping[str, Any]) -> None:
        if isinstance(reason, dict):
            reason = reason.get("type") or "stop"
        if not isinstance(reason, str):
            raise TypeError
        name = reason.lower()
        if name in _BROKE_OFF:
            raise ProviderError(Report.of(None, chunk.get("error") or choice.get("error") or {"type": "server_error"}))
        name = _REASONS.get(name, name)
        self.finish_reason = name[:_MOST_REASON_CHARS].encode(errors="replace").decode()
        if usage := choice.get("usage") or (chunk.get("x_groq") or {}).get("usage"):  # Moonshot's place, and Groq's
            self._count(usage)

    def _count(self, raw: Mapping[str, Any]) -> None:
        """The provider's count, unless it cannot be: it would use up its user's day, or nothing of it."""
        given = int(raw.get("prompt_tokens") or raw.get("input_tokens") or 0)
        made = int(raw.get("completion_tokens") or raw.get("output_tokens") or 0)
        total = int(raw.get("total_tokens") or given + made)
        if not all(0 <= count <= _MOST_TOKENS for count in (given, made, total)):
            self.usage = None
        elif total:
            self.usage = Usage(input_tokens=given, output_tokens=made, total_tokens=total)

    def _add(self, kind: Kind, text: str, pieces: list[Piece], last: bool = False) -> None:
        if self._mending:
            text = self._mended(kind, text, last)
        if self._tags is not None and kind is Token:
            self._split(self._tags.feed(text), pieces)
        elif text:
            self._join(kind(text), pieces)

    def _split(self, parts: tuple[str, str], pieces: list[Piece]) -> None:
        reasoning, text = parts
        if reasoning:
            self._join(Reasoning(reasoning), pieces)
        if text:
            self._join(Token(text), pieces)

    def _join(self, piece: Piece, pieces: list[Piece]) -> None:
        self.begun = True
        if piece.__class__ is Token:
            self._said = True
        if pieces and type(pieces[-1]) is type(piece):
            pieces[-1] = type(piece)(pieces[-1].content + piece.content)
        else:
            pieces.append(piece)

    def _mended(self, kind: Kind, text: str, last: bool) -> str:
        """The text without halves of surrogate pairs, which neither the queue nor a page would take.

        A first half at the end is held until its other half comes, or something else does.
        """
        text = self._halves.pop(kind, "") + text
        if text and not last and "\ud800" <= text[-1] <= "\udbff":
            self._halves[kind], text = text[-1], text[:-1]
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _parts(content: Any, kind: Kind) -> Iterable[tuple[Kind, str]]:
    """What a text, a part, or a list of parts says: text as `kind`, thinking as reasoning, other kinds nothing."""
    if isinstance(content, str):
        yield kind, content
    elif isinstance(content, list):
        for part in content:
            yield from _parts(part, kind)
    elif isinstance(content, dict):
        name = content.get("type")
        name = name.rpartition(".")[2] if isinstance(name, str) else "text"  # OpenRouter's: reasoning.text, reasoning.summary
        if name in _REASONING_PARTS or (name in {"text", "summary"} and kind is Reasoning):
            for field in ("thinking", "reasoning", "text", "summary", "content"):
                if said := content.get(field):
                    yield from _parts(said, Reasoning)
                    break
        elif name in {"text", "output_text", "refusal"}:
            for field in ("text", "refusal", "content"):
                if isinstance(said := content.get(field), str):
                    yield kind, said
                    break


def _is_error(chunk: Mapping[str, Any]) -> bool:
    """A chunk without choices that says what is wrong: `error`, vLLM's and Mistral's object, FastAPI's detail."""
    return bool(chunk.get("error") or chunk.get("detail")) or "error" in (chunk.get("object"), chunk.get("type"))

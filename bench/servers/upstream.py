"""The fake upstream: a chat completion of so many tokens, the first after `ttft_s`, then one each `delay_s`; 0 is a burst.

    POST /control {"ttft_s": 0.1, "delay_s": 0.01, "tokens": 100}     holds for the requests that follow

Each token is a server-sent event in a chunk of its own, with the fields that OpenAI's have. Each ends in MARK, by which tokens
are counted, however a relay frames or joins them.
"""

import asyncio
import json
from dataclasses import dataclass

from bench.servers.http import LAST_CHUNK, Request, chunk, respond, serve

MARK = b"~"
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
_WORDS = "the of stream first table and queue to token in turn is answer that it was".split()  # noqa: SIM905 - words


@dataclass(slots=True)
class Pace:
    ttft_s: float = 0.0
    delay_s: float = 0.0
    tokens: int = 100


def _event(delta: dict[str, str], finish_reason: str | None = None, **more: object) -> bytes:
    document = {
        "id": "chatcmpl-CYv0nR6cZCzQWz4JcBvvVzMq2K1aZ",
        "object": "chat.completion.chunk",
        "created": 1763990000,
        "model": "bench-model",
        "service_tier": "default",
        "system_fingerprint": "fp_560af6e559",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}],
        "usage": None,
        "obfuscation": "q8Zl3Wm",
    } | more
    return chunk(b"data: %s\n\n" % json.dumps(document, separators=(",", ":")).encode())


_TOKENS = tuple(_event({"content": f" {word}{MARK.decode()}"}) for word in _WORDS)
_ROLE = _event({"role": "assistant", "content": ""})


def _ending(tokens: int) -> bytes:
    usage = {"prompt_tokens": 20, "completion_tokens": tokens, "total_tokens": 20 + tokens}
    last = _event({}, choices=[], usage=usage)
    return _event({}, "stop") + last + chunk(b"data: [DONE]\n\n") + LAST_CHUNK


class Upstream:
    """Answers every request at the pace set last."""

    def __init__(self) -> None:
        self._pace = Pace()

    def __call__(self, request: Request, transport: asyncio.Transport) -> None:
        if request.path == b"/control":
            self._pace = Pace(**json.loads(request.body))
            respond(transport, {})
        elif request.path.endswith(b"/chat/completions"):
            _Answer(self._pace, transport).start()
        else:
            respond(transport, {"object": "list", "data": [{"id": "bench-model", "object": "model"}]})


class _Answer:
    """One answer on its way, on an absolute schedule: a busy machine does not slow the pace itself."""

    def __init__(self, pace: Pace, transport: asyncio.Transport) -> None:
        self._loop = asyncio.get_running_loop()
        self._pace = pace
        self._transport = transport
        self._due = self._loop.time() + pace.ttft_s
        self._sent = 0

    def start(self) -> None:
        if self._pace.ttft_s:
            self._loop.call_at(self._due, self._begin)
        else:
            self._begin()

    def _begin(self) -> None:
        """Providers send their headers with the first token."""
        if not self._pace.delay_s:
            tokens = self._pace.tokens
            whole, rest = divmod(tokens, len(_TOKENS))
            self._write(_HEAD + _ROLE + b"".join(_TOKENS) * whole + b"".join(_TOKENS[:rest]) + _ending(tokens))
        else:
            self._write(_HEAD + _ROLE)
            self._next()

    def _next(self) -> None:
        if self._transport.is_closing():
            return
        if self._sent == self._pace.tokens:
            self._write(_ending(self._sent))
            return
        self._write(_TOKENS[self._sent % len(_TOKENS)])
        self._sent += 1
        self._due += self._pace.delay_s
        self._loop.call_at(self._due, self._next)

    def _write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)


if __name__ == "__main__":
    serve(Upstream())

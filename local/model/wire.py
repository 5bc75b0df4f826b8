"""The objects of OpenAI's chat completions API, as its servers send them."""

import json
import time
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

Json = dict[str, Any]
# A model that reasons, and takes the parameters that OpenAI's reasoning models take.
REASONING_MODEL: Final = "demo-reasoning"


@dataclass(frozen=True, slots=True)
class Completion:
    """What the objects of one answer share."""

    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def chunk(self, delta: Json, finish_reason: str | None = None) -> Json:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return self._chunk([choice])

    def usage_chunk(self, prompt_tokens: int, completion_tokens: int) -> Json:
        """The last chunk when `stream_options.include_usage` is set: usage, and no choices."""
        return {**self._chunk([]), "usage": usage(prompt_tokens, completion_tokens)}

    def whole(self, content: str, finish_reason: str, prompt_tokens: int, completion_tokens: int) -> Json:
        """The answer to a request that does not stream."""
        message = {"role": "assistant", "content": content, "refusal": None}
        return {
            "id": self.id,
            "object": "chat.completion",
            "created": self.created,
            "model": self.model,
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}],
            "usage": usage(prompt_tokens, completion_tokens),
        }

    def _chunk(self, choices: list[Json]) -> Json:
        return {
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "choices": choices,
        }


def usage(prompt_tokens: int, completion_tokens: int) -> Json:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


def error(code: str, message: str = "", kind: str = "invalid_request_error", param: str | None = None) -> Json:
    return {"error": {"message": message or code, "type": kind, "param": param, "code": code}}


def models(names: list[str]) -> Json:
    return {
        "object": "list",
        "data": [{"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "local"} for name in names],
    }


def event(data: Json | str) -> bytes:
    """One server-sent event."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f"data: {text}\n\n".encode()


DONE = event("[DONE]")

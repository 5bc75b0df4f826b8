"""A model that answers at a steady pace, in the place where the turn engine asks one: so many tokens, so many a second."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from functions.chat_stream.asking import Prompt
from functions.chat_stream.model import Completion, Model, Piece
from functions.chat_stream.transport import Asked
from functions.common.events import Token
from functions.common.records import Usage

BYTES_PER_TOKEN: Final = 4  # OpenAI's rule of thumb for English, and functions/chat_stream/turn.py's own estimate


@dataclass(frozen=True, slots=True)
class Shape:
    """A turn as the user sees it: an answer of so many tokens, after a conversation of so many messages.

    The pace is that of a middling model of today; `first_token_s` is what it takes to begin.
    """

    answer_tokens: int
    tokens_per_s: float = 50.0
    first_token_s: float = 1.0
    earlier_messages: int = 6
    message_bytes: int = 600

    @property
    def answer_s(self) -> float:
        return self.first_token_s + self.answer_tokens / self.tokens_per_s


class PacedModel(Model):
    """Opens no connection."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape

    def ask(self, model: str, prompt: Prompt, parameters: Mapping[str, Any] | None, asked: Asked) -> Completion:
        del model, parameters
        asked.sent.set()
        return _PacedCompletion(self._shape, sum(len(message["content"].encode()) for message in prompt))


class _PacedCompletion(Completion):
    finish_reason: str | None = None
    usage: Usage | None = None

    def __init__(self, shape: Shape, prompt_bytes: int) -> None:
        self._shape = shape
        self._prompt_bytes = prompt_bytes

    async def relay(self, take: Callable[[list[Piece]], None]) -> None:
        await asyncio.sleep(self._shape.first_token_s)
        for _ in range(self._shape.answer_tokens):
            take([Token("word"[:BYTES_PER_TOKEN])])
            await asyncio.sleep(1 / self._shape.tokens_per_s)
        read, made = self._prompt_bytes // BYTES_PER_TOKEN, self._shape.answer_tokens
        self.finish_reason = "stop"
        self.usage = Usage(input_tokens=read, output_tokens=made, total_tokens=read + made)

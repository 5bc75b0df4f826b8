"""Reasoning that a model writes into its text: `<think>…</think>` at the very start becomes reasoning, all else stays text.

Open models do so where their server does not take the tags out; Bedrock puts `<reasoning>` around each piece of it.
"""

from typing import Final

_OPENING: Final = tuple(f"<{name}>" for name in ("think", "thinking", "thought", "reasoning"))


class ThinkTags:
    """Fed the text as it comes; each call returns (reasoning, text). What may be the beginning of a tag is held back."""

    def __init__(self) -> None:
        self._held = ""
        self._closing = ""  # while inside: what ends it
        self._tagged = False  # there was an opening tag
        self._thought = False  # and something behind it
        self._over = False  # the text itself has begun: no tag means anything from here on

    def feed(self, text: str) -> tuple[str, str]:
        if self._over:
            return "", text
        text, self._held = self._held + text, ""
        reasoning: list[str] = []
        while text:
            if self._closing:
                inside, text = self._inside(text)
                reasoning.append(inside)
                continue
            stripped = text.lstrip()
            opening = next((tag for tag in _OPENING if stripped.startswith(tag)), None)
            if opening is None:
                self._begin(stripped if self._tagged else text, stripped)
                break
            text, self._closing, self._tagged = stripped[len(opening) :], f"</{opening[1:]}", True
        said, self._held = (self._held, "") if self._over else ("", self._held)
        return "".join(reasoning), said

    def rest(self) -> tuple[str, str]:
        """What is still held when the answer is over: no tag after all."""
        held, self._held = self._held, ""
        return (held, "") if self._closing else ("", held)

    def _begin(self, text: str, stripped: str) -> None:
        """Holds `text`, which begins outside of any tag; it is the answer unless it may still become a tag."""
        self._held = text
        self._over = bool(stripped) and not any(tag.startswith(stripped) for tag in _OPENING)

    def _inside(self, text: str) -> tuple[str, str]:
        """The reasoning in `text`, and what is behind its end."""
        if not self._thought:
            text = text.lstrip()
            self._thought = bool(text)
        before, found, after = text.partition(self._closing)
        if found:
            self._closing = ""
            return before, after
        kept = next((size for size in range(len(self._closing) - 1, 0, -1) if before.endswith(self._closing[:size])), 0)
        self._held = before[len(before) - kept :]
        return before[: len(before) - kept], ""

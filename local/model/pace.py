"""How fast and how long the embedded model answers."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds to the first token, seconds between tokens, and the exact number of tokens (None: as many as the answer has)."""

    ttft_s: float = 0.3
    delay_s: float = 0.02
    tokens: int | None = None

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Pace":
        """From FAKE_LLM_TTFT_MS, FAKE_LLM_DELAY_MS, FAKE_LLM_TOKENS; raises ValueError for what is not a number."""
        tokens = env.get("FAKE_LLM_TOKENS")
        return cls(
            ttft_s=float(env.get("FAKE_LLM_TTFT_MS") or 300) / 1000,
            delay_s=float(env.get("FAKE_LLM_DELAY_MS") or 20) / 1000,
            tokens=int(tokens) if tokens else None,
        )


INSTANT = Pace(ttft_s=0, delay_s=0)

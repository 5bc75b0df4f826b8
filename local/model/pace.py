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
        """From FAKE_LLM_TTFT_MS, FAKE_LLM_DELAY_MS, FAKE_LLM_TOKENS; raises ValueError, which names the variable."""
        return cls(
            ttft_s=_number(env, "FAKE_LLM_TTFT_MS", 300) / 1000,
            delay_s=_number(env, "FAKE_LLM_DELAY_MS", 20) / 1000,
            tokens=int(_number(env, "FAKE_LLM_TOKENS", 0)) or None,
        )


def _number(env: Mapping[str, str], name: str, default: float) -> float:
    text = env.get(name) or str(default)
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1e9:
        raise ValueError(f"{name} is {text!r}, which is no number from 0 up")
    return number


INSTANT = Pace(ttft_s=0, delay_s=0)

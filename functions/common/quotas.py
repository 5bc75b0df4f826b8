"""What one user may use: the settings, the same for the function that enforces them and the one that shows them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final, Self

from functions.common.variables import current


@dataclass(frozen=True, slots=True)
class Quotas:
    """Per user; 0 is no limit. Each is a setting, `CHAT_QUOTA_` before its name in capitals.

    The defaults stop a runaway client, not a person. `streams`: a browser opens 6 connections to a host over HTTP/1.1, so 10 are
    several tabs and a script beside them. `turns_per_minute`: LibreChat lets a user send 40 messages a minute
    (MESSAGE_USER_MAX); half as much again. `tokens_per_day`: a thousand ordinary turns of 2,000 tokens, or twenty that fill a
    context of 100,000; read and written tokens alike, a UTC day. `resumes` are streams that show an answer again: five for
    each answer under way, for Lambda does not hear of a reader that left.
    """

    streams: int = 10
    turns_per_minute: int = 60
    tokens_per_day: int = 2_000_000
    resumes: int = 50

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Raises ValueError with a sentence that names the variable at fault.

        Without sign-in everyone on the machine is one user, load tests included: the defaults are then a thousand times those.
        """
        env = current(env)
        times = 1 if env.get("OIDC_ISSUER") else _LOCAL_TIMES
        given = {}
        for quota, default in asdict(cls()).items():
            name = f"CHAT_QUOTA_{quota.upper()}"
            text = env.get(name)
            given[quota] = _count(name, text) if text else times * default
        return cls(**given)


_LOCAL_TIMES: Final = 1_000
_MOST: Final = 10**15  # DynamoDB's numbers and JSON's both hold it exactly


def _count(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= _MOST):
        raise ValueError(f"{name} is {text!r}: it must be a whole number from 0 (no limit) to {_MOST}")
    return int(text)

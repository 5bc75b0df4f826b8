"""The environment variables of this product's own settings: one prefix, the names from before it, and names that are misspelled.

Variables that others define keep their names: PORT, HOST, OPENAI_*, OIDC_*, AWS_*, POWERTOOLS_*; so do DEFAULT_MODEL, MODELS and
WORKSPACES_CLAIM.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

PREFIX: Final = "CHAT_"

# Settings that once had no prefix, by that name. It still counts as long as the name with the prefix is not set.
RENAMED: Final = (
    # where the data is
    "CONVERSATIONS_TABLE",
    "TURNS_TABLE",
    "QUEUE_URL",
    # the provider's key, and the header that carries the caller's token
    "MODEL_KEY_SECRET",
    "MODEL_KEY_REVISION",
    "AUTHORIZATION_HEADER",
    # seconds of a turn
    "CHECKPOINT_S",
    "KEEPALIVE_S",
    "FIRST_TOKEN_S",
    "STALL_S",
    "TURN_S",
    "RESERVE_S",
    "SAVE_S",
    "RECEIPT_WAIT_S",
    "SETTLE_DELAY_S",
    # sizes
    "MAX_MESSAGE_BYTES",
    "MAX_NEW_BYTES",
    "MAX_BODY_BYTES",
    "MAX_MESSAGES",
    "MAX_ANSWER_BYTES",
    "MAX_BODY_TIMEOUT_S",
    # quotas
    "QUOTA_STREAMS",
    "QUOTA_TURNS_PER_MINUTE",
    "QUOTA_TOKENS_PER_DAY",
    # the local run
    "VISIBILITY_TIMEOUT_S",
    "GRACE_S",
    "EMBEDDED_AWS_FAULTS",
)
KNOWN: Final = frozenset(
    {
        *(PREFIX + name for name in RENAMED),
        "CHAT_THINK_MODELS",
        "CHAT_MAX_UNASKED_BYTES",
        "CHAT_QUOTA_RESUMES",
        "CHAT_WORKERS",  # the local run
        "CHAT_STRICT_EDGE",
        "CHAT_URL",  # the terminal client
        "CHAT_TOKEN",
    }
)


def current(env: Mapping[str, str]) -> dict[str, str]:
    """The environment with each setting under its name of today. Where both names are set, the one with the prefix counts."""
    found = dict(env)
    for former in RENAMED:
        if env.get(former) and not env.get(PREFIX + former):
            found[PREFIX + former] = env[former]
    return found


def required(env: Mapping[str, str], name: str) -> str:
    """Raises ValueError with a sentence that names the variable."""
    if value := env.get(name):
        return value
    raise ValueError(f"{name} is not set")


class Unknown(NamedTuple):
    """A variable with the prefix that no setting has, and the setting whose name is most like it."""

    name: str
    nearest: str | None

    def __str__(self) -> str:
        return f"{self.name} is not a setting and is ignored" + (f"; did you mean {self.nearest}?" if self.nearest else "")


def unknown(env: Mapping[str, str]) -> list[Unknown]:
    """Variables that begin with the prefix and set nothing: probably misspelled."""
    names = sorted(name for name in env if name.startswith(PREFIX) and name not in KNOWN)
    if not names:
        return []
    from difflib import get_close_matches  # a function's start need not pay for it

    known = [name.removeprefix(PREFIX) for name in KNOWN]  # compared without what all names share
    nearest = {name: get_close_matches(name.removeprefix(PREFIX), known, n=1) for name in names}
    return [Unknown(name, PREFIX + found[0] if found else None) for name, found in nearest.items()]


def warn_of_unknown(env: Mapping[str, str], warn: Callable[..., None]) -> None:
    """One line of the log for each. Not an error: the prefix is an ordinary word, and another program may use it too."""
    for found in unknown(env):
        warn("not a setting", extra={"setting": found.name, "nearest": found.nearest})

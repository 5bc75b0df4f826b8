"""The function's settings: read once from the environment, checked, frozen."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, TypeVar

from functions.common import VERSION
from functions.common.auth import AuthSettings
from functions.common.failures import METRICS_NAMESPACE
from functions.common.quotas import Quotas
from functions.common.records import SQS_MAX_DELAY_S
from functions.common.variables import current, required

KIB: Final = 1024
_Number = TypeVar("_Number", int, float)


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in UTF-8 bytes (docs/api.md, "Sending a message").

    An answer is one DynamoDB item of at most 400 KB, its reasoning included: past `answer_bytes` it is truncated. A prompt above
    `unasked_bytes` (some 8,000 tokens, about a cent) goes to the model only once the user's quotas have been asked.
    """

    message_bytes: int = 200 * KIB
    new_bytes: int = 900 * KIB
    body_bytes: int = 4 * KIB * KIB
    messages: int = 500
    answer_bytes: int = 350 * KIB
    body_timeout_s: float = 20.0
    unasked_bytes: int = 32 * KIB


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds.

    `checkpoint_s` keeps a turn of 30 s within 32 writes to the `turns` table: 27 of them, the claim, the quota's two, the seal.
    `reserve_s` is what is kept back from the deadline for saving the answer; `settle_delay_s` is how long after its start a turn
    is settled from its checkpoints, at most 900 (the longest a function lives, and the longest SQS delays).
    """

    checkpoint_s: float = 1.1
    keepalive_s: float = 10.0
    first_token_s: float = 90.0
    stall_s: float = 30.0
    turn_s: float = 900.0
    reserve_s: float = 15.0
    save_s: float = 12.0
    receipt_wait_s: float = 10.0
    settle_delay_s: int = 900


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """The provider: any OpenAI-compatible base URL. The key is given, or lies in Secrets Manager under `key_secret`."""

    base_url: str
    api_key: str | None
    key_secret: str | None
    default: str
    offered: tuple[str, ...]
    think: frozenset[str] = frozenset()  # those that write their reasoning into the text, between tags; "*": all


@dataclass(frozen=True, slots=True)
class Settings:
    turns_table: str
    queue_url: str
    model: ModelSettings
    auth: AuthSettings
    limits: Limits = field(default_factory=Limits)
    timing: Timing = field(default_factory=Timing)
    quotas: Quotas = field(default_factory=Quotas)
    in_lambda: bool = False
    client_id: str | None = None
    logout_url: str | None = None
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    metrics_namespace: str = METRICS_NAMESPACE
    version: str = VERSION

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Settings":
        """Raises ValueError with a sentence that names the variable at fault."""
        env = current(env)
        auth = AuthSettings.from_env(env)
        timing = Timing(**_numbers(env, Timing, prefix="CHAT_"))
        if timing.settle_delay_s > SQS_MAX_DELAY_S:
            raise ValueError(f"CHAT_SETTLE_DELAY_S is {timing.settle_delay_s}, and SQS delays {SQS_MAX_DELAY_S} s at most")
        return cls(
            turns_table=required(env, "CHAT_TURNS_TABLE"),
            queue_url=required(env, "CHAT_QUEUE_URL"),
            model=_model(env),
            auth=auth,
            limits=Limits(**_numbers(env, Limits, prefix="CHAT_MAX_")),
            timing=timing,
            quotas=Quotas.from_env(env),
            in_lambda="AWS_LAMBDA_FUNCTION_NAME" in env,
            client_id=env.get("OIDC_CLIENT_ID") or auth.audience,
            logout_url=_logout_url(env),
            scopes=tuple((env.get("OIDC_SCOPES") or "openid profile email").split()),
            metrics_namespace=env.get("POWERTOOLS_METRICS_NAMESPACE") or METRICS_NAMESPACE,
            version=VERSION,
        )


def _logout_url(env: Mapping[str, str]) -> str | None:
    """Where a browser ends its session at an issuer that does not follow OpenID Connect here: Cognito's `/logout`."""
    url = env.get("OIDC_LOGOUT_URL") or None
    if url and not url.startswith(("https://", "http://127.0.0.1", "http://localhost")):
        raise ValueError(f"OIDC_LOGOUT_URL is {url!r}, which is no https URL")
    return url


def _model(env: Mapping[str, str]) -> ModelSettings:
    key, secret = env.get("OPENAI_API_KEY", "").strip() or None, env.get("CHAT_MODEL_KEY_SECRET") or None
    if key is None and secret is None:
        raise ValueError("set OPENAI_API_KEY, or CHAT_MODEL_KEY_SECRET to the name of the secret that holds the provider's key")
    if key is not None and not fits_a_header(key):
        raise ValueError("OPENAI_API_KEY has a character that no HTTP header may hold: a key is ASCII, without spaces")
    default = env.get("DEFAULT_MODEL") or "gpt-5-mini"
    offered = tuple(name.strip() for name in env.get("MODELS", "").split(",") if name.strip()) or (default,)
    if default not in offered:
        raise ValueError(f"DEFAULT_MODEL is {default!r}, which MODELS does not list")
    base_url = env.get("OPENAI_BASE_URL") or "https://api.openai.com/v1"
    if not base_url.startswith(("https://", "http://")):
        raise ValueError(f"OPENAI_BASE_URL is {base_url!r}, which is no http or https URL")
    if "?" in base_url:
        raise ValueError("OPENAI_BASE_URL has a query, and the path of the completions is put behind it: leave the query out")
    think = frozenset(name.strip() for name in env.get("CHAT_THINK_MODELS", "").split(",") if name.strip())
    return ModelSettings(base_url, key, secret, default, offered, think)


def fits_a_header(key: str) -> bool:
    """Whether a key can be sent at all."""
    return key.isascii() and key.isprintable() and " " not in key


def _numbers(env: Mapping[str, str], kind: type[Limits] | type[Timing], prefix: str) -> dict[str, Any]:
    """The fields of `kind` that the environment sets, each named `prefix` and its name in capitals: CHAT_STALL_S."""
    given: dict[str, Any] = {}
    for spec in fields(kind):
        name = prefix + spec.name.upper()
        if text := env.get(name):
            given[spec.name] = _positive(name, text, int if spec.type is int else float)
    return given


def _positive(name: str, text: str, parse: Callable[[str], _Number]) -> _Number:
    try:
        number = parse(text)
    except ValueError:
        raise ValueError(f"{name} is {text!r}, which is not a number") from None
    if not 0 < number < 2**31:
        raise ValueError(f"{name} must be above 0")
    return number

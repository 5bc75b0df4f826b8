"""The stack's settings: CDK context, checked, typed, with their defaults. docs/operations.md lists them from here.

cdk deploy -c stage=prod -c defaultModel=gpt-5 -c alarmEmail=ops@example.com
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Final
from urllib.parse import urlsplit

from functions.common.quotas import Quotas
from infra.edge_rules import INVOCATION_BYTES, READ_TIMEOUT_S
from infra.resources import FUNCTION_S

# What CloudWatch Logs offers, by CDK's names.
LOG_DAYS: Final = {
    1: "ONE_DAY", 3: "THREE_DAYS", 5: "FIVE_DAYS", 7: "ONE_WEEK", 14: "TWO_WEEKS", 30: "ONE_MONTH", 60: "TWO_MONTHS",
    90: "THREE_MONTHS", 180: "SIX_MONTHS", 365: "ONE_YEAR", 731: "TWO_YEARS", 1827: "FIVE_YEARS", 3653: "TEN_YEARS",
}  # fmt: skip
PRICE_CLASSES: Final = ("100", "200", "All")
# An invocation holds the body, in base64 at worst, and JSON around it: 20 KB of headers, which escapes can double.
MOST_BODY_BYTES: Final = (INVOCATION_BYTES - 64 * 1024) // 4 * 3
_STAGE: Final = re.compile(r"[a-z][a-z0-9]{0,15}")
_HOST: Final = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}")


class ConfigError(ValueError):
    """The context is not right; the text says which key, and what to do."""


def _setting(about: str, default: Any = MISSING) -> Any:
    return field(default=default, metadata={"about": about})


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One deployment. Every field is a context key, in camelCase; `about` is its line in the documentation."""

    stage: str = _setting("the stack is called `chat-<stage>`; two stages can live in one account", "prod")
    ephemeral: bool = _setting("leave nothing behind when the stack is destroyed, tables and users included", False)
    region: str | None = _setting("where to deploy; by default the region of the AWS profile", None)
    site: bool = _setting("serve the web client from S3", True)

    oidc_issuer: str | None = _setting("your own sign-in: the issuer's URL; without it the stack makes a Cognito user pool", None)
    oidc_audience: str | None = _setting("… and the audience its access tokens carry", None)
    oidc_client_id: str | None = _setting("… and the web client's id there, when it is not the audience", None)
    oidc_logout_url: str | None = _setting(
        "… and the page that ends a session there, where it takes `client_id` and `logout_uri` in the query, as Cognito's does",
        None,
    )
    workspaces_claim: str | None = _setting(
        "the claim that lists a user's workspaces; `workspaces`, with Cognito `cognito:groups`", None
    )
    require_mfa: bool = _setting("every user of the stack's pool signs in with an authenticator app, too", False)
    sign_in_origins: tuple[str, ...] = _setting("further origins the browser calls to sign in (for the CSP), comma-separated", ())

    model_base_url: str = _setting("the provider: any OpenAI-compatible API", "https://api.openai.com/v1")
    default_model: str = _setting("the model used when a request names none", "gpt-5-mini")
    models: tuple[str, ...] = _setting("the models on offer, comma-separated; by default only the default one", ())
    think_models: tuple[str, ...] = _setting(
        "the models that write their reasoning into the answer, between tags such as `<think>`; `*` is all", ()
    )
    model_key_secret: str | None = _setting(
        "the name of an existing secret that holds the provider's key; by default the stack makes one", None
    )

    model_key_revision: str = _setting("any text; a new one makes every instance of `chat_stream` fetch the key anew", "1")
    conversations_table: str | None = _setting(
        "an existing table of conversations, in place of the stack's: after a restore, or of a stack that was destroyed", None
    )
    turns_table: str | None = _setting("an existing table of turns, in place of the stack's", None)
    queue_arn: str | None = _setting("an existing queue, in place of the stack's: what is left in it is stored", None)
    dead_letter_queue_arn: str | None = _setting("… and its dead-letter queue", None)
    user_pool_id: str | None = _setting("an existing Cognito user pool, in place of the stack's: its users keep theirs", None)

    max_message_bytes: int = _setting("one message", 200 * 1024)
    max_new_bytes: int = _setting("the new messages of a turn", 900 * 1024)
    max_body_bytes: int = _setting("a request", 4 * 1024 * 1024)
    max_messages: int = _setting("messages in a request", 500)
    max_answer_bytes: int = _setting("an answer, reasoning included; past it the answer is truncated", 350 * 1024)

    max_unasked_bytes: int = _setting("a prompt above this asks for the user's quota before it goes to the provider", 32 * 1024)

    first_token_s: float = _setting("seconds until the model's first token, or first word of reasoning; then `model_timeout`", 90)
    stall_s: float = _setting("seconds of silence in mid-answer, or of silent reasoning; then `model_stalled`", 30)
    turn_s: float = _setting("seconds of a whole turn, at most the 900 that a function may run", 900)
    reserve_s: float = _setting("seconds kept back from that for ending and saving the turn", 15)
    save_s: float = _setting("seconds of them to have the answer accepted by the queue; then `not_saved`", 12)
    receipt_wait_s: float = _setting("seconds after the last token until `persistPending`", 10)
    keepalive_s: float = _setting("seconds of silence until a comment is sent; CloudFront gives up at 60", 10)
    checkpoint_s: float = _setting("seconds between two checkpoints, which is what a killed worker may lose", 1.1)
    body_timeout_s: float = _setting("seconds until a request's body must be there", 20)

    quota_streams: int = _setting("answers at once, per user; 0 is no limit", Quotas().streams)
    quota_turns_per_minute: int = _setting("turns a minute, per user; 0 is no limit", Quotas().turns_per_minute)
    quota_tokens_per_day: int = _setting("tokens a day (UTC), read and written, per user; 0 is no limit", Quotas().tokens_per_day)

    architecture: str = _setting("arm64, or x86_64", "arm64")
    chat_memory_mb: int = _setting("memory of `chat_stream`, and CPU with it", 1024)
    chat_concurrency: int | None = _setting(
        "reserved concurrency of `chat_stream`: as many streams at once, no more and no fewer", None
    )
    persist_concurrency: int = _setting("how many `persist` functions the queue runs at once", 20)
    snap_start: bool = _setting("start `chat_stream` from a snapshot; costs a little while idle", True)
    adapter_version: int = _setting("the Lambda Web Adapter's layer version", 30)

    domain_name: str | None = _setting("a domain of your own for the endpoint", None)
    certificate_arn: str | None = _setting("… and its certificate, which must lie in us-east-1", None)
    price_class: str = _setting("CloudFront's price class: 100, 200 or All", "100")
    waf_rate_limit: int | None = _setting("requests per address in 5 minutes, enforced by a WAF; needs region us-east-1", None)
    web_acl_arn: str | None = _setting("… or a web ACL of your own, made in us-east-1", None)

    log_days: int = _setting("how long logs are kept", 30)
    alarm_email: str | None = _setting("whom alarms write to; without it they only show", None)
    alarm_ttft_ms: int = _setting("alarm when the 95th percentile of the time to the first token is above this", 3000)
    alarm_failed_turns_percent: int = _setting(
        "alarm when more than this share of the turns of 15 minutes failed, and at least two did", 20
    )
    alarm_tokens_per_hour: int = _setting("alarm when the models read and write more tokens than this", 2_000_000)
    monthly_budget_usd: int | None = _setting("write to `alarmEmail` when AWS's bill of the month is forecast above this", None)

    def __post_init__(self) -> None:
        for check in _CHECKS:
            check(self)

    @property
    def stack_name(self) -> str:
        return f"chat-{self.stage}"

    @property
    def own_provider(self) -> bool:
        return self.oidc_issuer is not None

    @property
    def offered_models(self) -> tuple[str, ...]:
        return self.models or (self.default_model,)

    @classmethod
    def from_context(cls, context: Mapping[str, Any]) -> "Config":
        """Raises ConfigError for a value that cannot be, and for a key that is neither ours nor CDK's."""
        known = {camel(spec.name): spec for spec in fields(cls)}
        if unknown := sorted(key for key in context if key not in known and not _is_of_cdk(key)):
            raise ConfigError(f"there is no setting {', '.join(unknown)}; there are: {', '.join(known)}")
        given = {key: context[key] for key in known if context.get(key) not in (None, "")}
        return cls(**{known[key].name: _parsed(key, value, known[key].type) for key, value in given.items()})


def camel(name: str) -> str:
    """`oidc_issuer` as the context key `oidcIssuer`."""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def _is_of_cdk(key: str) -> bool:
    """CDK's own keys, its cached look-ups included, have a colon or a dash; ours have neither."""
    return ":" in key or "-" in key or key in {"tree", "analytics"}


def _parsed(key: str, value: Any, kind: Any) -> Any:
    parse = _PARSERS[str(kind).removesuffix(" | None").removeprefix("<class '").removesuffix("'>")]
    try:
        return parse(value)
    except ValueError:
        raise ConfigError(f"{key} is {value!r}, which is not {_KINDS[parse]}") from None


def _bool(value: Any) -> bool:
    if str(value).lower() not in {"true", "false"}:
        raise ValueError
    return str(value).lower() == "true"


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not str(value).isascii() or not str(value).isdigit():
        raise ValueError
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not re.fullmatch(r"\d{1,9}(\.\d{1,3})?", str(value)):
        raise ValueError
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str | int):
        raise ValueError  # noqa: TRY004 - one kind of error for all parsers
    return str(value).strip()


def _list(value: Any) -> tuple[str, ...]:
    parts = json.loads(value) if isinstance(value, str) and value.startswith("[") else value
    parts = parts.split(",") if isinstance(parts, str) else parts
    return tuple(str(part).strip() for part in parts if str(part).strip())


_PARSERS: Final[dict[str, Callable[[Any], Any]]] = {
    "bool": _bool,
    "int": _whole,
    "float": _number,
    "str": _text,
    "tuple[str, ...]": _list,
}
_KINDS: Final[dict[Callable[[Any], Any], str]] = {
    _bool: "true or false",
    _whole: "a whole number",
    _number: "a number",
    _text: "a text",
    _list: "a list",
}


def _stage(config: Config) -> None:
    if not _STAGE.fullmatch(config.stage):
        raise ConfigError(f"stage is {config.stage!r}: 1 to 16 small letters and digits, a letter first")


def _sign_in(config: Config) -> None:
    if (config.oidc_issuer is None) != (config.oidc_audience is None):
        missing, given = ("oidcAudience", "oidcIssuer") if config.oidc_issuer else ("oidcIssuer", "oidcAudience")
        raise ConfigError(
            f"{given} is set, but {missing} is not: give both to use your own provider, or neither to get a Cognito user pool"
        )
    if config.oidc_client_id and not config.own_provider:
        raise ConfigError("oidcClientId belongs to a provider of your own: give oidcIssuer and oidcAudience too, or leave it out")
    if config.oidc_logout_url and not config.own_provider:
        raise ConfigError("oidcLogoutUrl belongs to a provider of your own: give oidcIssuer and oidcAudience too, or omit it")
    for key, urls in (
        ("oidcIssuer", (config.oidc_issuer,)),
        ("oidcLogoutUrl", (config.oidc_logout_url,)),
        ("signInOrigins", config.sign_in_origins),
    ):
        for url in urls:
            if url is not None and not _is_https(url):
                raise ConfigError(f"{key} is {url!r}: it must be an https URL")


def _model(config: Config) -> None:
    if not _is_https(config.model_base_url):
        raise ConfigError(f"modelBaseUrl is {config.model_base_url!r}: it must be an https URL")
    if config.default_model not in config.offered_models:
        raise ConfigError(f"defaultModel is {config.default_model!r}, which models does not list")


def _edge(config: Config) -> None:
    if (config.domain_name is None) != (config.certificate_arn is None):
        raise ConfigError("domainName and certificateArn go together: give both, or neither to use CloudFront's own domain")
    if config.domain_name and not _HOST.fullmatch(config.domain_name):
        raise ConfigError(f"domainName is {config.domain_name!r}, which is not a host name")
    for key, arn in (("certificateArn", config.certificate_arn), ("webAclArn", config.web_acl_arn)):
        if arn and not re.fullmatch(r"arn:aws:(acm|wafv2):us-east-1:\d{12}:.+", arn):
            raise ConfigError(f"{key} is {arn!r}: it must be an ARN in us-east-1, where CloudFront looks for it")
    if config.waf_rate_limit is not None and config.region != "us-east-1":
        raise ConfigError(
            "wafRateLimit makes a WAF for CloudFront, which only a stack in us-east-1 can: deploy with -c region=us-east-1, "
            "or make the web ACL yourself and give webAclArn"
        )
    if config.waf_rate_limit is not None and config.web_acl_arn:
        raise ConfigError("wafRateLimit and webAclArn exclude each other: a distribution has one web ACL")
    _one_of("priceClass", config.price_class, PRICE_CLASSES)


def _numbers(config: Config) -> None:
    _between("chatMemoryMb", config.chat_memory_mb, 256, 10_240)
    _between("persistConcurrency", config.persist_concurrency, 2, 1_000)  # SQS: 2 to 1,000
    _between("chatConcurrency", config.chat_concurrency, 1, 100_000)
    _between("adapterVersion", config.adapter_version, 30, 10_000)  # older ones have no snapshot hooks
    _between("wafRateLimit", config.waf_rate_limit, 10, 2_000_000_000)
    _between("maxMessageBytes", config.max_message_bytes, 1, config.max_new_bytes)
    _between("maxNewBytes", config.max_new_bytes, 1, 900 * 1024)  # SQS: a message is at most 1 MiB
    _between("maxBodyBytes", config.max_body_bytes, config.max_new_bytes, MOST_BODY_BYTES)
    _between("maxUnaskedBytes", config.max_unasked_bytes, 1, config.max_body_bytes)
    _between("maxMessages", config.max_messages, 1, 10_000)
    _between("maxAnswerBytes", config.max_answer_bytes, 1024, 350 * 1024)  # DynamoDB: an item is at most 400 KB
    for quota in ("quota_streams", "quota_turns_per_minute", "quota_tokens_per_day"):
        _between(camel(quota), getattr(config, quota), 0, 10**15)  # as far as a number in DynamoDB and in JSON is exact
    _between("alarmTtftMs", config.alarm_ttft_ms, 1, 900_000)
    _between("alarmFailedTurnsPercent", config.alarm_failed_turns_percent, 0, 99)
    _between("alarmTokensPerHour", config.alarm_tokens_per_hour, 1, 10**12)
    _between("monthlyBudgetUsd", config.monthly_budget_usd, 1, 10**9)
    _one_of("architecture", config.architecture, ("arm64", "x86_64"))
    _one_of("logDays", config.log_days, tuple(LOG_DAYS))


def _times(config: Config) -> None:
    """Each within what holds it: the function's life, the turn's, CloudFront's patience."""
    _between("turnS", config.turn_s, 60, FUNCTION_S)
    _between("reserveS", config.reserve_s, 5, 30)
    _between("saveS", config.save_s, 1, config.reserve_s)
    for key, value in (("firstTokenS", config.first_token_s), ("stallS", config.stall_s)):
        _between(key, value, 1, config.turn_s - config.reserve_s)
    _between("receiptWaitS", config.receipt_wait_s, 1, 60)
    _between("keepaliveS", config.keepalive_s, 1, READ_TIMEOUT_S // 2)
    _between("checkpointS", config.checkpoint_s, 0.5, 10)
    _between("bodyTimeoutS", config.body_timeout_s, 1, 60)


def _existing(config: Config) -> None:
    if (config.queue_arn is None) != (config.dead_letter_queue_arn is None):
        raise ConfigError("queueArn and deadLetterQueueArn go together: give both, or neither to have the stack make them")
    for key, arn in (("queueArn", config.queue_arn), ("deadLetterQueueArn", config.dead_letter_queue_arn)):
        if arn and not re.fullmatch(r"arn:aws:sqs:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,80}", arn):
            raise ConfigError(f"{key} is {arn!r}, which is not the ARN of a queue")
    if config.require_mfa and (config.own_provider or config.user_pool_id):
        raise ConfigError("requireMfa is for the pool that the stack makes; for one of your own, set it there")
    if config.user_pool_id is not None:
        if config.own_provider:
            raise ConfigError(
                "userPoolId and oidcIssuer exclude each other: sign-in is by a Cognito user pool or by your own provider"
            )
        if not re.fullmatch(r"[a-z0-9-]+_[A-Za-z0-9]+", config.user_pool_id):
            raise ConfigError(
                f"userPoolId is {config.user_pool_id!r}, which is not the id of a user pool (eu-central-1_AbCdEf123)"
            )
        if config.region and not config.user_pool_id.startswith(f"{config.region}_"):
            raise ConfigError(f"userPoolId is {config.user_pool_id!r}, which lies in another region than {config.region}")


def _alarms(config: Config) -> None:
    if config.alarm_email is not None and not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", config.alarm_email):
        raise ConfigError(f"alarmEmail is {config.alarm_email!r}, which is not an e-mail address")
    if config.monthly_budget_usd is not None and config.alarm_email is None:
        raise ConfigError("monthlyBudgetUsd needs alarmEmail: a budget that tells nobody is none")


def _between(key: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        raise ConfigError(f"{key} is {value:.15g}: it must be between {low:.15g} and {high:.15g}")


def _one_of(key: str, value: object, allowed: tuple[object, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{key} is {value}: it must be one of {', '.join(map(str, allowed))}")


def _is_https(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" and bool(parts.hostname) and not parts.query and not parts.fragment


_CHECKS: Final = (_stage, _sign_in, _model, _edge, _numbers, _times, _existing, _alarms)

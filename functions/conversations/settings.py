"""The function's settings: read once from the environment, checked, frozen."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from functions.common.auth import AuthSettings
from functions.common.failures import METRICS_NAMESPACE
from functions.common.quotas import Quotas
from functions.common.variables import current, required


@dataclass(frozen=True, slots=True)
class Settings:
    """`authorization_header` is where the token lies: behind CloudFront the signature has taken `authorization` itself.

    `quotas` are those `chat_stream` enforces: both functions get the same CHAT_QUOTA_ variables.
    """

    conversations_table: str
    turns_table: str
    auth: AuthSettings
    authorization_header: str = "authorization"
    quotas: Quotas = field(default_factory=Quotas)
    metrics_namespace: str = METRICS_NAMESPACE

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Settings":
        """Raises ValueError with a sentence that names the variable at fault."""
        env = current(env)
        return cls(
            conversations_table=required(env, "CHAT_CONVERSATIONS_TABLE"),
            turns_table=required(env, "CHAT_TURNS_TABLE"),
            auth=AuthSettings.from_env(env),
            authorization_header=(env.get("CHAT_AUTHORIZATION_HEADER") or "authorization").lower(),
            quotas=Quotas.from_env(env),
            metrics_namespace=env.get("POWERTOOLS_METRICS_NAMESPACE") or METRICS_NAMESPACE,
        )

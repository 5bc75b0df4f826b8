"""The environment each process of the local run gets: the user's own, without any way to a real AWS account."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from functions.chat_stream.settings import Settings as ChatSettings
from functions.common.variables import current, unknown
from infra.edge_rules import AUTHORIZATION_HEADER
from infra.resources import CONVERSATIONS, PERSIST, SETTLE_DELAY_S, TURNS
from local.model.pace import Pace
from local.model.wire import REASONING_MODEL

ACCOUNT: Final = "123456789012"  # nobody's: the one in AWS's examples
REGION: Final = "eu-central-1"
LOOPBACK: Final = "127.0.0.1"
MODEL: Final = "demo"


class Unusable(Exception):
    """The local run cannot start as it is set up; the text is one sentence for the user."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user chose. `provider` says that a real provider answers, not the embedded model."""

    host: str
    port: int
    chat_workers: int
    visibility_timeout_s: int
    grace_s: float
    provider: bool
    strict_edge: bool = False
    issuer: str | None = None
    json_output: bool = False

    @classmethod
    def from_env(cls, env: Mapping[str, str], json_output: bool = False) -> "Settings":
        """Raises Unusable."""
        env = current(env)
        host = env.get("HOST") or LOOPBACK
        if not env.get("OIDC_ISSUER") and host not in {LOOPBACK, "localhost", "::1"}:
            raise Unusable(f"HOST={host} would let strangers in: set OIDC_ISSUER and OIDC_AUDIENCE, or leave HOST alone.")
        if bool(env.get("OIDC_ISSUER")) != bool(env.get("OIDC_AUDIENCE")):
            raise Unusable("OIDC_ISSUER and OIDC_AUDIENCE go together: set both, or neither to run without sign-in.")
        provider = bool(env.get("OPENAI_API_KEY") or env.get("OPENAI_BASE_URL"))
        _check_what_starts(env, provider)
        return cls(
            host=host,
            port=_number(env, "PORT", 8000, 0, 65535),
            chat_workers=_number(env, "CHAT_WORKERS", 1, 1, 16),
            visibility_timeout_s=_number(env, "CHAT_VISIBILITY_TIMEOUT_S", 10, 0, 43200),
            grace_s=_number(env, "CHAT_GRACE_S", 10, 0, 900),
            provider=provider,
            strict_edge=bool(_number(env, "CHAT_STRICT_EDGE", 0, 0, 1)),
            issuer=env.get("OIDC_ISSUER") or None,
            json_output=json_output,
        )


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the processes listen, chosen before any of them starts, so that they can all start at once."""

    aws: int
    model: int
    conversations: int
    chat: tuple[int, ...]

    @classmethod
    def free(cls, chat_workers: int) -> "Ports":
        """Free ports of loopback, held together while choosing so that no two are the same."""
        sockets = [socket.create_server((LOOPBACK, 0)) for _ in range(3 + chat_workers)]
        aws, model, conversations, *chat = [one.getsockname()[1] for one in sockets]
        for one in sockets:
            one.close()
        return cls(aws, model, conversations, tuple(chat))


def endpoint(port: int) -> str:
    return f"http://{LOOPBACK}:{port}"


def queue_url(endpoint_url: str) -> str:
    return f"{endpoint_url}/{ACCOUNT}/{PERSIST.name}"


def aws_environment(endpoint_url: str) -> dict[str, str]:
    """Makes every AWS SDK talk to the embedded AWS and to nothing else."""
    return {
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def base(env: Mapping[str, str], ports: Ports) -> dict[str, str]:
    """What all processes share: the user's environment, the embedded AWS in place of any real one."""
    env = current(env)
    dropped = {found.name for found in unknown(env)}  # the local run itself names those
    kept = {name: value for name, value in env.items() if not name.startswith("AWS_") and name not in dropped}
    # A proxy is for the way to a real provider, not for the way to the next process.
    no_proxy = ",".join(filter(None, [env.get("NO_PROXY") or env.get("no_proxy"), LOOPBACK, "localhost"]))
    return {
        **kept,
        **aws_environment(endpoint(ports.aws)),
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
        "PYTHONUNBUFFERED": "1",
        "HOST": LOOPBACK,
        "CHAT_CONVERSATIONS_TABLE": CONVERSATIONS.name,
        "CHAT_TURNS_TABLE": TURNS.name,
        "CHAT_QUEUE_URL": queue_url(endpoint(ports.aws)),
        "CHAT_SETTLE_DELAY_S": env.get("CHAT_SETTLE_DELAY_S") or str(SETTLE_DELAY_S),
        "POWERTOOLS_TRACE_DISABLED": "true",
    }


def conversations_environment(strict_edge: bool) -> dict[str, str]:
    """Where the token is: behind a strict front CloudFront's signature stands in its place."""
    return {"CHAT_AUTHORIZATION_HEADER": AUTHORIZATION_HEADER} if strict_edge else {}


def model_environment(env: Mapping[str, str], ports: Ports, provider: bool) -> dict[str, str]:
    """Where the model is: the user's provider, or the embedded one."""
    if provider:
        return {"OPENAI_API_KEY": env.get("OPENAI_API_KEY") or "none"}
    chosen = env.get("MODELS") or env.get("DEFAULT_MODEL")
    return {
        "OPENAI_BASE_URL": f"{endpoint(ports.model)}/v1",
        "OPENAI_API_KEY": "local",
        "DEFAULT_MODEL": env.get("DEFAULT_MODEL") or (env.get("MODELS") or MODEL).split(",")[0].strip(),
        **({} if chosen else {"MODELS": f"{MODEL},{REASONING_MODEL}"}),
    }


def _check_what_starts(env: Mapping[str, str], provider: bool) -> None:
    """Reads the settings of the processes as they will, before any of them is started; raises Unusable."""
    nowhere = Ports(aws=0, model=0, conversations=0, chat=())
    try:
        Pace.from_env(env)
        ChatSettings.from_env({**base(env, nowhere), **model_environment(env, nowhere, provider)})
    except ValueError as error:
        raise Unusable(f"{error}.") from None


def _number(env: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = env.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise Unusable(f"{name}={text} is not a number from {least} to {most}.")
    return int(text)

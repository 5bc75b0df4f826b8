"""The contenders: each a process of its own on the relay's core, in front of the same upstream, asked for the same answer."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from bench.load import Target, control
from bench.processes import Process, free_port, other_core, relay_core
from infra.resources import CONVERSATIONS, TURNS
from local.environment import aws_environment, queue_url
from tests.oidc import OidcProvider

MODEL = "bench-model"
_MANY = "1000000000"


@dataclass(frozen=True, slots=True)
class Contender:
    """A relay that runs, and how to ask it."""

    name: str
    process: Process
    target: Target


@dataclass(frozen=True, slots=True)
class Stage:
    """What all contenders share: the upstream, an AWS that is quick and one that is slow, who signs the tokens."""

    upstream: Process
    aws: Process
    slow_aws: Process
    issuer: OidcProvider
    aws_s: float
    slow_aws_s: float

    @property
    def direct(self) -> Target:
        """The upstream, asked without a relay."""
        return Target(self.upstream.port, "/v1/chat/completions", more={"model": MODEL, "stream": True})

    async def pace(self, ttft_s: float, delay_s: float, tokens: int) -> None:
        """How the upstream answers from here on."""
        await control(self.upstream.port, "/control", {"ttft_s": ttft_s, "delay_s": delay_s, "tokens": tokens})

    def environment(self, aws: Process) -> dict[str, str]:
        """For a relay: the machine's own environment without any way to a real account or provider."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "OPENAI_", "OIDC_"))}
        tables = {
            "CHAT_CONVERSATIONS_TABLE": CONVERSATIONS.name,
            "CHAT_TURNS_TABLE": TURNS.name,
            "CHAT_QUEUE_URL": queue_url(aws.url),
        }
        return kept | aws_environment(aws.url) | tables | {"UPSTREAM": f"{self.upstream.url}/v1", "NO_PROXY": "127.0.0.1"}

    def product_environment(self, aws: Process) -> dict[str, str]:
        """The whole product: sign-in on, quotas on but out of the way."""
        quotas = dict.fromkeys(("CHAT_QUOTA_STREAMS", "CHAT_QUOTA_TURNS_PER_MINUTE", "CHAT_QUOTA_TOKENS_PER_DAY"), _MANY)
        model = {"OPENAI_BASE_URL": f"{self.upstream.url}/v1", "OPENAI_API_KEY": "none", "DEFAULT_MODEL": MODEL}
        signed = {"OIDC_ISSUER": self.issuer.issuer, "OIDC_AUDIENCE": self.issuer.audience}
        return self.environment(aws) | quotas | model | signed | {"POWERTOOLS_TRACE_DISABLED": "true"}

    def product_target(self, port: int) -> Target:
        token = self.issuer.token("alice", exp=2**31)
        return Target(port, headers={"authorization": f"Bearer {token}"})


@contextmanager
def stage(aws_s: float, slow_aws_s: float) -> Iterator[Stage]:
    """The stage, set; `aws_s` is what a call of the quick AWS takes, `slow_aws_s` one of the slow."""
    import asyncio

    with ExitStack() as stack:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}

        def start(module: str, name: str) -> Process:
            return stack.enter_context(Process.module(f"bench.servers.{module}", clean, other_core(), name))

        upstream, aws, slow_aws = start("upstream", "upstream"), start("aws", "aws"), start("aws", "slow-aws")
        made = Stage(upstream, aws, slow_aws, stack.enter_context(OidcProvider()), aws_s, slow_aws_s)
        asyncio.run(control(made.aws.port, "/control", {"delay_s": aws_s}))
        asyncio.run(control(made.slow_aws.port, "/control", {"delay_s": slow_aws_s}))
        yield made


def in_turn(contenders: Sequence[Contender], number: int) -> list[Contender]:
    """The order of a round: each goes there and back, and each two begin with another one."""
    first = number // 2 % len(contenders)
    order = [*contenders[first:], *contenders[:first]]
    return order[::-1] if number % 2 else order


def product(on: Stage, aws: Process, name: str = "product") -> Contender:
    """The streaming function as `make run` and Lambda start it."""
    port = free_port()
    env = on.product_environment(aws) | {"HOST": "127.0.0.1", "PORT": str(port)}
    process = Process(name, [sys.executable, "-m", "functions.chat_stream"], env, relay_core(), port)
    return Contender(name, process, on.product_target(port))


def relay(on: Stage, module: str) -> Contender:
    """One of bench/relays."""
    process = Process.module(f"bench.relays.{module}", on.environment(on.aws), relay_core())
    return Contender(module, process, Target(process.port))

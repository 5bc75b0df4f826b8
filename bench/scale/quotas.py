"""AWS's default quotas in us-east-1 for the services in a message's path, each with its page and what can be done about it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Self

_LAMBDA: Final = "https://docs.aws.amazon.com/lambda/latest/dg/"
_SQS: Final = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html"
_DYNAMODB: Final = "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/"
_EDGE: Final = "https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html"
_SECRETS: Final = "https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html"
AS_OF: Final = "2026-11-24"
UNLIMITED: Final = 10**12


@dataclass(frozen=True, slots=True)
class Quota:
    """`value` in `unit`, and what lifts it. `read` is false where the page itself could not be read on that date."""

    name: str
    value: int
    unit: str
    source: str
    remedy: str
    read: bool = True


def _warm(table: str, what: str, units: int, of: str = "") -> Quota:
    remedy = f"pre-warm it: `aws dynamodb update-table --warm-throughput` on `{table}`{of}"
    page = f"{_DYNAMODB}on-demand-capacity-mode.html"
    return Quota(f"`{table}`{of}: {what} of a new on-demand table", units, f"{what[:-1]} units/s", page, remedy)


def _table(table: str, what: str, of: str = "") -> Quota:
    remedy = f"Service Quotas: table-level {what[:-1]} throughput"
    return Quota(
        f"`{table}`{of}: {what} of one table, by default",
        40_000,
        f"{what[:-1]} units/s",
        f"{_DYNAMODB}ServiceQuotas.html",
        remedy,
    )


_DEFAULTS: Final[Mapping[str, Quota]] = {
    "account": Quota(
        "Lambda: executions at once in a region",
        1_000,
        "executions",
        f"{_LAMBDA}gettingstarted-limits.html",
        "Service Quotas: Lambda, concurrent executions (a new account begins lower); then `chatConcurrency`, so that streams "
        "cannot starve `persist`",
    ),
    "growth": Quota(
        "Lambda: new environments of one function in 10 s",
        1_000,
        "environments",
        f"{_LAMBDA}scaling-behavior.html",
        "cannot be raised: let the load rise more slowly, or keep environments provisioned",
    ),
    "persist": Quota(
        "the stack: `persist` functions at once",
        0,  # `of` fills it in from the stack's own setting
        "functions",
        "infra/config.py, `persistConcurrency`",
        "`-c persistConcurrency=…`, at most 1,000",
    ),
    "pollers": Quota(
        "Lambda: more pollers of one queue in a minute",
        300,
        "pollers",
        f"{_LAMBDA}services-sqs-scaling.html",
        "provisioned mode of the event source: 1,000 in a minute",
    ),
    "pollers_most": Quota(
        "Lambda: pollers of one queue",
        1_250,
        "pollers",
        f"{_LAMBDA}services-sqs-scaling.html",
        "provisioned mode of the event source: 20,000",
    ),
    "in_flight": Quota(
        "SQS: messages in flight", 120_000, "messages", _SQS, "a request to AWS Support; first mend what makes records fail"
    ),
    "turns_write_warm": _warm("turns", "writes", 4_000),
    "turns_write": _table("turns", "writes"),
    "turns_read_warm": _warm("turns", "reads", 12_000),
    "turns_read": _table("turns", "reads"),
    "conversations_write_warm": _warm("conversations", "writes", 4_000),
    "conversations_write": _table("conversations", "writes"),
    "index_write_warm": _warm("conversations", "writes", 4_000, of=" (its index)"),
    "index_write": _table("conversations", "writes", of=" (its index)"),
    "index_partition": Quota(
        "`conversations`: writes of one key of the index (the largest workspace)",
        1_000,
        "write units/s",
        f"{_DYNAMODB}warm-throughput-scenarios.html",
        "cannot be raised: split the workspace",
    ),
    "edge_requests": Quota("CloudFront: requests of one distribution", 250_000, "requests/s", _EDGE, "Service Quotas"),
    "edge_traffic": Quota("CloudFront: traffic of one distribution", 150_000, "Mbit/s", _EDGE, "Service Quotas"),
    "stream": Quota(
        "Lambda: one streamed response above 6 MB",
        2_000,
        "kB/s",
        f"{_LAMBDA}configuration-response-streaming.html",
        "cannot be raised",
    ),
    "secret_calls": Quota("Secrets Manager: GetSecretValue", 10_000, "calls/s", _SECRETS, "cannot be raised", read=False),
}


@dataclass(frozen=True, slots=True)
class Quotas:
    """All that the simulation knows of, by their keys."""

    by_key: Mapping[str, Quota]

    @classmethod
    def of(cls, persist_concurrency: int) -> Self:
        """AWS's defaults, and the stack's own setting."""
        return cls(_DEFAULTS).raised("persist", persist_concurrency)

    @classmethod
    def unlimited(cls) -> Self:
        """None of them binds: what would be needed shows."""
        return cls({key: replace(quota, value=UNLIMITED) for key, quota in _DEFAULTS.items()})

    def __getitem__(self, key: str) -> Quota:
        return self.by_key[key]

    def items(self) -> Iterable[tuple[str, Quota]]:
        return self.by_key.items()

    def value(self, key: str) -> int:
        return self.by_key[key].value

    def raised(self, key: str, value: int) -> Self:
        return type(self)({**self.by_key, key: replace(self.by_key[key], value=value)})


POLLERS_AT_FIRST: Final = 5  # "five concurrent invocations" (services-sqs-scaling.html)
GROWTH_WINDOW_S: Final = 10

"""AWS's default quotas in us-east-1 for the services in a message's path, each with its page and what can be done about it."""

from dataclasses import dataclass, fields, replace
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotas:
    """All that the simulation knows of. The field's name is the quota's key."""

    account: Quota = Quota(
        "Lambda: executions at once in a region",
        1_000,
        "executions",
        f"{_LAMBDA}gettingstarted-limits.html",
        "Service Quotas: Lambda, concurrent executions (a new account begins lower); then `chatConcurrency`, so that streams "
        "cannot starve `persist`",
    )
    growth: Quota = Quota(
        "Lambda: new environments of one function in 10 s",
        1_000,
        "environments",
        f"{_LAMBDA}scaling-behavior.html",
        "cannot be raised: let the load rise more slowly, or keep environments provisioned",
    )
    persist: Quota = Quota(
        "the stack: `persist` functions at once",
        0,  # `of` fills it in from the stack's own setting
        "functions",
        "infra/config.py, `persistConcurrency`",
        "`-c persistConcurrency=…`, at most 1,000",
    )
    pollers: Quota = Quota(
        "Lambda: more pollers of one queue in a minute",
        300,
        "pollers",
        f"{_LAMBDA}services-sqs-scaling.html",
        "provisioned mode of the event source: 1,000 in a minute",
    )
    pollers_most: Quota = Quota(
        "Lambda: pollers of one queue",
        1_250,
        "pollers",
        f"{_LAMBDA}services-sqs-scaling.html",
        "provisioned mode of the event source: 20,000",
    )
    in_flight: Quota = Quota(
        "SQS: messages in flight", 120_000, "messages", _SQS, "a request to AWS Support; first mend what makes records fail"
    )
    turns_write_warm: Quota = _warm("turns", "writes", 4_000)
    turns_write: Quota = _table("turns", "writes")
    turns_read_warm: Quota = _warm("turns", "reads", 12_000)
    turns_read: Quota = _table("turns", "reads")
    conversations_write_warm: Quota = _warm("conversations", "writes", 4_000)
    conversations_write: Quota = _table("conversations", "writes")
    index_write_warm: Quota = _warm("conversations", "writes", 4_000, of=" (its index)")
    index_write: Quota = _table("conversations", "writes", of=" (its index)")
    index_partition: Quota = Quota(
        "`conversations`: writes of one key of the index (the largest workspace)",
        1_000,
        "write units/s",
        f"{_DYNAMODB}bp-partition-key-design.html",
        "cannot be raised: split the workspace",
    )
    edge_requests: Quota = Quota("CloudFront: requests of one distribution", 250_000, "requests/s", _EDGE, "Service Quotas")
    edge_traffic: Quota = Quota("CloudFront: traffic of one distribution", 150_000, "Mbit/s", _EDGE, "Service Quotas")
    stream: Quota = Quota(
        "Lambda: one streamed response above 6 MB",
        2_000,
        "kB/s",
        f"{_LAMBDA}configuration-response-streaming.html",
        "cannot be raised",
    )
    secret_calls: Quota = Quota("Secrets Manager: GetSecretValue", 10_000, "calls/s", _SECRETS, "cannot be raised", read=False)

    @classmethod
    def of(cls, persist_concurrency: int) -> Self:
        """AWS's defaults, and the stack's own setting."""
        quotas = cls()
        return replace(quotas, persist=replace(quotas.persist, value=persist_concurrency))

    @classmethod
    def unlimited(cls) -> Self:
        """None of them binds: what would be needed shows."""
        quotas = cls()
        return replace(quotas, **{key: replace(quota, value=UNLIMITED) for key, quota in quotas.items()})

    def items(self) -> list[tuple[str, Quota]]:
        return [(spec.name, getattr(self, spec.name)) for spec in fields(self)]

    def value(self, key: str) -> int:
        quota: Quota = getattr(self, key)
        return quota.value

    def raised(self, key: str, value: int) -> Self:
        return replace(self, **{key: replace(getattr(self, key), value=value)})


POLLERS_AT_FIRST: Final = 5  # "five concurrent invocations" (services-sqs-scaling.html)
GROWTH_WINDOW_S: Final = 10

"""Dollars for a thousand turns: the measured work of one, at AWS's list prices, line by line."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Final

from bench.cost import assumptions as given
from bench.cost import prices
from bench.cost.tables import KIB, Usage
from bench.cost.work import TABLES, Work
from infra import resources
from infra.config import Config

TURNS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Load:
    """What depends on how busy the deployment is.

    `records_per_batch`: how many records persist gets at a time. `traced`: the share of invocations X-Ray records; it takes one
    each second and 5 % of the others (https://docs.aws.amazon.com/xray/latest/devguide/xray-console-sampling.html).
    """

    records_per_batch: int
    traced: float


QUIET: Final = Load(records_per_batch=1, traced=1.0)
BUSY: Final = Load(records_per_batch=resources.PERSIST.batch_size, traced=0.05)


def per_thousand(work: Work, config: Config, load: Load = QUIET) -> Mapping[str, float]:
    """USD for 1,000 turns, by service. Free tiers are taken as used up."""
    invocations = 1 + len(work.records) / load.records_per_batch
    lines = {
        "Lambda, chat_stream": _streaming(work, config),
        "Lambda, persist": _persisting(work, config, load),
        "Lambda, streamed bytes": prices.STREAMED_GB * (max(0, work.response_bytes - prices.STREAMED_FREE_BYTES) / prices.GB),
        "SnapStart, restores": prices.SNAPSTART_RESTORE
        * (_gb(config.chat_memory_mb) / given.TURNS_PER_RESTORE if config.snap_start else 0),
        "DynamoDB": sum(_units(work.usage(table)) for table in TABLES),
        "SQS": prices.SQS_REQUEST * queue_requests(work, load),
        "CloudFront": _edge(work),
        "CloudWatch Logs": prices.LOG_GB * (_logged(work, invocations) / prices.GB),
        "X-Ray": prices.TRACE * (invocations * load.traced),
        "Secrets Manager": prices.SECRET_CALL * (1 / given.TURNS_PER_RESTORE),
        "data to the provider": prices.EGRESS_GB * (work.prompt_bytes / prices.GB),
    }
    return {name: TURNS * usd for name, usd in lines.items()}


def total(lines: Mapping[str, float]) -> float:
    return sum(lines.values())


def persist_seconds(calls: int, records: int) -> float:
    """How long one invocation of persist takes."""
    cpu_share = min(1.0, resources.MEMORY_MB / given.MB_PER_CPU)
    return calls * given.DYNAMODB_CALL_S + records * given.PERSIST_CPU_S / cpu_share


def queue_requests(work: Work, load: Load) -> float:
    """SQS requests of one turn, each 64 KB one: the sends, and a receive and a delete for each batch."""
    sent = sum(_chunks(size) for size in work.sends)
    received = sum(
        max(1 / load.records_per_batch, stored.body_bytes / prices.SQS_CHUNK_BYTES)
        if load.records_per_batch > 1
        else _chunks(stored.body_bytes)
        for stored in work.records.values()
    )
    return sent + received + len(work.records) / load.records_per_batch


def _streaming(work: Work, config: Config) -> float:
    seconds = ceil(work.duration_s * 1000) / 1000  # billed by the millisecond
    return prices.LAMBDA_GB_S[config.architecture] * (seconds * _gb(config.chat_memory_mb)) + prices.LAMBDA_REQUEST.usd


def _persisting(work: Work, config: Config, load: Load) -> float:
    if load.records_per_batch == 1:
        seconds = sum(persist_seconds(stored.meter.calls, 1) for stored in work.records.values())
    else:
        batch = persist_seconds(work.batch_calls, load.records_per_batch)
        seconds = batch / load.records_per_batch * len(work.records)
    duration = prices.LAMBDA_GB_S[config.architecture] * (seconds * _gb(resources.MEMORY_MB))
    return duration + prices.LAMBDA_REQUEST * (len(work.records) / load.records_per_batch)


def _units(usage: Usage) -> float:
    return prices.WRITE_UNIT * (usage.write_units + usage.index_write_units) + prices.READ_UNIT * usage.read_units


def _edge(work: Work) -> float:
    out = prices.EDGE_OUT_GB * ((work.response_bytes + given.RESPONSE_OVERHEAD_BYTES) / prices.GB)
    into = prices.EDGE_IN_GB * ((work.request_bytes + given.REQUEST_OVERHEAD_BYTES) / prices.GB)
    return prices.EDGE_REQUEST.usd + prices.EDGE_FUNCTION.usd + out + into


def _logged(work: Work, invocations: float) -> float:
    ours = [work.log, *(stored.log for stored in work.records.values())]
    lines = sum(log.count for log in ours) + invocations * given.PLATFORM_LINES
    return sum(log.size for log in ours) + invocations * given.PLATFORM_BYTES + lines * given.EVENT_BYTES


def _chunks(size: int) -> int:
    return max(1, ceil(size / prices.SQS_CHUNK_BYTES))


def _gb(memory_mb: int) -> float:
    return memory_mb / KIB

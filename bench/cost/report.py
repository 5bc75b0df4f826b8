"""The tables and plots of docs/cost.md."""

from collections.abc import Mapping
from typing import Final

from bench.cost import idle, managed, model, prices
from bench.cost.chart import Axis, Line, chart
from bench.cost.provider import Shape
from bench.cost.work import TABLES, Work, measure
from bench.document import table
from infra.config import Config

LENGTHS: Final = (150, 500, 1450, 4000)  # tokens: 4, 11, 30 and 81 s at 50 a second
MEMORY_MB: Final = (512, 1024, 1769, 3008)
PEAKS: Final = (1, 3, 10, 30)
STREAMS: Final = (16, 32, 64)
FLEETS: Final = (10, 100, 1_000, 10_000)


def tables() -> Mapping[str, str]:
    """By the block of the document."""
    works = [measure(Shape(tokens)) for tokens in LENGTHS]
    return {
        "work": _work(works),
        "per-thousand": _per_thousand(works),
        "memory": _memory(works),
        "idle": _idle(),
        "break-even": _break_even(),
        "fleets": _fleets(),
        "prices": _prices(),
    }


def plots() -> Mapping[str, str]:
    """By the file in docs/img."""
    return {"cost-per-thousand.svg": _plot_per_thousand(), "cost-managed-instances.svg": _plot_managed()}


def _work(works: list[Work]) -> str:
    turns, conversations = [[work.usage(name) for work in works] for name in (TABLES.turns, TABLES.conversations)]
    rows = [
        ["seconds of `chat_stream`", *(f"{work.duration_s:.2f}" for work in works)],
        ["bytes to the reader", *(f"{work.response_bytes:,}" for work in works)],
        ["`turns`, by `chat_stream`: writes", *(f"{work.chat.of(TABLES.turns).writes}" for work in works)],
        ["`turns`, by `chat_stream`: reads", *(f"{work.chat.of(TABLES.turns).reads}" for work in works)],
        ["`turns`: write units", *(f"{usage.write_units}" for usage in turns)],
        ["`turns`: read units", *(f"{usage.read_units:g}" for usage in turns)],
        ["`conversations`: write units, and its index's", *(f"{u.write_units} + {u.index_write_units}" for u in conversations)],
        ["`conversations`: read units", *(f"{usage.read_units:g}" for usage in conversations)],
        ["SQS requests", *(f"{model.queue_requests(work, model.QUIET):g}" for work in works)],
        ["KB through the queue", *(f"{sum(work.sends) / 1000:.1f}" for work in works)],
        ["log lines of our own", *(f"{_lines(work)}" for work in works)],
    ]
    return table(_by_length("one turn"), rows)


def _per_thousand(works: list[Work]) -> str:
    config = Config()
    bills = [model.per_thousand(work, config) for work in works]
    rows = [[name, *(_usd(bill[name]) for bill in bills)] for name in bills[0]]
    rows.append(["**sum**", *(f"**{model.total(bill):.2f}**" for bill in bills)])
    busy = [model.total(model.per_thousand(work, config, model.BUSY)) for work in works]
    rows.append(["sum, when busy", *(f"{usd:.2f}" for usd in busy)])
    return table(_by_length("USD for 1,000 turns"), rows)


def _memory(works: list[Work]) -> str:
    rows = [
        [f"{memory:,} MB", *(f"{model.total(model.per_thousand(work, Config(chat_memory_mb=memory))):.2f}" for work in works)]
        for memory in MEMORY_MB
    ]
    return table(_by_length("USD for 1,000 turns"), rows)


def _idle() -> str:
    cases = [idle.monthly(Config(), free_tier=free) for free in (False, True)]
    rows = [[name, *(_usd(case[name]) for case in cases)] for name in cases[0]]
    rows.append(["**sum**", *(f"**{sum(case.values()):.2f}**" for case in cases)])
    without = [sum(idle.monthly(Config(snap_start=False), free_tier=free).values()) for free in (False, True)]
    rows.append(["sum with `-c snapStart=false`", *(f"{usd:.2f}" for usd in without)])
    return table(["USD a month while nobody chats", "free tiers used up", "free tiers at hand"], rows)


def _break_even() -> str:
    rows = [
        [f"{peak}", *(_streams(managed.break_even(Config(), peak, managed.Fleet(streams=streams))) for streams in STREAMS)]
        for peak in PEAKS
    ]
    pace = Shape(0).tokens_per_s
    budgets = [managed.Fleet(streams=streams).cpu_budget_us(pace) for streams in STREAMS]
    rows.append(["µs of CPU a token may cost", *(f"{budget:,.0f}" for budget in budgets)])
    return table(["peak over mean", *(f"{streams} streams an environment" for streams in STREAMS)], rows)


def _fleets() -> str:
    fleet, config = managed.Fleet(), Config()
    rows = [
        [
            f"{streams:,}",
            f"{managed.on_demand_usd_per_hour(streams, config):.2f}",
            f"{fleet.usd_per_hour(streams):.2f}",
            f"{fleet.instances(streams)}",
        ]
        for streams in FLEETS
    ]
    return table(["streams at once, all the time", "on demand, USD an hour", "Managed Instances, USD an hour", "instances"], rows)


def _prices() -> str:
    rows = [
        [
            f"[{price.name}]({price.source})",
            f"{price.usd:.10f}".rstrip("0").rstrip("."),
            price.unit,
            price.as_of,
            price.read.value,
        ]
        for price in prices.ALL
    ]
    return table(["", "USD", "per", "true on", "read from"], rows)


def _plot_per_thousand() -> str:
    lengths = (50, 150, 300, 500, 1000, 1450, 2500, 4000)
    works = [measure(Shape(tokens)) for tokens in lengths]
    lines = [
        Line(
            f"{memory:,} MB",
            [(w.shape.answer_tokens, model.total(model.per_thousand(w, Config(chat_memory_mb=memory)))) for w in works],
        )
        for memory in reversed(MEMORY_MB)
    ]
    top = max(usd for line in lines for _, usd in line.points)
    return chart(
        "1,000 turns on AWS, by the length of the answer", Axis("tokens in an answer", 0, 4000), Axis("USD", 0, top), lines
    )


def _plot_managed() -> str:
    fleet, config = managed.Fleet(), Config()
    means = [10 ** (step / 20) for step in range(81)]
    lines = [
        Line("on demand", [(mean, managed.on_demand_usd_per_hour(mean, config)) for mean in means]),
        *(
            Line(f"managed, peak {peak}", [(mean, fleet.usd_per_hour(mean, peak)) for mean in means])
            for peak in PEAKS
            if peak in {1, 3, 10}
        ),
    ]
    crossing = managed.break_even(config, 1, fleet)
    return chart(
        "On demand and Managed Instances, by the peak over the average",
        Axis("streams at once, on average", 1, 10_000, log=True),
        Axis("USD an hour", 0.01, 1000, log=True),
        lines,
        [] if crossing is None else [(crossing, f"{crossing:g} streams")],
    )


def _by_length(first: str) -> list[str]:
    return [first, *(f"{tokens:,} tokens" for tokens in LENGTHS)]


def _lines(work: Work) -> int:
    return work.log.count + sum(stored.log.count for stored in work.records.values())


def _usd(usd: float) -> str:
    return "0" if usd == 0 else f"{usd:.4f}" if usd < 0.01 else f"{usd:.3f}" if usd < 1 else f"{usd:.2f}"


def _streams(mean: float | None) -> str:
    return "never" if mean is None else f"{mean:g}"

"""The tables and plots of docs/scale.md: what breaks first at each scale, what that does to people, and what to raise."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil, floor, log10
from typing import Final

from bench.cost.chart import Axis, Line, chart
from bench.cost.provider import Shape
from bench.cost.work import measure
from bench.document import table
from bench.scale.demand import Load, Turn
from bench.scale.quotas import GROWTH_WINDOW_S, Quotas
from bench.scale.simulation import Result, Simulation
from infra.config import Config

SCALES: Final = (10, 1_000, 10_000, 100_000)
SHAPE: Final = Shape(1450)  # 30 s
RESERVED: Final = 900  # of the account's 1,000
_ROOM: Final = 1.25  # what is raised is raised to a quarter more than was needed
_STEPS: Final = 12
_GROWTH: Final = "growth"


@dataclass(frozen=True, slots=True)
class Step:
    """A break on the way up: what broke, when, what was needed, and what was done about it."""

    key: str
    second: int
    had: int
    needed: int
    then: str


@dataclass(frozen=True, slots=True)
class Scale:
    """One scale: what it needs, what happens with the default quotas, and the way to where nothing breaks."""

    load: Load
    quotas: Quotas
    needed: Result
    result: Result
    ladder: list[Step]
    raised: Result
    reserved: Result  # with the default quotas, and a share of them closed to streams


@lru_cache(maxsize=8)
def at(streams: int) -> Scale:
    """The scale, simulated."""
    load, turn, quotas = Load(streams), Turn.of(measure(SHAPE)), Quotas.of(Config().persist_concurrency)
    needed = _needed_by(load, turn)
    result = Simulation(load, turn, quotas).run()
    ladder, raised = _climb(load, turn, quotas, result)
    reserved = Simulation(load, turn, quotas, RESERVED).run()
    return Scale(load, quotas, needed, result, ladder, raised, reserved)


def tables() -> Mapping[str, str]:
    """By the block of the document."""
    scales = [at(streams) for streams in SCALES]
    computed = {"summary": _summary(scales), "quotas": _quotas()}
    for scale in scales:
        computed |= {f"needs-{scale.load.streams}": _needs(scale)}
        if scale.ladder:
            computed |= {f"ladder-{scale.load.streams}": _ladder(scale)}
    return computed


def plots() -> Mapping[str, str]:
    """By the file in docs/img."""
    return {"scale-streams.svg": _plot_streams(), "scale-waiting.svg": _plot_waiting()}


_needs_of: dict[Load, Result] = {}


def _needed_by(load: Load, turn: Turn) -> Result:
    """What the load asks for where nothing binds."""
    if load not in _needs_of:
        _needs_of[load] = Simulation(load, turn, Quotas.unlimited()).run()
    return _needs_of[load]


def _climb(load: Load, turn: Turn, quotas: Quotas, result: Result) -> tuple[list[Step], Result]:
    """Raises what breaks first, runs again, and so on, until nothing breaks."""
    steps: list[Step] = []
    while (key := result.first) is not None:
        if len(steps) == _STEPS:
            raise RuntimeError(f"{key} breaks again and again: raising it does not help")
        needed, had = ceil(_needed_by(load, turn).peak.get(key, 0)), quotas.value(key)
        if key == _GROWTH:
            # The same number of streams, but no faster than Lambda grows.
            load = replace(load, ramp_s=_rounded(_ROOM * GROWTH_WINDOW_S * load.streams / had))
            then = f"a rise of {load.ramp_s:,} s"
        else:
            # A backlog can ask for more than the load itself does.
            quotas = quotas.raised(key, _rounded(_ROOM * (max(had, needed))))
            then = f"{quotas.value(key):,}"
        steps.append(Step(key, result.broke[key], had, needed, then))
        result = Simulation(load, turn, quotas).run()
    return steps, result


def _summary(scales: list[Scale]) -> str:
    rows = [_outcome(scale, f"{scale.load.streams:,}", scale.result) for scale in scales]
    rows.append(_outcome(scales[-1], f"{scales[-1].load.streams:,}, `chatConcurrency={RESERVED}`", scales[-1].reserved))
    head = ["streams", "breaks first", "429", "`persistPending`", "longest wait to be stored", "dead letters", "checkpoints late"]
    return table(head, rows)


def _outcome(scale: Scale, label: str, result: Result) -> list[str]:
    first = result.first
    return [
        label,
        "nothing" if first is None else f"{scale.quotas[first].name}, in second {result.broke[first]:,}",
        _share(result.refused, result.offered),
        _share(result.pending, result.admitted),
        f"{result.longest_wait_s:,} s",
        f"{result.records_dead:,}",
        _share(result.delayed_writes, result.streaming_writes),
    ]


def _needs(scale: Scale) -> str:
    rows = []
    for key, quota in scale.quotas.items():
        needed = scale.needed.peak.get(key, 0)
        broke = scale.result.broke.get(key)
        over = needed > quota.value
        state = "enough" if not over and broke is None else "hidden by an earlier one" if broke is None else f"second {broke:,}"
        rows.append([quota.name, f"{quota.value:,}", f"{_needed(needed)} {quota.unit}", state])
    return table(["quota", "allowed", "needed at the peak", "breaks"], rows)


def _ladder(scale: Scale) -> str:
    rows = [
        [
            _name(scale, step.key),
            f"second {step.second:,}",
            f"{step.needed:,} of {step.had:,}",
            step.then,
            scale.quotas[step.key].remedy,
        ]
        for step in scale.ladder
    ]
    return table(["breaks", "in", "asked", "raised to", "how"], rows)


def _quotas() -> str:
    rows = [
        [quota.name, f"{quota.value:,} {quota.unit}", _source(quota.source), "yes" if quota.read else "no: from memory"]
        for _, quota in Quotas.of(Config().persist_concurrency).items()
    ]
    return table(["quota", "by default", "source", "page read"], rows)


def _plot_streams() -> str:
    lines = []
    for streams in (1_000, 100_000):
        scale = at(streams)
        lines += [
            Line(f"{streams:,} wanted", _sampled([second.wanted for second in scale.result.seconds])),
            Line("… and running", _sampled([second.running for second in scale.result.seconds])),
        ]
    return chart(
        "Streams with the default quotas: a rise of 60 s",
        Axis("seconds", 0, 300),
        Axis("streams at once", 10, 200_000, log=True),
        lines,
    )


def _plot_waiting() -> str:
    lines = [
        Line(f"{streams:,} streams", _sampled([second.oldest_s for second in at(streams).result.seconds])) for streams in SCALES
    ]
    top = max(10.0, *(wait for line in lines for _, wait in line.points))
    return chart(
        "How long the oldest record waits for persist, default quotas",
        Axis("seconds", 0, 2400),
        Axis("seconds waited", 0, top),
        lines,
    )


def _sampled(values: list[int]) -> list[tuple[float, float]]:
    """The highest of each 5 seconds."""
    return [(second, max(values[second : second + 5])) for second in range(0, len(values), 5)]


def _name(scale: Scale, key: str) -> str:
    return scale.quotas[key].name


def _share(part: float, whole: float) -> str:
    share = part / whole if whole else 0
    return "0" if part == 0 else "< 0.1 %" if share < 0.001 else f"{100 * share:.1f} %"


def _needed(units: float) -> str:
    return f"{units:,.1f}" if units < 10 else f"{ceil(units):,}"


def _rounded(value: float) -> int:
    """Up, to two figures."""
    tens: int = 10 ** max(0, floor(log10(value)) - 1)
    return ceil(value / tens) * tens


def _source(source: str) -> str:
    return f"<{source}>" if source.startswith("https:") else source

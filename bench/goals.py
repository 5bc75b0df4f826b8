"""The figures with their goals: what each row of the table is, and whether it holds."""

from collections.abc import Mapping
from statistics import median
from typing import Final, NamedTuple

Samples = dict[str, list[float]]
Results = Mapping[str, Mapping[str, float]]

PACED_DELAY_S: Final = 0.01  # between two tokens of a paced stream
PRODUCT, SLOW, PARSED = "product", "product-slow-aws", "parsed"


class Row(NamedTuple):
    """One goal: what was measured, what is asked for, whether that holds. `measured` is empty where a part was left out."""

    figure: str
    measured: str
    goal: str
    holds: bool | None


def rows(results: Results) -> list[Row]:
    """Every goal, in the order in which they are told; a part of the bench that was left out leaves its rows out."""
    return [row for part in _PARTS for row in part(results)]


def _latency(results: Results) -> list[Row]:
    added = results.get("added_ttft_ms", {})
    if PRODUCT not in added:
        return []
    found = [Row("added TTFT p50, SQS and DynamoDB at 5 ms", f"{added[PRODUCT]:.1f} ms", "≤ 4 ms", added[PRODUCT] <= 4)]
    if left := results.get("added_ttft_left_ms", {}):
        moved = left[SLOW] - left[PRODUCT]
        measured = f"{left[PRODUCT]:.1f} → {left[SLOW]:.1f} ms ({moved:+.1f})"
        found.append(Row("… left at the first token, both at 5 ms → at 2 s", measured, "± 0.5 ms", abs(moved) <= 0.5))
    return found


def _cpu(results: Results) -> list[Row]:
    found = []
    for part, name, most in (
        ("cpu_paced_us", "CPU per token, 50 streams at 100 tokens/s", 0.30),
        ("cpu_burst_us", "CPU per token, burst", 0.06),
    ):
        spent = results.get(part, {})
        if PRODUCT in spent and PARSED in spent:
            ratio = spent[PRODUCT] / spent[PARSED]
            goal = f"≤ {most:.2f} × the SDK-parsed relay"
            found.append(Row(name, f"{spent[PRODUCT]:.1f} µs = {ratio:.3f} ×", goal, ratio <= most))
    return found


def _memory(results: Results) -> list[Row]:
    idle, full = results.get("memory_idle_mb", {}), results.get("memory_200_mb", {})
    if PRODUCT not in full:
        return []
    each = (full[PRODUCT] - idle[PRODUCT]) * 1024 / 200
    return [
        Row("memory per open stream", f"{each:.0f} KB", "≤ 100 KB", each <= 100),
        Row("memory of the process, 200 streams", f"{full[PRODUCT]:.0f} MB", "≤ 110 MB", full[PRODUCT] <= 110),
    ]


def _cold(results: Results) -> list[Row]:
    cold = results.get("cold_start_ms", {})
    if PRODUCT not in cold:
        return []
    ratio = cold[PRODUCT] / cold["naive"]
    queued = cold["queued"] / cold["naive"]
    return [
        Row("cold start to the first token", f"{cold[PRODUCT]:.0f} ms = {ratio:.2f} ×", "≤ 0.70 × naive", ratio <= 0.70),
        Row(
            "… to the turn's beginning in the queue",
            f"{cold['queued']:.0f} ms = {queued:.2f} ×",
            "≤ 0.70 × naive",
            queued <= 0.70,
        ),
        Row("… after a snapshot", f"{cold['restored']:.0f} ms", "≤ 30 ms", cold["restored"] <= 30),
    ]


_ZIP_MB: Final = {"chat_stream": 9, "persist": 8, "conversations": 8}


def _zips(results: Results) -> list[Row]:
    sizes = results.get("zip_mb", {}).items()
    return [Row(f"zip of {name}", f"{size:.1f} MB", f"≤ {_ZIP_MB[name]} MB", size <= _ZIP_MB[name]) for name, size in sizes]


def _persist(results: Results) -> list[Row]:
    persist = results.get("persist", {})
    found = []
    if "per_second_100" in persist:
        for batch in (10, 100):
            rate, cpu = persist[f"per_second_{batch}"], persist[f"cpu_us_{batch}"]
            found.append(Row(f"persist, one worker, batches of {batch}", f"{rate:,.0f} messages/s", "≥ 1,500/s", rate >= 1500))
            found.append(Row("… CPU per message", f"{cpu:.0f} µs", "≤ 250 µs", cpu <= 250))
            found += _alone(persist, batch)
    if "lag_ms" in persist:
        lag = persist["lag_ms"]
        found.append(Row("SQS delivery to `conversationCreated`, p50", f"{lag:.0f} ms", "≤ 60 ms", lag <= 60))
    return found


def _alone(persist: Mapping[str, float], batch: int) -> list[Row]:
    """The same calls with nothing of persist around them: no goal can be below the second."""
    found = []
    for title, name in (
        ("… the same calls by boto3", "boto3"),
        ("… the same calls with nothing of persist around them (the floor)", "direct"),
    ):
        if f"cpu_us_{batch}_{name}" in persist:
            rate, cpu = persist[f"per_second_{batch}_{name}"], persist[f"cpu_us_{batch}_{name}"]
            found.append(Row(title, f"{rate:,.0f} messages/s, {cpu:.0f} µs", "–", None))
    return found


def _table(results: Results) -> list[Row]:
    use = results.get("table_30_s", {})
    if not use:
        return []
    return [
        Row("small-table reads of a 30 s turn", f"{use['reads']:.0f}", "≤ 45", use["reads"] <= 45),
        Row("small-table writes of a 30 s turn", f"{use['writes']:.0f}", "≤ 32", use["writes"] <= 32),
    ]


def _many(results: Results) -> list[Row]:
    many = results.get("many_s", {})
    if not many:
        return []
    ratio = many["at_once"] / many["alone"]
    return [Row("50 turns at once on `make run`", f"{many['at_once']:.2f} s = {ratio:.2f} × one", "≤ 1.5 × one", ratio <= 1.5)]


_PARTS: Final = (_latency, _cpu, _memory, _cold, _zips, _persist, _table, _many)


def medians(samples: Mapping[str, Samples]) -> dict[str, dict[str, float]]:
    """The median of each contender's samples, by figure; and what is computed from them."""
    found = {figure: {name: round(median(some), 4) for name, some in of.items()} for figure, of in samples.items()}
    if paced := found.get("cpu_paced_us"):
        found["streams_per_core"] = {name: round(1e6 * PACED_DELAY_S / us, 1) for name, us in paced.items()}
    return found

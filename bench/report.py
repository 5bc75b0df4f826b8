"""What a run leaves: results.json, and the tables in Markdown, on the screen and in results.md."""

import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from bench.goals import Results, Row, rows
from bench.processes import OUT

LABELS: Final = {
    "floor": "asyncio.Protocol, hand-written (the floor)",
    "product": "**streaming-first chat, whole**",
    "parsed": "Starlette + openai SDK, parsed chunks (what everyone writes)",
    "database_first": "the same, storing before it asks the model",
    "ai-sdk": "Vercel AI SDK on Node",
    "litellm": "LiteLLM proxy",
}
_COLUMNS: Final = (
    ("added TTFT p50", "added_ttft_ms", "{:.1f} ms"),
    ("CPU/token, burst", "cpu_burst_us", "{:.1f} µs"),
    ("CPU/token, paced", "cpu_paced_us", "{:.0f} µs"),
    ("streams per core", "streams_per_core", "{:.0f}"),
    ("memory, idle", "memory_idle_mb", "{:.0f} MB"),
    ("200 streams", "memory_200_mb", "{:.0f} MB"),
)


def machine() -> dict[str, str]:
    """Where and with what this was measured."""
    processors = _lines("/proc/cpuinfo")
    model = next((line.partition(": ")[2] for line in processors if line.startswith("model name")), platform.machine())
    cores = sum(line.startswith("processor") for line in processors)
    packages = {name: version(name) for name in ("boto3", "openai", "pydantic", "starlette", "uvicorn")}
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": f"{model.strip()}, {cores} cores",
        "system": f"Linux {platform.release()}",
        "python": platform.python_version(),
        **packages,
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines()


def write(results: Results, about: Mapping[str, str]) -> str:
    """Leaves both files; returns the text."""
    OUT.mkdir(parents=True, exist_ok=True)
    document = {"machine": about, "results": results, "goals": [row._asdict() for row in rows(results)]}
    (OUT / "results.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    text = markdown(results, rows(results), about)
    (OUT / "results.md").write_text(text, encoding="utf-8")
    return text


def markdown(results: Results, goals: Sequence[Row], about: Mapping[str, str]) -> str:
    """Both tables and the machine, as docs/performance.md has them."""
    said = ", ".join(f"{name} {value}" for name, value in about.items() if name not in {"date", "cpu", "system"})
    parts = [f"{about['date']}, {about['cpu']}, {about['system']}; {said}.\n"]
    names = [name for name in LABELS if any(name in results.get(part, {}) for _, part, _ in _COLUMNS)]
    if names:
        body = [[LABELS[name], *(_cell(results, part, name, form) for _, part, form in _COLUMNS)] for name in names]
        parts.append(_table(["in front of the same upstream", *(title for title, _, _ in _COLUMNS)], body))
    marks = {True: "holds", False: "**does not**", None: "–"}
    parts.append(
        _table(["figure", "measured", "goal", ""], [[row.figure, row.measured, row.goal, marks[row.holds]] for row in goals])
    )
    return "\n".join(parts)


def _cell(results: Results, part: str, name: str, form: str) -> str:
    value = results.get(part, {}).get(name)
    return "–" if value is None else form.format(value)


def _table(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)

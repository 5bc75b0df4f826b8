"""What a run leaves, results.json, and what is made of it: the tables of docs/performance.md and README.md."""

import json
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from bench.document import table
from bench.goals import Results, Samples, medians, rows
from bench.processes import OUT, ROOT

LABELS: Final = {
    "floor": "asyncio.Protocol, hand-written (the floor)",
    "product": "**streaming-first chat, whole**",
    "product-slow-aws": "the same, SQS and DynamoDB at 2 s",
    "parsed": "Starlette + openai SDK, parsed chunks (what everyone writes)",
    "database_first": "the parsed relay, with three writes before it asks the model",
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
_BRIEF_LABELS: Final = {
    "product": "**this, whole**",
    "parsed": "Starlette and the openai SDK, parsed chunks",
    "ai-sdk": "Vercel AI SDK on Node",
    "litellm": "LiteLLM's proxy",
    "database_first": "three writes before it asks the model",
}
_BRIEF_COLUMNS: Final = (
    ("added time to the first token", "added_ttft_ms", "{:.1f} ms"),
    ("CPU a token, 50 streams", "cpu_paced_us", "{:.0f} µs"),
    ("memory, 200 streams", "memory_200_mb", "{:.0f} MB"),
)
_MEASURED: Final = ("functions", "bench", "infra", "local", "tests/oidc.py", "uv.lock")
Document = Mapping[str, Any]


def machine() -> dict[str, str]:
    """Where and with what this was measured."""
    processors = _lines("/proc/cpuinfo")
    model = next((line.partition(": ")[2] for line in processors if line.startswith("model name")), platform.machine())
    cores = sum(line.startswith("processor") for line in processors)
    packages = {name: version(name) for name in ("boto3", "openai", "pydantic", "starlette", "uvicorn")}
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": _commit(),
        "cpu": f"{model.strip()}, {cores} cores",
        "system": f"Linux {platform.release()}",
        "python": platform.python_version(),
        **packages,
    }


def _commit() -> str:
    """With a plus sign where what is measured was not as committed."""
    found = _git("rev-parse", "--short=9", "HEAD")
    if found.returncode:
        return "not known"
    return found.stdout.strip() + ("+" if _git("diff", "--quiet", "HEAD", "--", *_MEASURED).returncode else "")


def _git(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603, S607 - fixed


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines()


def document(samples: Mapping[str, Samples], about: Mapping[str, str]) -> Document:
    """`results` are medians, `samples` all that was measured, by figure and contender, in the order of the rounds."""
    rounded = {figure: {name: [round(one, 4) for one in some] for name, some in of.items()} for figure, of in samples.items()}
    results = medians(rounded)
    return {"machine": about, "results": results, "goals": [row._asdict() for row in rows(results)], "samples": rounded}


def encode(of: Document) -> str:
    """JSON, a list of numbers on a line."""
    text = json.dumps(of, indent=1, ensure_ascii=False)
    return re.sub(r"\[[-\d.,\s]+\]", lambda found: " ".join(found[0].split()), text) + "\n"


def write(samples: Mapping[str, Samples], about: Mapping[str, str]) -> str:
    """Leaves results.json and results.md in dist/bench; returns the second's text."""
    OUT.mkdir(parents=True, exist_ok=True)
    made = document(samples, about)
    (OUT / "results.json").write_text(encode(made), encoding="utf-8")
    text = tables(made)
    (OUT / "results.md").write_text(text + "\n", encoding="utf-8")
    return text


def tables(of: Document) -> str:
    """The machine, the contenders and the goals, as docs/performance.md has them."""
    about, results = of["machine"], of["results"]
    said = ", ".join(f"{name} {value}" for name, value in about.items() if name not in {"date", "cpu", "system"})
    parts = [f"{about['date']}, {about['cpu']}, {about['system']}; {said}."]
    if any(part in results for _, part, _ in _COLUMNS):
        parts.append(_contenders(results, "in front of the same upstream", LABELS, _COLUMNS))
    if goals := rows(results):
        marks = {True: "holds", False: "**does not**", None: "–"}
        parts.append(
            table(["figure", "measured", "goal", ""], [[row.figure, row.measured, row.goal, marks[row.holds]] for row in goals])
        )
    return "\n\n".join(parts)


def brief(of: Document) -> str:
    """The contenders, as README.md has them."""
    return _contenders(of["results"], "", _BRIEF_LABELS, _BRIEF_COLUMNS)


def _contenders(results: Results, title: str, labels: Mapping[str, str], columns: Sequence[tuple[str, str, str]]) -> str:
    names = [name for name in labels if any(name in results.get(part, {}) for _, part, _ in columns)]
    body = [[labels[name], *(_cell(results, part, name, form) for _, part, form in columns)] for name in names]
    return table([title, *(head for head, _, _ in columns)], body)


def _cell(results: Results, part: str, name: str, form: str) -> str:
    value = results.get(part, {}).get(name)
    return "–" if value is None else form.format(value)

"""`python -m bench.publish`: puts the last run into docs/performance.md and README.md, and draws its plots."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from bench.artefacts import artefacts
from bench.document import DOCS, written
from bench.plots import Bar, Panel, bars, icicle, imports_of
from bench.processes import OUT, ROOT
from bench.report import Document, brief, encode, tables

_IMAGES: Final = DOCS / "performance"
RESULTS: Final = _IMAGES / "results.json"
_SHORT: Final = {
    "floor": "hand-written (the floor)",
    "product": "streaming-first chat, whole",
    "product-slow-aws": "… SQS and DynamoDB at 2 s",
    "parsed": "openai SDK, parsed",
    "database_first": "database first",
    "ai-sdk": "Vercel AI SDK",
    "litellm": "LiteLLM proxy",
}
_PANELS: Final = (
    ("added time to the first token, p50", "ms", "added_ttft_ms"),
    ("CPU per token, burst", "µs", "cpu_burst_us"),
    ("CPU per token, 50 streams at 100 tokens/s", "µs", "cpu_paced_us"),
    ("memory with 200 open streams", "MB", "memory_200_mb"),
)


def main() -> None:
    last = json.loads((OUT / "results.json").read_text(encoding="utf-8"))
    if "quick" in last["machine"]:
        sys.exit("the last run was a quick one: run `make bench-peers`, whole")
    published = json.loads(RESULTS.read_text(encoding="utf-8"))
    if missing := sorted(_names(published["results"]) - _names(last["results"])):
        sys.exit(f"the last run lacks what is published ({', '.join(missing[:3])}…): run `make bench-peers`, whole")
    _IMAGES.mkdir(exist_ok=True)
    imports = icicle(imports_of(_import_times()), "imports of the streaming function")
    RESULTS.write_text(encode(last), encoding="utf-8")
    (_IMAGES / "imports.svg").write_text(imports, encoding="utf-8")
    for path, text in pages(last).items():
        path.write_text(text, encoding="utf-8")


def pages(of: Document) -> dict[Path, str]:
    """What is made of a run's results: the pages with their tables, the plot."""
    made = {DOCS / "performance.md": {"results": tables(of)}, ROOT / "README.md": {"speed": brief(of)}}
    texts = {path: written(path.read_text(encoding="utf-8"), blocks) for path, blocks in made.items()}
    return {**texts, _IMAGES / "relays.svg": bars(_panels(of["results"]))}


def _names(results: dict[str, Any]) -> set[str]:
    """Its figures, and those of each contender."""
    inner = {f"{figure} of {name}" for figure, found in results.items() if isinstance(found, dict) for name in found}
    return set(results) | inner


def _panels(results: dict[str, Any]) -> list[Panel]:
    return [
        Panel(title, unit, [Bar(_SHORT[name], found[name], name.startswith("product")) for name in _SHORT if name in found])
        for title, unit, part in _PANELS
        if (found := results.get(part))
    ]


def _import_times() -> str:
    """Of the packaged function, under Lambda's Python, nothing else on its path."""
    made = artefacts()
    env = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": f"{made.product}{os.pathsep}{made.runtime}"}
    command = [str(made.python), "-X", "importtime", "-c", "import functions.chat_stream.__main__"]
    done = subprocess.run(command, env=env, cwd=Path(made.product), capture_output=True, text=True, check=True)  # noqa: S603 - ours
    return done.stderr


if __name__ == "__main__":
    main()

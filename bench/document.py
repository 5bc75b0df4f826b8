"""Markdown tables, and the blocks of a document that are written by the code that computes them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

DOCS: Final = Path(__file__).parents[1] / "docs"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; every column but the first is aligned to the right when its first cell begins with a digit or a dash."""
    rows = [list(row) for row in rows]
    sides = ["---" if index == 0 or not _is_figure(cell) else "---:" for index, cell in enumerate(rows[0])]
    lines = [list(head), sides, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def blocks(text: str) -> dict[str, str]:
    """The computed blocks of a document, by name."""
    return {found[1]: found[2] for found in _BLOCK.finditer(text)}


def written(text: str, computed: Mapping[str, str]) -> str:
    """The document with its blocks as computed. Raises KeyError for a block the code does not know, or that is missing."""
    if missing := computed.keys() - blocks(text).keys():
        raise KeyError(f"no place for {', '.join(sorted(missing))}")
    return _BLOCK.sub(lambda found: f"<!-- computed: {found[1]} -->\n{computed[found[1]]}\n<!-- end -->", text)


def publish(document: Path, computed: Mapping[str, str], images: Mapping[str, str]) -> None:
    """Prints the tables, and writes them and the images into docs/."""
    for block in computed.values():
        print(block, end="\n\n")
    document.write_text(written(document.read_text(encoding="utf-8"), computed), encoding="utf-8")
    for name, svg in images.items():
        (DOCS / "img" / name).write_text(svg, encoding="utf-8")
    print(f"written: {', '.join([document.name, *images])}")


_BLOCK: Final = re.compile(r"<!-- computed: ([a-z0-9-]+) -->\n(.*?)\n<!-- end -->", re.DOTALL)


def _is_figure(cell: str) -> bool:
    return cell[:1].isdigit() or cell in {"–", "never"}

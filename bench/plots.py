"""Plots as SVG, by hand: bars of the contenders, and where the time of an import goes. They follow the reader's light or dark."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final, NamedTuple

_STYLE: Final = (
    "<style>text{font:13px system-ui,sans-serif;fill:#1f2328}.s{font-size:11px;fill:#59636e}.b{fill:#8c959f}.p{fill:#0969da}"
    ".r{fill:#d1d9e0}.r.p{fill:#a5d5ff}.l{font-size:11px}.h{font-weight:600}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.s{fill:#9198a1}.b{fill:#656c76}.p{fill:#4493f8}.r{fill:#3d444d}"
    ".r.p{fill:#0c4da2}}</style>"
)
_WIDTH: Final = 760
_ROW: Final = 22
_LABEL: Final = 250


class Bar(NamedTuple):
    label: str
    value: float
    ours: bool


class Panel(NamedTuple):
    title: str
    unit: str
    bars: Sequence[Bar]


class Import(NamedTuple):
    """A module's import: its own time and those it imported, microseconds."""

    name: str
    depth: int
    total_us: int


def bars(panels: Sequence[Panel]) -> str:
    """One panel below the other, each to its own scale."""
    parts, y = [], 8
    for panel in panels:
        y += 20
        parts.append(f'<text class="h" x="8" y="{y}">{escape(panel.title)}</text>')
        most = max(bar.value for bar in panel.bars) or 1
        for bar in panel.bars:
            y += _ROW
            length = max(1.0, bar.value / most * (_WIDTH - _LABEL - 110))
            parts.append(f'<text x="{_LABEL - 8}" y="{y}" text-anchor="end">{escape(bar.label)}</text>')
            place = f'x="{_LABEL}" y="{y - 12}" width="{length:.1f}" height="15"'
            parts.append(f'<rect class="{"p" if bar.ours else "b"}" {place} rx="2"/>')
            parts.append(f'<text class="s" x="{_LABEL + length + 6:.1f}" y="{y}">{bar.value:,.4g} {panel.unit}</text>')
        y += 14
    return _svg(y + 6, parts)


def icicle(imports: Iterable[Import], title: str, least_us: int = 4_000, deepest: int = 9) -> str:
    """Imports as a flame graph that hangs: below a module, what it imported; as wide as the time it took."""
    rows = list(imports)
    whole = sum(row.total_us for row in rows if row.depth == 0)
    left = {0: 0.0}
    parts = [f'<text class="h" x="8" y="20">{escape(title)}: {whole / 1000:.0f} ms</text>']
    scale = (_WIDTH - 16) / whole
    drawn = 0
    for row in rows:
        x = left.get(row.depth, 0.0)
        left[row.depth] = x + row.total_us
        left[row.depth + 1] = x
        if row.total_us < least_us or row.depth > deepest:
            continue
        drawn = max(drawn, row.depth)
        width, y = row.total_us * scale, 32 + row.depth * _ROW
        ours = " p" if row.name.startswith("functions") else ""
        place = f'x="{8 + x * scale:.1f}" y="{y}" width="{max(0.5, width - 1):.1f}" height="{_ROW - 2}"'
        parts.append(f'<rect class="r{ours}" {place} rx="2">')
        parts.append(f"<title>{escape(row.name)}: {row.total_us / 1000:.1f} ms</title></rect>")
        label = f"{row.name} {row.total_us / 1000:.0f}"
        if width > len(label) * 6.2:
            parts.append(f'<text class="l" x="{12 + x * scale:.1f}" y="{y + 14}">{escape(label)}</text>')
    return _svg(40 + (drawn + 1) * _ROW, parts)


def imports_of(told: str) -> list[Import]:
    """From `python -X importtime`, which tells a module after those it imported; here each comes before them."""
    rows = []
    for line in reversed(told.splitlines()):
        if line.startswith("import time:") and "cumulative" not in line:
            _, total, name = line.removeprefix("import time:").split("|")
            rows.append(Import(name.strip(), (len(name) - len(name.lstrip()) - 1) // 2, int(total)))
    return rows


def _svg(height: float, parts: Iterable[str]) -> str:
    size = f'viewBox="0 0 {_WIDTH} {height:.0f}" width="{_WIDTH}" height="{height:.0f}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">{_STYLE}{"".join(parts)}</svg>\n'

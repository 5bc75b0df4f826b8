"""Line charts as SVG, legible on a light page and on a dark one, from nothing but the standard library."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10
from typing import Final

_WIDTH, _HEIGHT = 760, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 80, 180, 48, 52
_STYLE: Final = """
  .page { fill: #ffffff } text { fill: #24292f; font: 13px system-ui, sans-serif } .title { font-size: 15px; font-weight: 600 }
  .grid { stroke: #d0d7de } .axis { stroke: #57606a } .line { fill: none; stroke-width: 2.5; stroke-linejoin: round }
  .s0 { stroke: #0969da } .s1 { stroke: #bc4c00 } .s2 { stroke: #1a7f37 } .s3 { stroke: #8250df }
  .mark { fill: none; stroke: #57606a; stroke-dasharray: 4 4 }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117 } text { fill: #e6edf3 } .grid { stroke: #30363d } .axis, .mark { stroke: #8b949e }
    .s0 { stroke: #58a6ff } .s1 { stroke: #f0883e } .s2 { stroke: #3fb950 } .s3 { stroke: #bc8cff }
  }
"""
_DASHES: Final = ("", "8 4", "3 3", "10 3 3 3")  # told apart without colour too


@dataclass(frozen=True, slots=True)
class Line:
    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Axis:
    """From `low` to `high`; `log` puts tens at equal distances and needs `low` above 0."""

    label: str
    low: float
    high: float
    log: bool = False

    def place(self, value: float) -> float:
        """0 at the low end, 1 at the high one; what lies outside is held at the edge."""
        value = min(max(value, self.low), self.high)
        if self.log:
            return log10(value / self.low) / log10(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        if self.log:
            return [10.0**power for power in range(ceil(log10(self.low) - 1e-9), floor(log10(self.high) + 1e-9) + 1)]
        step = _round_step((self.high - self.low) / 5)
        return [index * step for index in range(ceil(self.low / step), floor(self.high / step + 1e-9) + 1)]


def chart(title: str, across: Axis, up: Axis, lines: Sequence[Line], marks: Sequence[tuple[float, str]] = ()) -> str:
    """The SVG. `marks` are upright dashed lines with a word on each."""

    def x(value: float) -> float:
        return round(_LEFT + across.place(value) * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(value: float) -> float:
        return round(_HEIGHT - _BOTTOM - up.place(value) * (_HEIGHT - _TOP - _BOTTOM), 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">',
        f"<style>{_STYLE}</style>",
        f'<rect class="page" width="{_WIDTH}" height="{_HEIGHT}"/>',
        f'<text class="title" x="{_LEFT}" y="24">{escape(title)}</text>',
        *_scales(across, up, x, y),
    ]
    for value, word in marks:
        parts += [
            f'<path class="mark" d="M{x(value)} {y(up.low)}V{y(up.high)}"/>',
            f'<text x="{x(value) + 5}" y="{y(up.high) + 14}">{escape(word)}</text>',
        ]
    for index, line in enumerate(lines):
        shown = [point for point in line.points if across.low <= point[0] <= across.high]
        path = "L".join(f"{x(one)} {y(other)}" for one, other in shown)
        dash = f' stroke-dasharray="{_DASHES[index]}"' if _DASHES[index] else ""
        below = _TOP + 16 + 22 * index
        legend = _WIDTH - _RIGHT + 14
        parts += [
            f'<path class="line s{index}"{dash} d="M{path}"/>',
            f'<path class="line s{index}"{dash} d="M{legend} {below}h26"/>',
            f'<text x="{legend + 32}" y="{below + 4}">{escape(line.name)}</text>',
        ]
    return "\n".join([*parts, "</svg>\n"])


def _scales(across: Axis, up: Axis, x: Callable[[float], float], y: Callable[[float], float]) -> list[str]:
    parts = []
    for tick in up.ticks():
        parts += [
            f'<path class="grid" d="M{_LEFT} {y(tick)}H{_WIDTH - _RIGHT}"/>',
            f'<text x="{_LEFT - 8}" y="{y(tick) + 4}" text-anchor="end">{_figure(tick)}</text>',
        ]
    for tick in across.ticks():
        parts.append(f'<text x="{x(tick)}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{_figure(tick)}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    return [
        *parts,
        f'<path class="axis" d="M{_LEFT} {_HEIGHT - _BOTTOM}H{_WIDTH - _RIGHT}"/>',
        f'<text x="{middle}" y="{_HEIGHT - 12}" text-anchor="middle">{escape(across.label)}</text>',
        f'<text x="{_LEFT}" y="{_TOP - 8}">{escape(up.label)}</text>',
    ]


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:g}"


def _round_step(step: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    tens = 10.0 ** floor(log10(step))
    return next(times * tens for times in (1, 2, 5, 10) if times * tens >= step)

"""Line charts as SVG text: no library, no script, colours from the page's style sheet."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 560, 300
LEFT, RIGHT, TOP, BOTTOM = 48, 14, 12, 40
TICKS = 5
DOTS = 24  # so many points are marked; more are a line only
COLORS = 6  # classes s0 to s5 of the style sheet; more lines begin again, dashed


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart: ``index`` is its place in the legend; none is a line of a paper."""

    name: str
    points: tuple[tuple[float, float], ...]
    index: int | None


def line_chart(lines: Sequence[Line], *, title: str, x_label: str, x_ticks: Sequence[float]) -> str:
    """An SVG of lines over x; hovering over a point tells its figure."""
    finite = [
        Line(
            line.name, tuple(point for point in line.points if math.isfinite(point[1])), line.index
        )
        for line in lines
    ]
    values = [y for line in finite for _, y in line.points]
    if not values:
        return ""
    y_ticks = round_ticks(min(values), max(values))
    places = [*x_ticks, *(x for line in finite for x, _ in line.points)]
    frame = _Frame((min(places), max(places)), (y_ticks[0], y_ticks[-1]))
    parts = [*_grid(frame, y_ticks, x_ticks), _text("axis", WIDTH / 2, HEIGHT - 6, x_label)]
    for line in sorted(finite, key=lambda line: -1 if line.index is None else line.index):
        parts.extend(_line(frame, line))
    return (
        f'<figure class="chart"><figcaption>{escape(title)}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg></figure>"
    )


def round_ticks(low: float, high: float) -> list[float]:
    """Numbers that people like, evenly spaced, the first not above ``low``, the last not below."""
    span = max(high - low, 1e-3)
    power = 10 ** math.floor(math.log10(span / TICKS))
    step = next(f * power for f in (1, 2, 2.5, 5, 10) if f * power * TICKS >= span * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [step * count for count in range(first, max(last, first + 1) + 1)]


def color_class(index: int | None) -> str:
    """The style of a line and of its mark in the legend."""
    if index is None:
        return "paper"
    return f"s{index % COLORS}" + (" again" if index >= COLORS else "")


@dataclass(frozen=True, slots=True)
class _Frame:
    x: tuple[float, float]
    y: tuple[float, float]

    def at(self, x: float, y: float) -> tuple[float, float]:
        across = (x - self.x[0]) / (self.x[1] - self.x[0] or 1)
        up = (y - self.y[0]) / (self.y[1] - self.y[0] or 1)
        inner = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
        return LEFT + 10 + across * (inner[0] - 20), HEIGHT - BOTTOM - up * inner[1]


def _grid(frame: _Frame, y_ticks: Sequence[float], x_ticks: Sequence[float]) -> list[str]:
    parts = []
    decimals = max(0, -math.floor(math.log10(y_ticks[1] - y_ticks[0]) + 1e-9))
    decimals += round(y_ticks[1] - y_ticks[0], decimals) != round(y_ticks[1] - y_ticks[0], 9)
    for tick in y_ticks:
        _, y = frame.at(frame.x[0], tick)
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(_text("tick end", LEFT - 8, y + 4, f"{tick:.{decimals}f}"))
    for tick in x_ticks:
        x, _ = frame.at(tick, frame.y[0])
        parts.append(_text("tick", x, HEIGHT - BOTTOM + 18, f"{tick:g}"))
    return parts


def _line(frame: _Frame, line: Line) -> list[str]:
    at = [frame.at(x, y) for x, y in line.points]
    if not at:
        return []
    style = color_class(line.index)
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in at)
    parts = [f'<path class="line {style}" d="{path}"><title>{escape(line.name)}</title></path>']
    dense = len(at) > DOTS
    for (x, y), (where, value) in zip(at, line.points, strict=True):
        told = f"<title>{escape(line.name)}, {where:g}: {value:.2f}</title>"
        radius = 2.5 if line.index is None else 4
        if not dense:
            parts.append(f'<circle class="dot {style}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>')
        parts.append(f'<circle class="hit" cx="{x:.1f}" cy="{y:.1f}" r="9">{told}</circle>')
    return parts


def _text(style: str, x: float, y: float, text: str) -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'

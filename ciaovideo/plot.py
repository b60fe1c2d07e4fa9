"""Line plots as PNG pictures, with Pillow alone: panels of lines and dots under one title."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ciaovideo.errors import OptionError

try:
    from PIL import Image, ImageDraw, ImageFont
except ImportError as cause:
    raise OptionError(
        "plots are drawn with Pillow, which is not installed", "pip install 'ciaovideo[train]'"
    ) from cause

FINE = 2  # drawn so much larger and reduced: smooth lines without another library
WIDTH, MARGIN = 1240, 20  # px
HEAD, PANEL = 56, 300  # heights of the title and of a row of panels
LEFT, RIGHT, TOP, BOTTOM = 60, 10, 34, 40  # of a panel, around what is plotted
TICKS = 5
DOTS = 40  # so many points are marked; more are a line only
WHITE, INK, SOFT, RULE = "#ffffff", "#17181a", "#5c5f66", "#e4e4e0"
COLORS = ("#2a6fdb", "#c2410c", "#0f8a5f", "#7c3aed", "#b45309", "#0e7490")

type Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Line:
    """Points joined by a line, named in the panel; or, with ``fit``, marked on the line of a fit.

    ``fit`` holds the points of that line.
    """

    points: Points
    name: str = ""
    fit: Points = ()


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot: its heading, its lines, and the digits of the numbers at its two axes (x, y)."""

    heading: str
    lines: Sequence[Line]
    digits: tuple[int, int] = (0, 2)


def draw_panels(title: str, panels: Sequence[Panel]) -> Image.Image:
    """A picture of the panels, two in a row, under a title."""
    columns = min(2, len(panels))
    width = (WIDTH - MARGIN * (columns + 1)) // columns
    height = HEAD + PANEL * -(-len(panels) // columns)
    canvas = Image.new("RGB", (FINE * WIDTH, FINE * height), WHITE)
    draw = ImageDraw.Draw(canvas)
    _text(draw, (MARGIN, MARGIN), title, INK, 20)
    for index, panel in enumerate(panels):
        row, column = divmod(index, columns)
        corner = MARGIN + column * (width + MARGIN), HEAD + row * PANEL
        _text(draw, corner, panel.heading, SOFT, 15)
        points = [point for line in panel.lines for point in (*line.points, *line.fit)]
        if points:
            frame = _Frame.around(points, corner, width)
            _grid(draw, frame, panel.digits)
            for number, line in enumerate(panel.lines):
                _line(draw, line, frame, COLORS[number % len(COLORS)])
            _names(draw, panel, (corner[0] + width - RIGHT, corner[1] + 8))
    return canvas.resize((WIDTH, height), Image.Resampling.LANCZOS)


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where a panel's values lie: the least and the span of both axes, and px of the plot."""

    least: tuple[float, float]
    span: tuple[float, float]
    corner: tuple[float, float]
    size: tuple[float, float]

    @classmethod
    def around(cls, points: Points, corner: tuple[float, float], width: float) -> "_Frame":
        x, y = zip(*points, strict=True)
        size = (width - LEFT - RIGHT, PANEL - TOP - BOTTOM)
        span = (max(x) - min(x) or 1.0, max(y) - min(y) or 1e-3)
        return cls((min(x), min(y)), span, (corner[0] + LEFT, corner[1] + TOP), size)

    def at(self, across: float, up: float) -> tuple[float, float]:
        """The place of shares of both axes, in [0, 1]."""
        return self.corner[0] + across * self.size[0], self.corner[1] + (1 - up) * self.size[1]

    def place(self, x: float, y: float) -> tuple[float, float]:
        """The place of a point on the enlarged canvas."""
        shares = ((x - self.least[0]) / self.span[0], (y - self.least[1]) / self.span[1])
        left, top = self.at(*shares)
        return FINE * left, FINE * top


def enough_digits(least: int, span: float) -> int:
    """So many behind the point that the numbers at the ticks of a span differ."""
    return max(least, math.ceil(-math.log10(span / (TICKS - 1))))


def _grid(draw: ImageDraw.ImageDraw, frame: _Frame, digits: tuple[int, int]) -> None:
    digits = enough_digits(digits[0], frame.span[0]), enough_digits(digits[1], frame.span[1])
    for tick in range(TICKS):
        share = tick / (TICKS - 1)
        left, level = frame.at(0, share)
        draw.line(
            (FINE * left, FINE * level, FINE * (left + frame.size[0]), FINE * level), RULE, FINE
        )
        value = frame.least[1] + share * frame.span[1]
        _text(draw, (left - 8, level), f"{value:.{digits[1]}f}", SOFT, 12, anchor="rm")
        across, bottom = frame.at(share, 0)
        value = frame.least[0] + share * frame.span[0]
        _text(draw, (across, bottom + 16), f"{value:.{digits[0]}f}", SOFT, 12, anchor="mm")


def _line(draw: ImageDraw.ImageDraw, line: Line, frame: _Frame, color: str) -> None:
    places = [frame.place(x, y) for x, y in line.points]
    draw.line([frame.place(x, y) for x, y in line.fit] or places, color, 2 * FINE, joint="curve")
    if len(places) <= DOTS:
        for place in places:
            draw.circle(place, 3 * FINE, fill=color)


def _names(draw: ImageDraw.ImageDraw, panel: Panel, right: tuple[float, float]) -> None:
    """The names of the lines in their colours, right-aligned beside the heading."""
    x, y = right
    for number, line in reversed(list(enumerate(panel.lines))):
        if line.name:
            color = COLORS[number % len(COLORS)]
            _text(draw, (x, y), line.name, color, 12, anchor="rm")
            x -= draw.textlength(line.name, ImageFont.load_default(FINE * 12)) / FINE + 14


def _text(
    draw: ImageDraw.ImageDraw,
    at: tuple[float, float],
    text: str,
    color: str,
    size: int,
    *,
    anchor: str = "la",
) -> None:
    font = ImageFont.load_default(FINE * size)
    draw.text((FINE * at[0], FINE * at[1]), text, fill=color, font=font, anchor=anchor)

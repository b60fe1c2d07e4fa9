"""Line charts by matplotlib: panels under one title, with the colours of our pages.

matplotlib is an extra and is imported on use. Its ``pyplot`` is not: it keeps state for a process.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ciaovideo.errors import OptionError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ("#2a6fdb", "#c2410c", "#0f8a5f", "#8b3fc7", "#a16207", "#be185d")
PAPER, INK, SOFT, RULE = "#b9bbc0", "#17181a", "#5c5f66", "#e4e4e0"
FORMATS = (".png", ".svg")
DPI = 100
WIDTH = 12.4  # inches
HEAD, ROW = 0.5, 3.0  # inches: the title, and a row of panels
DOTS = 40  # a line of more points has no dots
HIT = 18  # pt across, around each point: where a pointer hits it

type Points = Sequence[tuple[float, float]]

STYLE: Any = {  # rcParams; the type of their keys differs between versions of matplotlib
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "ciaovideo",  # equal charts have equal bytes
    "font.size": 9.0,
    "axes.edgecolor": RULE,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelcolor": SOFT,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": SOFT,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "axes.formatter.useoffset": False,
    "grid.color": RULE,
    "text.color": INK,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.major.size": 0.0,
    "ytick.major.size": 0.0,
    "lines.solid_joinstyle": "round",
}


@dataclass(frozen=True, slots=True)
class Line:
    """Points joined by a line; with ``fit``, dots on the line of a fit, whose points that holds.

    ``index`` picks the colour, the same for a method in every panel; None is a published method.
    """

    points: Points
    name: str = ""
    fit: Points = ()
    index: int | None = 0

    @property
    def finite(self) -> Points:
        """The points that can be drawn."""
        return [point for point in self.points if math.isfinite(point[1])]


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart: its heading, its lines, and where x has ticks (matplotlib's choice if nowhere).

    ``names``: whether the lines' names stand beside the heading. ``legend``: whether they stand in
    the lower right corner, for more of them than fit there.
    """

    heading: str
    lines: Sequence[Line]
    x_label: str = ""
    x_ticks: Sequence[float] = ()
    names: bool = True
    legend: bool = False


@contextmanager
def drawing() -> Iterator[None]:
    """Draw in our style meanwhile; raises OptionError where matplotlib is not installed."""
    try:
        from matplotlib import rc_context
    except ImportError as cause:
        raise OptionError(
            "charts need matplotlib, which is not installed", "pip install 'ciaovideo[plots]'"
        ) from cause
    with rc_context(STYLE):
        yield


def check_format(path: Path) -> None:
    """Raise OptionError for a file that charts are not written to."""
    if path.suffix.lower() not in FORMATS:
        raise OptionError(f"{path} is neither PNG nor SVG", f"end it in {' or '.join(FORMATS)}")


def draw_panels(title: str, panels: Sequence[Panel], *, below: float = 0.0) -> "Figure":
    """A figure of the panels, two in a row, under a title; ``below``: inches left free under them.

    To be called, and its result saved, inside ``drawing``.
    """
    from matplotlib.figure import Figure

    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    height = HEAD + ROW * rows + below
    figure = Figure(figsize=(WIDTH, height), dpi=DPI)
    figure.text(0.2 / WIDTH, 1 - 0.2 / height, title, size=14, va="top")
    cell = WIDTH / columns
    for index, panel in enumerate(panels):
        row, column = divmod(index, columns)
        bottom = height - HEAD - ROW * (row + 1) + 0.55
        box = ((column * cell + 0.65) / WIDTH, bottom / height)
        axes = figure.add_axes((*box, (cell - 0.9) / WIDTH, (ROW - 1.0) / height))
        draw_panel(axes, panel)
    return figure


def draw_panel(axes: "Axes", panel: Panel) -> None:
    """Fill the axes with one panel; inside ``drawing``."""
    axes.set_title(panel.heading)
    axes.set_xlabel(panel.x_label)
    if panel.x_ticks:
        axes.set_xticks(panel.x_ticks, [f"{tick:g}" for tick in panel.x_ticks])
    axes.set_axisbelow(True)
    order = sorted(enumerate(panel.lines), key=lambda pair: pair[1].index is not None)
    for number, line in order:  # published methods lie under ours
        _draw_line(axes, line, number)
    if panel.names and any(line.name for line in panel.lines):
        _draw_names(axes, panel.lines)
    if panel.legend:
        _draw_legend(axes, panel.lines)


def color(index: int | None) -> str:
    """The colour of a line and of its mark in a legend."""
    return PAPER if index is None else COLORS[index % len(COLORS)]


def hits(number: int) -> str:
    """The SVG id of a line's invisible dots, one for each of its finite points, in order."""
    return f"hits-{number}"


def _draw_line(axes: "Axes", line: Line, number: int) -> None:
    if not line.finite:
        return
    paint, published = color(line.index), line.index is None
    x, y = zip(*line.finite, strict=True)
    along = tuple(zip(*line.fit, strict=True)) if line.fit else (x, y)
    axes.plot(
        *along, _dashes(line), color=paint, linewidth=0.9 if published else 1.8, clip_on=False
    )
    if len(x) <= DOTS:
        size = 3.5 if published else 6
        axes.plot(x, y, "o", color=paint, markersize=size, markeredgewidth=0, clip_on=False)
    axes.plot(
        x, y, "o", color=paint, alpha=0.0, markersize=HIT, markeredgewidth=0, gid=hits(number),
        clip_on=False,
    )  # fmt: skip


def _dashes(line: Line) -> str:
    """Colours come again after the last: then lines are dashed."""
    return "--" if line.index is not None and line.index >= len(COLORS) else "-"


def _draw_legend(axes: "Axes", lines: Sequence[Line]) -> None:
    """The lines' names in two columns, each with what it looks like."""
    for line in lines:
        if line.finite:
            style = _dashes(line) if len(line.finite) > 1 else "o"
            axes.plot([], [], style, color=color(line.index), label=line.name)
    axes.legend(loc="lower right", ncols=2, fontsize=8, frameon=False)


def _draw_names(axes: "Axes", lines: Sequence[Line]) -> None:
    """The lines' names in their colours, right of the heading."""
    from matplotlib.artist import Artist
    from matplotlib.offsetbox import AnchoredOffsetbox, HPacker, TextArea

    named = [line for line in lines if line.name]
    words: list[Artist] = [
        TextArea(line.name, textprops={"color": color(line.index)}) for line in named
    ]
    packed = HPacker(children=words, pad=0, sep=10)
    axes.add_artist(
        AnchoredOffsetbox(
            "lower right",
            child=packed,
            frameon=False,
            pad=0,
            borderpad=0,
            bbox_to_anchor=(1, 1.02),
            bbox_transform=axes.transAxes,
        )
    )

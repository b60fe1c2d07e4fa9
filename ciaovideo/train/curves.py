"""A picture of a run: its loss, its PSNR on validation pictures, and details of these."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

CURVES = "curves.png"
FINE = 2  # drawn so much larger and reduced: smooth lines without another library
WIDTH, MARGIN = 1240, 20  # px
HEAD, PANEL = 56, 300  # heights of the title and of a row of panels
LEFT, RIGHT, TOP, BOTTOM = 60, 10, 34, 40  # of a panel, around what is plotted
TICKS = 5
DOTS = 40  # so many points are marked; more are a line only
WHITE, INK, SOFT, RULE, LINE = "#ffffff", "#17181a", "#5c5f66", "#e4e4e0", "#2a6fdb"

type Points = Sequence[tuple[float, float]]


def draw_run(
    path: Path,
    title: str,
    losses: Points,
    psnrs: Mapping[str, Points],
    crops: Sequence[Mapping[str, Tensor]],
) -> None:
    """Write a PNG: the loss and the PSNR at each scale over steps, and below them the crops.

    crops hold (3, H, W) in [0, 1] by name, a row for each. Raises OSError.
    """
    panels = [("L1 of training", losses[len(losses) // 50 :], 4)]
    for name, points in psnrs.items():
        best = max(psnr for _, psnr in points)
        panels.append((f"PSNR of validation at {name}, dB on Y: best {best:.2f}", points, 2))
    columns = 2 if psnrs else 1
    width = (WIDTH - MARGIN * (columns + 1)) // columns
    height = HEAD + PANEL * -(-len(panels) // columns)
    canvas = Image.new("RGB", (FINE * WIDTH, FINE * height), WHITE)
    draw = ImageDraw.Draw(canvas)
    _text(draw, (MARGIN, MARGIN), title, INK, 20)
    for index, (heading, points, digits) in enumerate(panels):
        row, column = divmod(index, columns)
        corner = MARGIN + column * (width + MARGIN), HEAD + row * PANEL
        _text(draw, corner, heading, SOFT, 15)
        if points:
            _plot(draw, points, _Frame.around(points, corner, width), digits)
    parts = [canvas.resize((WIDTH, height), Image.Resampling.LANCZOS), *map(_row, crops)]
    whole = Image.new("RGB", (WIDTH, sum(part.height for part in parts)), WHITE)
    at = 0
    for part in parts:
        whole.paste(part, (0, at))
        at += part.height
    whole.save(path, format="PNG")


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


def _plot(draw: ImageDraw.ImageDraw, points: Points, frame: _Frame, digits: int) -> None:
    """One line with its axes."""
    for tick in range(TICKS):
        share = tick / (TICKS - 1)
        left, level = frame.at(0, share)
        draw.line(
            (FINE * left, FINE * level, FINE * (left + frame.size[0]), FINE * level), RULE, FINE
        )
        value = frame.least[1] + share * frame.span[1]
        _text(draw, (left - 8, level), f"{value:.{digits}f}", SOFT, 12, anchor="rm")
        across, bottom = frame.at(share, 0)
        step = frame.least[0] + share * frame.span[0]
        _text(draw, (across, bottom + 16), f"{step:.0f}", SOFT, 12, anchor="mm")
    places = [frame.place(x, y) for x, y in points]
    draw.line(places, LINE, 2 * FINE, joint="curve")
    if len(places) <= DOTS:
        for place in places:
            draw.circle(place, 3 * FINE, fill=LINE)


def _row(views: Mapping[str, Tensor]) -> Image.Image:
    """Views of one place side by side, each with its name."""
    side = (WIDTH - MARGIN * (len(views) + 1)) // len(views)
    row = Image.new("RGB", (WIDTH, side + 2 * MARGIN + 4), WHITE)
    draw = ImageDraw.Draw(row)
    for index, (name, view) in enumerate(views.items()):
        rgb = (view * 255).round().clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()
        picture = Image.fromarray(np.ascontiguousarray(rgb))
        factor = side / max(picture.size)
        size = (round(picture.width * factor), round(picture.height * factor))
        left = MARGIN + index * (side + MARGIN)
        row.paste(picture.resize(size, Image.Resampling.NEAREST), (left, MARGIN + 4))
        draw.text((left, 0), name, fill=SOFT, font=ImageFont.load_default(14))
    return row


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

"""A picture of a run: its loss, its PSNR on validation pictures, and details of these."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

CURVES = "curves.png"
FINE = 2  # drawn so much larger and reduced: smooth lines without another library
WIDTH, HEIGHT, MARGIN = 1240, 380, 20  # of a pair of panels, px
LEFT, BOTTOM, TOP = 64, 34, 40  # of a panel, around what is plotted
TICKS = 5
WHITE, INK, SOFT, RULE = "#ffffff", "#17181a", "#5c5f66", "#e4e4e0"
COLORS = ("#2a6fdb", "#c2410c", "#0f8a5f", "#8b3fc7", "#a16207", "#be185d")

type Points = Sequence[tuple[float, float]]


def draw_run(
    path: Path,
    title: str,
    losses: Points,
    psnrs: Mapping[str, Points],
    crops: Sequence[Mapping[str, Tensor]],
) -> None:
    """Write a PNG: loss on the left, PSNR by scale on the right, and below them the crops.

    crops hold (3, H, W) in [0, 1] by name, a row for each. Raises OSError.
    """
    canvas = Image.new("RGB", (FINE * WIDTH, FINE * (HEIGHT + MARGIN)), WHITE)
    draw = ImageDraw.Draw(canvas)
    _text(draw, (MARGIN, MARGIN), title, INK, 20)
    half = (WIDTH - 3 * MARGIN) // 2 if psnrs else WIDTH - 2 * MARGIN
    _panel(draw, (MARGIN, 2.5 * MARGIN, half), "L1 of training", {"": losses[len(losses) // 50 :]})
    if psnrs:
        _panel(draw, (2 * MARGIN + half, 2.5 * MARGIN, half), "PSNR of validation, dB on Y", psnrs)
    parts = [canvas.resize((WIDTH, HEIGHT + MARGIN), Image.Resampling.LANCZOS)]
    parts += [_row(views) for views in crops]
    whole = Image.new("RGB", (WIDTH, sum(part.height for part in parts)), WHITE)
    at = 0
    for part in parts:
        whole.paste(part, (0, at))
        at += part.height
    whole.save(path, format="PNG")


def _panel(
    draw: ImageDraw.ImageDraw,
    place: tuple[float, float, float],
    title: str,
    lines: Mapping[str, Points],
) -> None:
    """One chart at (left, top, width)."""
    left, top, width = place
    _text(draw, (left, top), title, SOFT, 15)
    known = [point for line in lines.values() for point in line]
    if not known:
        return
    (x_low, x_high), (y_low, y_high) = (
        (min(values), max(values)) for values in zip(*known, strict=True)
    )
    y_span, x_span = (y_high - y_low) or 1e-3, (x_high - x_low) or 1.0
    x0, x1 = left + LEFT, left + width - 8
    y0, y1 = top + HEIGHT - 2.5 * MARGIN - BOTTOM, top + TOP

    def at(x: float, y: float) -> tuple[float, float]:
        across, up = (x - x_low) / x_span, (y - y_low) / y_span
        return FINE * (x0 + across * (x1 - x0)), FINE * (y0 + up * (y1 - y0))

    for tick in range(TICKS):
        value = y_low + y_span * tick / (TICKS - 1)
        (start, y), (end, _) = at(x_low, value), at(x_high, value)
        draw.line((start, y, end if x_high > x_low else FINE * x1, y), fill=RULE, width=FINE)
        digits = f"{value:.4g}" if y_span > 0.2 else f"{value:.4f}"
        _text(draw, (left + LEFT - 8, y / FINE), digits, SOFT, 12, anchor="rm")
        step = x_low + x_span * tick / (TICKS - 1)
        if x_high > x_low:
            x = at(step, y_low)[0] / FINE
            _text(draw, (x, y0 + 18), f"{step:.0f}", SOFT, 12, anchor="mm")
    for index, (name, line) in enumerate(lines.items()):
        color = COLORS[index % len(COLORS)]
        points = [at(x, y) for x, y in line]
        if len(points) > 1:
            draw.line(points, fill=color, width=2 * FINE, joint="curve")
        if len(points) <= 40:
            for x, y in points:
                draw.circle((x, y), 3 * FINE, fill=color)
        if name:
            best = max(y for _, y in line)
            label = f"{name}: best {best:.2f}"
            spot = (left + width - 150 * (len(lines) - index), top)
            _text(draw, spot, label, color, 14)


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

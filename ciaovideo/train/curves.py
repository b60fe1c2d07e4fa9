"""A picture of a run: its loss, its PSNR on validation pictures, and details of these."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ciaovideo.plot import MARGIN, SOFT, WHITE, WIDTH, Line, Panel, Points, draw_panels

CURVES = "curves.png"


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
    panels = [Panel("L1 of training", [Line(losses[len(losses) // 50 :])], (0, 4))]
    for name, points in psnrs.items():
        best = max(psnr for _, psnr in points)
        heading = f"PSNR of validation at {name}, dB on Y: best {best:.2f}"
        panels.append(Panel(heading, [Line(points)]))
    parts = [draw_panels(title, panels), *map(_row, crops)]
    whole = Image.new("RGB", (WIDTH, sum(part.height for part in parts)), WHITE)
    at = 0
    for part in parts:
        whole.paste(part, (0, at))
        at += part.height
    whole.save(path, format="PNG")


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

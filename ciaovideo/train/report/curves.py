"""A chart of a run: its loss, its PSNR on validation pictures, and crops of these."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from ciaovideo.charts import SOFT, WIDTH, Line, Panel, Points, draw_panels, drawing
from ciaovideo.errors import OptionError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CURVES = "curves.png"
GAP = 0.2  # inches around a crop
LABEL = 0.25  # inches above it

log = logging.getLogger(__name__)


def draw_run(
    path: Path,
    title: str,
    losses: Points,
    psnrs: Mapping[str, Points],
    crops: Sequence[Mapping[str, Tensor]],
) -> None:
    """Write PNG or SVG: the loss and the PSNR at each scale over steps, above the crops.

    Each row of crops has pictures (3, H, W) in [0, 1] by name. Without matplotlib a warning is
    logged instead: a missing chart does not stop training. Raises OSError.
    """
    panels = [Panel("L1 of training", [Line(losses[len(losses) // 50 :])], "step")]
    for name, points in psnrs.items():
        best = max(psnr for _, psnr in points)
        heading = f"PSNR of validation at {name}, dB on Y: best {best:.2f}"
        panels.append(Panel(heading, [Line(points)], "step"))
    heights = [_height(views) + GAP + LABEL for views in crops]
    try:
        with drawing():
            figure = draw_panels(title, panels, below=sum(heights))
            for index, views in enumerate(crops):
                _draw_row(figure, views, sum(heights[index:]))
            figure.savefig(path)
    except OptionError as error:
        log.warning("no %s: %s", path.name, error)


def _side(count: int) -> float:
    """Width in inches of each crop, for so many in a row."""
    return (WIDTH - GAP * (count + 1)) / count


def _height(views: Mapping[str, Tensor]) -> float:
    """Height in inches of the tallest of these crops."""
    return _side(len(views)) * max(view.shape[1] / view.shape[2] for view in views.values())


def _draw_row(figure: "Figure", views: Mapping[str, Tensor], top: float) -> None:
    """Draw views of one place side by side, each with its name, from ``top`` inches downwards."""
    whole = figure.get_figheight()
    width, height = _side(len(views)), _height(views)
    for index, (name, view) in enumerate(views.items()):
        left, bottom = GAP + index * (width + GAP), top - LABEL - height
        box = (left / WIDTH, bottom / whole, width / WIDTH, height / whole)
        axes = figure.add_axes(box, anchor="NW")
        axes.set_axis_off()
        axes.imshow(view.clamp(0, 1).permute(1, 2, 0).cpu().numpy(), interpolation="nearest")
        axes.set_title(name, size=9, color=SOFT)

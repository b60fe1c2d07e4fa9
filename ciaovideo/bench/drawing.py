"""The chart of the growth of cost."""

from pathlib import Path

from ciaovideo.bench.growth import Growth, Point
from ciaovideo.charts import Line, Panel, draw_panels, drawing


def draw_growth(growth: Growth, path: Path) -> None:
    """Write PNG or SVG: a frame's time over its output pixels, a run's over its frames.

    Dots are measurements, lines are the fits. Raises OSError.
    """
    sizes: dict[int, list[Point]] = {}
    for point in growth.points:
        if point.frames == 1:
            sizes.setdefault(point.lr_pixels, []).append(point)
    lines = [
        Line(
            [(point.out_pixels / 1e6, 1000 * point.cpu_s) for point in points],
            f"{pixels / 1e6:.2g} Mpx in",
            [
                (
                    point.out_pixels / 1e6,
                    1000 * (growth.start + growth.per_lr * pixels)
                    + 1000 * growth.per_out * point.out_pixels,
                )
                for point in points
            ],
            index,
        )
        for index, (pixels, points) in enumerate(sizes.items())
    ]
    runs = [(float(run.frames), run.cpu_s) for run in growth.points if run.frames != 1]
    length = Line(runs, fit=[(x, growth.run_start + growth.per_frame * x) for x, _ in runs])
    panels = [
        Panel("CPU ms of a frame", lines, "Mpx out"),
        Panel("CPU seconds of a run", [length], "frames"),
    ]
    with drawing():
        draw_panels("How cost grows: measured, and fitted", panels).savefig(path)

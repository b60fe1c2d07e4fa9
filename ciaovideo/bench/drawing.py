"""The picture of how cost grows."""

from pathlib import Path

from ciaovideo.bench.growth import Growth, Point
from ciaovideo.plot import Line, Panel, draw_panels


def draw_growth(growth: Growth, path: Path) -> None:
    """Write a PNG: a frame's time over the pixels that come out, a run's over its frames.

    Dots are what was measured, lines are the fits. Raises OSError.
    """
    frames = [point for point in growth.points if point.frames == 1]
    sizes: dict[int, list[Point]] = {}
    for point in frames:
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
        )
        for pixels, points in sizes.items()
    ]
    runs = [(float(run.frames), run.cpu_s) for run in growth.points if run.frames != 1]
    length = Line(runs, fit=[(x, growth.run_start + growth.per_frame * x) for x, _ in runs])
    panels = [
        Panel("CPU ms of a frame over Mpx out", lines, (1, 0)),
        Panel("CPU seconds of a run over its frames", [length], (0, 1)),
    ]
    draw_panels("How cost grows: measured, and fitted", panels).save(path, format="PNG")

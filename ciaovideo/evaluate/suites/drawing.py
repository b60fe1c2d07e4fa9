"""The chart of quality over cost."""

from collections.abc import Sequence
from pathlib import Path

from ciaovideo.charts import Line, Panel, draw_panels, drawing
from ciaovideo.evaluate.report import Row
from ciaovideo.evaluate.suites.load import Load


def draw_quality_over_time(
    rows: Sequence[Row], loads: Sequence[Load], scale: float, path: Path, kind: str
) -> None:
    """Write a ``kind``, png or svg: PSNR at a scale over CPU seconds a megapixel, by set.

    A method without a load, or without a score at that scale, is skipped. Raises OSError.
    """
    seconds = {load.method: load.cpu_s for load in loads}
    order = {method: index for index, method in enumerate(seconds)}
    panels = []
    for dataset in dict.fromkeys(row.dataset for row in rows):
        lines = [
            Line([(seconds[row.method], row.scores[scale].psnr)], row.method, (), order[row.method])
            for row in rows
            if row.dataset == dataset and row.method in seconds and scale in row.scores
        ]
        if lines:
            heading = f"PSNR in dB on {dataset}, x{scale:g}"
            panels.append(Panel(heading, lines, "CPU seconds a megapixel", names=False))
    with drawing():
        figure = draw_panels("Quality over time of one core", panels, below=0.3)
        for axes, panel in zip(figure.axes, panels, strict=True):
            axes.set_xscale("log")
            for line in panel.lines:
                axes.annotate(line.name, line.points[0], (6, 4), textcoords="offset points", size=8)
        figure.savefig(path, format=kind.lower())

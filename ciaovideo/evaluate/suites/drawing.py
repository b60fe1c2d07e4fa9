"""The chart of a comparison: quality over cost, and equivariance over scale."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ciaovideo.charts import Line, Panel, draw_panels, drawing
from ciaovideo.errors import OptionError
from ciaovideo.evaluate.report import Row
from ciaovideo.evaluate.suites.load import Load


def draw_comparison(
    rows: Sequence[Row], loads: Sequence[Load], scale: float, path: Path, kind: str
) -> None:
    """Write a ``kind``, png or svg: PSNR at a scale over CPU seconds a megapixel, by set.

    And the equivariance error over scale, if it was measured at two scales or more. A method
    without a load, or without a score at that scale, is skipped in the first. Raises OptionError
    where nothing is left to draw, and OSError.
    """
    seconds = {load.method: load.cpu_s for load in loads}
    order = {method: index for index, method in enumerate(dict.fromkeys(r.method for r in rows))}
    costs, errors = [], []
    for dataset in dict.fromkeys(row.dataset for row in rows):
        own = [row for row in rows if row.dataset == dataset]
        lines = [
            Line([(seconds[row.method], row.scores[scale].psnr)], row.method, (), order[row.method])
            for row in own
            if row.method in seconds and scale in row.scores
        ]
        if lines:
            heading = f"PSNR in dB on {dataset}, x{scale:g}"
            costs.append(Panel(heading, lines, "CPU seconds a megapixel", names=False))
        errors += _equivariance(own, dataset, order)
    if not costs and not errors:
        raise OptionError(
            f"nothing to plot: no network has a score at x{scale:g}",
            "measure a scale that one of them does",
        )
    titles = [("quality over time of one core", costs), ("equivariance over scale", errors)]
    title = ", ".join(words for words, panels in titles if panels).capitalize()
    with drawing():
        figure = draw_panels(title, [*costs, *errors], below=0.3)
        for axes, panel in zip(figure.axes, costs, strict=False):  # errors follow
            axes.set_xscale("log")
            for line in panel.lines:
                axes.annotate(line.name, line.points[0], (6, 4), textcoords="offset points", size=8)
        figure.savefig(path, format=kind.lower())


def _equivariance(rows: Sequence[Row], dataset: str, order: Mapping[str, int]) -> list[Panel]:
    """The panel of a set; none where only one scale was measured."""
    lines = []
    for row in rows:
        measured = sorted((at, score.equivariance) for at, score in row.scores.items())
        points = [(at, error) for at, error in measured if error is not None]
        lines.append(Line(points, row.method, (), order[row.method]))
    ticks = sorted({at for line in lines for at, _ in line.points})
    heading = f"Equivariance error in dB on {dataset}: less is more consistent"
    panel = Panel(heading, lines, "scale", ticks, names=False, legend=True)
    return [panel] if len(ticks) > 1 else []

"""The report as one self-contained HTML file: tables, charts, crops with a slider."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ciaovideo.charts import COLORS, Line
from ciaovideo.evaluate.crops import TRUTH, Crop
from ciaovideo.evaluate.protocol import Score
from ciaovideo.evaluate.report import COST_TITLE, MISSING, Report, Row
from ciaovideo.pages.page import Chart, Views, chart, fill, webp_uri

FRAME_TICKS = 10  # at most, on the time axis
FRAME_STEPS = tuple(factor * 10**power for power in range(9) for factor in (1, 2, 5))


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table: a figure, smaller ones after it, and whether it is the best."""

    text: str
    small: tuple[str, ...] = ()
    best: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of a table: its name, its cells, and the class of its mark or its source."""

    name: str
    cells: tuple[Cell, ...]
    mark: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """The page's section on one set."""

    name: str
    about: str
    measured: tuple[Entry, ...]
    published: tuple[Entry, ...]
    legend: tuple[tuple[str, str], ...]
    charts: tuple[Chart, ...]
    more_charts: tuple[Chart, ...]
    crops: tuple[Views, ...]


def as_html(report: Report, crops: Sequence[Crop], about: Sequence[str], shown_scale: float) -> str:
    """The page; ``about`` are lines on how the figures were measured.

    Charts over time are unfolded for ``shown_scale`` alone.
    """
    methods = list(dict.fromkeys(row.method for row in report.rows if not row.source))
    return fill(
        "ciaovideo.evaluate",
        "page.html",
        about=about,
        methods=methods,
        missing=MISSING,
        scales=report.scales,
        sections=[
            _section(report, name, methods, [crop for crop in crops if crop.dataset == name],
                     shown_scale)
            for name in report.sections()
        ],
        shown_scale=shown_scale,
        overview=_overview(report, methods),
        costs=report.tables()[-1][1] if report.costs else [],
        cost_title=COST_TITLE,
        sources=_sources(report),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """A coded set at one scale: the table over codings, and PSNR over the quality of each codec."""

    name: str
    about: str
    cells: Sequence[Sequence[str]]
    legend: tuple[tuple[str, str], ...]
    charts: tuple[Chart, ...]


def _overview(report: Report, methods: list[str]) -> list[Overview]:
    """An overview for each coded set and scale."""
    order = {name: index for index, name in enumerate(methods)}
    made = []
    for dataset in dict.fromkeys(row.dataset for row in report.rows if row.coding):
        rows = [row for row in report.rows if row.dataset == dataset]
        for scale in report.scales:
            own = [row for row in rows if scale in row.scores]
            made.append(
                Overview(
                    name=f"{dataset} x{scale:g}",
                    about=report.title(own[0].section),
                    cells=report.over_codings(dataset, scale),
                    legend=tuple((mark(order[name]), name) for name in methods),
                    charts=tuple(_over_quality(own, order, scale)),
                )
            )
    return made


def _over_quality(rows: Sequence[Row], order: Mapping[str, int], scale: float) -> Iterable[Chart]:
    """PSNR over each codec's quality, and the gain over Lanczos or bicubic, if measured."""
    points: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for row in rows:
        axis, _, quality = row.coding.rpartition(" ")
        if axis:
            by_method = points.setdefault(axis, {})
            by_method.setdefault(row.method, []).append((float(quality), row.scores[scale].psnr))
    for axis, by_method in points.items():
        ticks = sorted({x for line in by_method.values() for x, _ in line})
        if len(ticks) < 2:
            continue
        lines = [Line(sorted(line), name, (), order[name]) for name, line in by_method.items()]
        yield from chart(f"PSNR over {axis}, dB on Y", lines, axis, ticks)
        base = next((name for name in ("lanczos", "bicubic") if name in by_method), None)
        if base is None or len(lines) < 2:
            continue
        under = dict(by_method[base])
        gains = [
            Line([(x, y - under[x]) for x, y in line.points], line.name, (), line.index)
            for line in lines
        ]
        yield from chart(f"Gain over {base}, dB", gains, axis, ticks)


def _sources(report: Report) -> list[str]:
    sources = [row.source for row in report.rows] + [cost.source for cost in report.costs]
    return [source for source in dict.fromkeys(sources) if source]


def _section(
    report: Report, dataset: str, methods: list[str], crops: Sequence[Crop], shown_scale: float
) -> Section:
    rows = [row for row in report.rows if row.section == dataset]
    measured = [row for row in rows if not row.source]
    papers = [row for row in rows if row.source]
    order = {name: index for index, name in enumerate(methods)}
    over_time = {scale: _over_time(measured, order, scale) for scale in report.scales}
    charts = (
        *_over_scale(measured, papers, order, report.scales),
        *_equivariance(measured, order, report.scales),
        *over_time[shown_scale],
    )
    legend = [(mark(order[row.method]), row.method) for row in measured]
    if papers:
        legend.append((mark(None), f"{len(papers)} published methods"))
    return Section(
        name=dataset,
        about=report.title(dataset),
        measured=tuple(_measured(measured, order, report.scales)),
        published=tuple(_published(papers, measured, report.scales)),
        legend=tuple(legend) if charts else (),
        charts=charts,
        more_charts=tuple(
            chart
            for scale, shown in over_time.items()
            if scale != shown_scale
            for chart in shown
        ),
        crops=tuple(map(_views, crops)),
    )  # fmt: skip


def mark(index: int | None) -> str:
    """The class of a method's mark; a published one has no index."""
    return "paper" if index is None else f"s{index % len(COLORS)}"


def _measured(
    rows: Sequence[Row], order: Mapping[str, int], scales: Sequence[float]
) -> Iterable[Entry]:
    best = {
        scale: max((row.scores[scale].psnr for row in rows if scale in row.scores), default=0.0)
        for scale in scales
    }
    for row in rows:
        cells = tuple(_cell(row.scores.get(scale), best[scale]) for scale in scales)
        yield Entry(row.method, cells, mark(order[row.method]))


def _cell(score: Score | None, best: float) -> Cell:
    if score is None:
        return Cell(MISSING)
    small = (
        *([f"{score.ssim:.4f}"] if score.ssim is not None else []),
        *([f"{score.lpips:.4f}"] if score.lpips is not None else []),
        *([f"{score.equivariance:.2f}"] if score.equivariance is not None else []),
        *([f"{score.temporal:.2f}"] if score.temporal is not None else []),
        *([f"{score.shift:.2f}"] if score.shift is not None else []),
        *([f"({score.true_shift:.2f})"] if score.true_shift is not None else []),
    )
    return Cell(f"{score.psnr:.2f}", small, score.psnr == best)


def _published(
    papers: Sequence[Row], measured: Sequence[Row], scales: Sequence[float]
) -> Iterable[Entry]:
    """Published rows, each figure with its difference from the first measured method's."""
    for row in papers:
        cells = []
        for scale in scales:
            score, own = row.scores.get(scale), measured[0].scores.get(scale)
            far = (f"{score.psnr - own.psnr:+.2f}",) if score and own else ()
            cells.append(Cell(MISSING if score is None else f"{score.psnr:.2f}", far))
        yield Entry(row.method, tuple(cells), source=row.source)


def _over_scale(
    rows: Sequence[Row], papers: Sequence[Row], order: Mapping[str, int], scales: Sequence[float]
) -> Iterable[Chart]:
    """PSNR over scale, and the gain over bicubic, if measured, which shows small differences."""
    if len(scales) < 2:
        return
    ticks = sorted(scales)
    lines = [
        Line(_points(row), row.method, index=order.get(row.method) if not row.source else None)
        for row in (*rows, *papers)
    ]
    yield from chart(f"PSNR over scale, dB on {rows[0].channel}", lines, "scale", ticks)
    base = next((row for row in rows if row.method == "bicubic"), None)
    if base is None or len(lines) < 2:
        return
    under = {scale: score.psnr for scale, score in base.scores.items()}
    gains = [
        Line([(x, y - under[x]) for x, y in line.points if x in under], line.name, (), line.index)
        for line in lines
    ]
    yield from chart("Gain over bicubic, dB", gains, "scale", ticks)


def _equivariance(
    rows: Sequence[Row], order: Mapping[str, int], scales: Sequence[float]
) -> Iterable[Chart]:
    """The equivariance error over scale, if measured."""
    lines = [
        Line(
            sorted(
                (scale, score.equivariance)
                for scale, score in row.scores.items()
                if score.equivariance is not None
            ),
            row.method,
            index=order[row.method],
        )
        for row in rows
    ]
    if len(scales) > 1:
        heading = "Equivariance error over scale, dB: less is more consistent"
        yield from chart(heading, lines, "scale", sorted(scales))


def _points(row: Row) -> tuple[tuple[float, float], ...]:
    return tuple(sorted((scale, score.psnr) for scale, score in row.scores.items()))


def _over_time(rows: Sequence[Row], order: Mapping[str, int], scale: float) -> tuple[Chart, ...]:
    """PSNR and temporal error of every frame of a video at a scale; nothing for pictures."""
    clips = [(row.method, row.scores[scale].frames) for row in rows if scale in row.scores]
    count = max((len(frames) for _, frames in clips), default=0)
    if count < 2:
        return ()
    ticks = range(0, count, next(step for step in FRAME_STEPS if step * FRAME_TICKS >= count))
    psnr, temporal = [], []
    for name, frames in clips:
        values = [(float(at), frame.psnr) for at, frame in enumerate(frames)]
        psnr.append(Line(values, name, (), order[name]))
        changes = [(float(at), frame.temporal) for at, frame in enumerate(frames)]
        known = [(at, change) for at, change in changes if change is not None]
        temporal.append(Line(known, name, (), order[name]))
    return (
        *chart(f"PSNR over time at x{scale:g}, dB on Y", psnr, "frame", ticks),
        *chart(
            f"Temporal error at x{scale:g}, 8-bit steps of Y: less is steadier",
            temporal,
            "frame",
            ticks,
        ),
    )


def _views(crop: Crop) -> Views:
    """One crop with its slider: initially interpolation left, our first method right."""
    labels = list(crop.views)
    methods = [label for label in labels[1:] if label != TRUTH]
    after = methods[0]
    before = "bicubic" if "bicubic" in methods and after != "bicubic" else labels[0]
    pictures = {label: webp_uri(content) for label, content in crop.views.items()}
    return Views(crop.name, crop.size, pictures, before, after)

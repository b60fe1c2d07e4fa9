"""The report as one HTML file that needs nothing else: tables, charts, crops with a slider."""

import base64
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from importlib.resources import files
from string import Template

from ciaovideo.evaluate.charts import Line, color_class, line_chart
from ciaovideo.evaluate.crops import TRUTH, Crop
from ciaovideo.evaluate.protocol import Score
from ciaovideo.evaluate.report import COST_TITLE, MISSING, Report, Row

FRAME_TICKS = 10  # at most, below charts over time
FRAME_STEPS = tuple(factor * 10**power for power in range(9) for factor in (1, 2, 5))


def as_html(report: Report, crops: Sequence[Crop], about: Sequence[str], shown_scale: float) -> str:
    """The page; ``about`` are lines of text that say how it was measured.

    ``shown_scale`` is the scale whose charts over time are open at once.
    """
    page = Template((files("ciaovideo.evaluate") / "page.html").read_text(encoding="utf-8"))
    ours = _methods(report)
    datasets = report.datasets()
    sections = [
        _section(f"set{number}", report, name, shown_scale)
        + _crops([crop for crop in crops if crop.dataset == name])
        + "</section>"
        for number, name in enumerate(datasets)
    ]
    links = [(f"set{number}", name) for number, name in enumerate(datasets)]
    if report.costs:
        sections.append(_costs(report))
        links.append(("cost", "cost"))
    return page.substitute(
        title=escape(f"Measured: {', '.join(ours)}"),
        about="".join(f"<p>{escape(line)}</p>" for line in about),
        links="".join(f'<a href="#{place}">{escape(name)}</a>' for place, name in links),
        sections="".join(sections),
        sources=_sources(report),
    )


def _methods(report: Report) -> list[str]:
    return list(dict.fromkeys(row.method for row in report.rows if not row.source))


def _section(place: str, report: Report, dataset: str, shown_scale: float) -> str:
    """Tables and charts of a set; the section is left open for its crops."""
    rows = [row for row in report.rows if row.dataset == dataset]
    measured = [row for row in rows if not row.source]
    papers = [row for row in rows if row.source]
    order = {name: index for index, name in enumerate(_methods(report))}
    over_time = {scale: _over_time(measured, order, scale) for scale in report.scales}
    others = "".join(charts for scale, charts in over_time.items() if scale != shown_scale)
    charts = _over_scale(measured, papers, order, report.scales) + over_time[shown_scale]
    parts = [
        f'<section id="{place}"><h2>{escape(dataset)}</h2>',
        f'<p class="about">{escape(report.title(dataset))}</p>',
        _table(_measured_lines(measured, order, report.scales), dataset, report.scales),
        _papers(papers, measured, report.scales),
        _legend(measured, papers, order) if charts else "",
        f'<div class="charts">{charts}</div>' if charts else "",
        "<details><summary>Other scales over time</summary>"
        f'<div class="charts">{others}</div></details>'
        if others
        else "",
    ]
    return "".join(parts)


def _table(lines: Iterable[str], heading: str, scales: Sequence[float]) -> str:
    columns = "".join(f"<th>x{scale:g}</th>" for scale in scales)
    head = f"<thead><tr><th>{escape(heading)}</th>{columns}</tr></thead>"
    return f'<div class="wide"><table>{head}<tbody>{"".join(lines)}</tbody></table></div>'


def _measured_lines(
    rows: Sequence[Row], order: dict[str, int], scales: Sequence[float]
) -> Iterator[str]:
    best = {
        scale: max((row.scores[scale].psnr for row in rows if scale in row.scores), default=0.0)
        for scale in scales
    }
    for row in rows:
        mark = f'<span class="mark {color_class(order[row.method])}"></span>'
        cells = []
        for scale in scales:
            score = row.scores.get(scale)
            style = ' class="best"' if score and score.psnr == best[scale] else ""
            cells.append(f"<td{style}>{_figures(score)}</td>")
        yield f"<tr><td>{mark}{escape(row.method)}</td>{''.join(cells)}</tr>"


def _figures(score: Score | None) -> str:
    if score is None:
        return MISSING
    small = [
        *([f"{score.ssim:.4f}"] if score.ssim is not None else []),
        *([f"{score.lpips:.4f}"] if score.lpips is not None else []),
        *([f"{score.temporal:.2f}"] if score.temporal is not None else []),
    ]
    return f"{score.psnr:.2f}" + "".join(f"<small>{each}</small>" for each in small)


def _papers(papers: Sequence[Row], measured: Sequence[Row], scales: Sequence[float]) -> str:
    """Published rows, each figure with its distance to the first method measured."""
    if not papers:
        return ""
    ours = measured[0]
    lines = []
    for row in papers:
        cells = []
        for scale in scales:
            score, own = row.scores.get(scale), ours.scores.get(scale)
            far = f"<small>{score.psnr - own.psnr:+.2f}</small>" if score and own else ""
            cells.append(f"<td>{MISSING if score is None else f'{score.psnr:.2f}{far}'}</td>")
        name = f'<td title="{escape(row.source)}">{escape(row.method)}</td>'
        lines.append(f"<tr>{name}{''.join(cells)}</tr>")
    told = f"{len(papers)} published methods, and how far they are from {ours.method}"
    table = _table(lines, "published", scales)
    return f"<details><summary>{escape(told)}</summary>{table}</details>"


def _over_scale(
    rows: Sequence[Row], papers: Sequence[Row], order: dict[str, int], scales: Sequence[float]
) -> str:
    """PSNR over scale; and the gain over bicubic where that was measured, which shows more."""
    if len(scales) < 2:
        return ""
    ticks = sorted(scales)
    lines = [
        Line(row.method, _points(row), order.get(row.method) if not row.source else None)
        for row in (*rows, *papers)
    ]
    title = f"PSNR over scale, dB on {rows[0].channel}"
    chart = line_chart(lines, title=title, x_label="scale", x_ticks=ticks)
    base = next((row for row in rows if row.method == "bicubic"), None)
    if base is None or len(lines) < 2:
        return chart
    under = {scale: score.psnr for scale, score in base.scores.items()}
    gains = [
        Line(each.name, tuple((x, y - under[x]) for x, y in each.points if x in under), each.index)
        for each in lines
    ]
    title = "Gain over bicubic, dB"
    return chart + line_chart(gains, title=title, x_label="scale", x_ticks=ticks)


def _points(row: Row) -> tuple[tuple[float, float], ...]:
    return tuple(sorted((scale, score.psnr) for scale, score in row.scores.items()))


def _over_time(rows: Sequence[Row], order: dict[str, int], scale: float) -> str:
    """PSNR and temporal error of every frame of a video at a scale; nothing for pictures."""
    clips = [(row.method, row.scores[scale].frames) for row in rows]
    count = max(len(frames) for _, frames in clips)
    if count < 2:
        return ""
    ticks = range(0, count, next(step for step in FRAME_STEPS if step * FRAME_TICKS >= count))
    psnr, temporal = [], []
    for name, frames in clips:
        values = [(float(at), frame.psnr) for at, frame in enumerate(frames)]
        psnr.append(Line(name, tuple(values), order[name]))
        changes = [(float(at), frame.temporal) for at, frame in enumerate(frames)]
        known = tuple((at, change) for at, change in changes if change is not None)
        temporal.append(Line(name, known, order[name]))
    charts = (
        (psnr, f"PSNR over time at x{scale:g}, dB on Y"),
        (temporal, f"Temporal error at x{scale:g}, 8-bit steps of Y: less is steadier"),
    )
    return "".join(
        line_chart(lines, title=title, x_label="frame", x_ticks=ticks) for lines, title in charts
    )


def _legend(rows: Sequence[Row], papers: Sequence[Row], order: dict[str, int]) -> str:
    marks = [(color_class(order[row.method]), row.method) for row in rows]
    if papers:
        marks.append((color_class(None), f"{len(papers)} published methods"))
    spans = "".join(
        f'<span><span class="mark {style}"></span>{escape(name)}</span>' for style, name in marks
    )
    return f'<div class="legend">{spans}</div>'


def _crops(crops: Sequence[Crop]) -> str:
    if not crops:
        return ""
    title = f"<h3>Details at x{crops[0].scale:g}: drag to compare</h3>"
    return f'{title}<div class="crops">{"".join(map(_compare, crops))}</div>'


def _compare(crop: Crop) -> str:
    """One crop with its slider: at first interpolation on the left, our first method right."""
    labels = list(crop.views)
    methods = [label for label in labels[1:] if label != TRUTH]
    after = methods[0]
    before = "bicubic" if "bicubic" in methods and after != "bicubic" else labels[0]
    pictures = "".join(
        f'<img alt="{escape(label)}" draggable="false" src="data:image/webp;base64,'
        f'{base64.b64encode(content).decode()}">'
        for label, content in crop.views.items()
    )
    height, width = crop.size
    return (
        f'<figure class="compare"><div class="name">{escape(crop.name)}</div>'
        f'<div class="stage" style="aspect-ratio:{width}/{height}">{pictures}'
        '<div class="handle"></div><input type="range" min="0" max="100" step="0.1" value="50" '
        f'aria-label="{escape(crop.name)}: how much of the left picture is shown"></div>'
        f'<div class="choice">{_choice(labels, before, "left")}'
        f"{_choice(labels, after, 'right')}</div></figure>"
    )


def _choice(labels: Sequence[str], chosen: str, side: str) -> str:
    options = "".join(
        f"<option{' selected' if label == chosen else ''}>{escape(label)}</option>"
        for label in labels
    )
    return f'<select aria-label="{side} picture">{options}</select>'


def _costs(report: Report) -> str:
    heading, *lines = report.tables()[-1][1]
    head = "".join(f"<th>{escape(cell)}</th>" for cell in heading)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in line)}</tr>" for line in lines
    )
    return (
        f'<section id="cost"><h2>Cost</h2><p class="about">{escape(COST_TITLE)}</p>'
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
        "</div></section>"
    )


def _sources(report: Report) -> str:
    sources = dict.fromkeys(
        [row.source for row in report.rows if row.source]
        + [each.source for each in report.costs if each.source]
    )
    if not sources:
        return ""
    items = "".join(f"<li>{escape(source)}</li>" for source in sources)
    return f"Published figures come from:<ul>{items}</ul>"

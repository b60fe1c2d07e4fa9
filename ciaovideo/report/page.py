"""The preservation report as one HTML file, or as JSON."""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from ciaovideo.charts import Line
from ciaovideo.findings import Kind
from ciaovideo.pages.page import Chart, Views, chart, fill, webp_uri, write_page
from ciaovideo.report.fidelity import Fidelity
from ciaovideo.report.preservation import Preservation, check_report

MOST_POINTS = 600  # of a line: more than a screen resolves
PARTS = {
    "video": "Picture",
    "color": "Colour",
    "times": "Times",
    "streams": "Sound, subtitles and other streams",
    "metadata": "Metadata",
}
GRAVE = (Kind.WRONG, Kind.DAMAGED, Kind.LOST, Kind.GUESSED)


def as_html(report: Preservation) -> str:
    """The page of a report; raises OptionError if matplotlib is not installed."""
    fidelity = report.fidelity
    made = fidelity.mean_flicker[1]
    return fill(
        "ciaovideo.report",
        "preservation.html",
        report=report,
        parts=[
            (title, [fact for fact in report.facts if fact.part == part])
            for part, title in PARTS.items()
        ],
        grave=[one for one in report.findings if one.kind in GRAVE and one.kind != Kind.GUESSED],
        others=[one for one in report.findings if one.kind not in GRAVE],
        numbers=_figures(fidelity),
        consistency=list(_consistency(fidelity)),
        flicker=list(_flicker(fidelity)),
        legend=[] if math.isnan(made) else [("s0", "source"), ("s1", "output")],
        thumbnails=[(clock(one.time), webp_uri(one.webp)) for one in fidelity.sheet],
        worst=[
            Views(
                f"frame {one.frame} at {clock(one.time)}: {one.psnr:.1f} dB",
                one.size,
                {label: webp_uri(content) for label, content in one.views.items()},
                "bicubic",
                "output",
            )
            for one in fidelity.worst
        ],
    )


def write_report(report: Preservation, path: str | Path) -> None:
    """Write the report as a page or as JSON, by suffix; replaces an existing file.

    Raises OptionError for another suffix or without matplotlib, and EncodeError if writing fails.
    """
    file = Path(path)
    check_report(file)
    if file.suffix.lower() == ".json":
        text = json.dumps(report.plain(), indent=1, allow_nan=False)
    else:
        text = as_html(report)
    write_page(file, text)


def clock(seconds: float) -> str:
    """A time for people: 1:02:03.4."""
    minutes, rest = divmod(max(seconds, 0.0), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"


def _figures(fidelity: Fidelity) -> list[tuple[str, str]]:
    """Names and values of the figures."""
    psnr = fidelity.psnr
    figures = []
    if psnr:
        figures.append(("frames compared", str(len(psnr))))
        figures.append(("consistency, mean", f"{fidelity.mean_psnr:.1f} dB"))
        figures.append(("consistency, worst frame", f"{min(psnr):.1f} dB"))
    given, made = fidelity.mean_flicker
    if not math.isnan(made):
        figures.append(("flicker of the source", f"{given:.2f}"))
        figures.append(("flicker of the output", f"{made:.2f}"))
    return figures


def _consistency(fidelity: Fidelity) -> Iterator[Chart]:
    points = _thinned(fidelity.times, fidelity.psnr, least=True)
    heading = "PSNR of the output, reduced again, dB on Y: less means more invented detail"
    yield from chart(heading, [Line(points, "output")], "seconds")


def _flicker(fidelity: Fidelity) -> Iterator[Chart]:
    lines = [
        Line(_thinned(fidelity.times, values, least=False), name, (), index)
        for index, (name, values) in enumerate(
            (("source", fidelity.source_flicker), ("output", fidelity.output_flicker))
        )
    ]
    heading = "Change of still areas, 8-bit steps of Y: less is steadier"
    yield from chart(heading, lines, "seconds")


def _thinned(
    times: Sequence[float], values: Sequence[float], *, least: bool
) -> list[tuple[float, float]]:
    """At most ``MOST_POINTS`` points, each the worst of its neighbours."""
    known = [(at, value) for at, value in zip(times, values, strict=True) if not math.isnan(value)]
    step = -(-len(known) // MOST_POINTS) or 1
    groups = (known[start : start + step] for start in range(0, len(known), step))
    worst = min if least else max
    return [worst(group, key=lambda point: point[1]) for group in groups]

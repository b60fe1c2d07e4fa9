"""A preview as one HTML file."""

from pathlib import Path

from ciaovideo.pages.page import Views, fill, webp_uri, write_page
from ciaovideo.report.page import clock
from ciaovideo.report.preview import CHOSEN, SOURCE, Preview

UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def write_preview(preview: Preview, path: str | Path) -> None:
    """Write the page, replacing an old one; raises OptionError or EncodeError on failure."""
    write_page(Path(path), _as_html(preview))


def _as_html(preview: Preview) -> str:
    plan = preview.plan
    numbers = [
        ("output", f"{plan.out_size[1]}x{plan.out_size[0]}"),
        ("a frame takes", f"{preview.seconds_per_frame:.2g} s"),
    ]
    if preview.seconds:
        numbers.append((f"{plan.frames} frames take about", about_time(preview.seconds)))
        numbers.append(("and fill about", about_size(preview.bytes)))
    return fill(
        "ciaovideo.report",
        "preview.html",
        preview=preview,
        numbers=numbers,
        crops=[
            Views(
                clock(place.time),
                place.size,
                {name: webp_uri(content) for name, content in place.views.items()},
                "bicubic" if "bicubic" in place.views else SOURCE,
                CHOSEN,
            )
            for place in preview.places
        ],
        thumbnails=[(clock(place.time), webp_uri(place.whole)) for place in preview.places],
    )


def about_time(seconds: float) -> str:
    """A long time in words: 3.4 hours."""
    for length, unit in ((3600, "hours"), (60, "minutes")):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} seconds"


def about_size(size: float) -> str:
    """A file's size in words: 4.2 GB."""
    for length, unit in UNITS:
        if size >= length:
            return f"{size / length:.1f} {unit}"
    return f"{size:.0f} bytes"

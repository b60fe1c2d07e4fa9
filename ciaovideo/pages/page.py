"""Templates filled with charts and with pictures under a slider, as one HTML file."""

import base64
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, PrefixLoader, StrictUndefined
from markupsafe import Markup

from ciaovideo.charts import COLORS, INK, PAPER, RULE, SOFT, Line, Panel, drawing
from ciaovideo.errors import CHECK_DISK, EncodeError, OptionError
from ciaovideo.pages.inline import inline_svg
from ciaovideo.storage.atomic import atomic_output


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart with its heading."""

    heading: str
    svg: Markup


@dataclass(frozen=True, slots=True)
class Views:
    """One place by several methods: pictures as data URIs, and the two that are shown first.

    ``size`` is (height, width) in px. A picture that has fewer is stretched.
    """

    name: str
    size: tuple[int, int]
    pictures: Mapping[str, str]
    before: str
    after: str


def check_place(page: Path, *, charts: bool = True) -> None:
    """Raise OptionError if a page could not be written, or its charts not be drawn."""
    if page.is_dir() or not os.access(page.absolute().parent, os.W_OK):
        raise OptionError(f"{page} cannot be written", "name a file in a folder of yours")
    if charts:
        with drawing():
            pass


def fill(part: str, template: str, **values: Any) -> str:
    """A page from a template of a part (``ciaovideo.evaluate``); all text in it is escaped."""
    loader = ChoiceLoader(
        [PackageLoader(part), PrefixLoader({"pages": PackageLoader("ciaovideo.pages")})]
    )
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    colors = {"ink": INK, "soft": SOFT, "rule": RULE, "paper": PAPER}
    return environment.get_template(template).render(colors=colors, series=COLORS, **values)


def write_page(page: Path, text: str) -> None:
    """Write a page, replacing an old one; raises EncodeError on failure.

    Bytes of file names that are no UTF-8 are shown as escapes.
    """
    try:
        with atomic_output(page, overwrite=True) as temporary:
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as cause:
        raise EncodeError(f"writing {page}: {cause.strerror}", CHECK_DISK) from cause


def chart(
    heading: str, lines: Sequence[Line], x_label: str, x_ticks: Sequence[float] = ()
) -> Iterator[Chart]:
    """The chart, if it has a finite point. The page's legend names the lines."""
    svg = inline_svg(Panel(heading, lines, x_label, x_ticks, names=False))
    if svg:
        yield Chart(heading, Markup(svg))  # made here: its text is escaped already


def webp_uri(content: bytes) -> str:
    """A WebP file as a data URI."""
    return f"data:image/webp;base64,{base64.b64encode(content).decode()}"

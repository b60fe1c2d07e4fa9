"""A chart as SVG inside a page: in the page's colours, each point with its figure as tooltip."""

import io
import re
from xml.etree import ElementTree

from ciaovideo.charts import (
    COLORS,
    INK,
    PAPER,
    RULE,
    SOFT,
    Panel,
    draw_panel,
    drawing,
    hits,
)

SIZE = (5.6, 3.0)  # inches
ROOM = {"left": 0.1, "right": 0.98, "top": 0.96, "bottom": 0.16}
VARIABLES = {PAPER: "paper", INK: "ink", SOFT: "soft", RULE: "rule"} | {
    value: f"s{index}" for index, value in enumerate(COLORS)
}
NOTHING_ELSE: dict[str, str | None] = dict.fromkeys(("Creator", "Date", "Format", "Type"))


def inline_svg(panel: Panel) -> str:
    """The panel without its heading, which the page prints; "" if no point can be drawn."""
    if not any(line.finite for line in panel.lines):
        return ""
    root = ElementTree.fromstring(_drawn(panel))
    for number, line in enumerate(panel.lines):
        group = root.find(f".//*[@id='{hits(number)}']")
        if group is None:
            continue
        marks = [each for each in group.iter() if each.tag.endswith("}use")]
        for mark, (x, y) in zip(marks, line.finite, strict=True):
            ElementTree.SubElement(mark, "title").text = f"{line.name}, {x:g}: {y:.2f}"
    _make_plain(root)
    root.set("role", "img")
    root.set("aria-label", panel.heading)
    return ElementTree.tostring(root, encoding="unicode")


def _drawn(panel: Panel) -> bytes:
    with drawing():
        from matplotlib.figure import Figure

        figure = Figure(figsize=SIZE)
        axes = figure.subplots(gridspec_kw=ROOM)
        draw_panel(axes, panel)
        axes.set_title("")
        content = io.BytesIO()
        figure.savefig(content, format="svg", transparent=True, metadata=NOTHING_ELSE)
    return content.getvalue()


def _make_plain(root: ElementTree.Element) -> None:
    """Drop attributes that the page sets (fonts, sizes, colours), clipping, unused ids.

    The remaining ids are digests of shapes: equal ids name equal shapes.
    """
    for each in root.iter():
        each.tag = each.tag.rpartition("}")[2]
        each.attrib.pop("clip-path", None)  # nothing is drawn outside
        for key in list(each.attrib):
            each.attrib[key.rpartition("}")[2]] = each.attrib.pop(key)
        style = re.sub(r"font-family:[^;]*;?", "", each.get("style", ""))
        for value, variable in VARIABLES.items():
            style = style.replace(value, f"var(--{variable})")
        if style:
            each.set("style", style)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    referred = {each.get("href", "").removeprefix("#") for each in root.iter()}
    for each in root.iter():
        if each.get("id") not in referred:
            each.attrib.pop("id", None)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in ("style", "clipPath"):
                parent.remove(child)

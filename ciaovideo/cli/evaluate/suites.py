"""Suites of ``ciaovideo evaluate``, and the chart of a comparison."""

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from ciaovideo.errors import EncodeError, OptionError

if TYPE_CHECKING:
    from ciaovideo.evaluate.report import Report

SCALES = (2.0, 3.0, 4.0)
SUITES = ("neighbours",)


def complete(arguments: Namespace) -> None:
    """Fill in a suite's defaults; raises OptionError if no method is named."""
    from ciaovideo.evaluate.suites import SUITES as DEFINED

    suite = DEFINED[arguments.suite] if arguments.suite else None
    arguments.models = arguments.models or (suite.models() if suite else [])
    if not arguments.models:
        raise OptionError("no model to measure is named", "name a model, or a suite")
    arguments.scales = arguments.scales or (suite.scales if suite else SCALES)
    arguments.load = arguments.load or suite is not None or arguments.plot is not None


def draw(arguments: Namespace, report: "Report") -> None:
    """Write the chart; raises OptionError where there is nothing to draw, and EncodeError."""
    from ciaovideo.evaluate.suites.drawing import draw_comparison
    from ciaovideo.storage.atomic import replacing

    scale = shown_scale(arguments.scales)
    try:
        with replacing(arguments.plot) as part:
            kind = arguments.plot.suffix.removeprefix(".")
            draw_comparison(report.rows, report.loads, scale, part, kind)
    except OSError as cause:
        raise unwritten(arguments.plot, cause) from cause


def unwritten(path: Path, cause: OSError) -> EncodeError:
    """The error for a file that cannot be written."""
    return EncodeError(f"{path}: {cause.strerror}", "make room, or name another file")


def shown_scale(scales: tuple[float, ...]) -> float:
    """The scale of the crops: the largest that networks are trained for."""
    trained = [scale for scale in scales if scale <= 4]
    return max(trained, default=min(scales))

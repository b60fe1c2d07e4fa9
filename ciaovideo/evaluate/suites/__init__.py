"""Comparisons by one command: which networks, at which scales.

A network takes part if it has bundled weights. Its cost is measured beside its quality (``load``),
and drawn with it (``drawing``).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from ciaovideo.evaluate.baselines import BASELINES
from ciaovideo.models.weights import list_models


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Networks by name, and the scales of the comparison."""

    about: str
    names: tuple[str, ...]
    scales: tuple[float, ...]

    def models(self) -> list[str]:
        """The networks that can be measured here: with weights, or without need of any."""
        there = {*list_models(), *BASELINES}
        return [name for name in self.names if name in there]


SUITES: Mapping[str, Suite] = {
    "neighbours": Suite(
        about="networks for arbitrary scales, trained alike",
        names=(
            "bicubic",
            "metasr",
            "liif",
            "lte",
            "itsrn",
            "hiif",
            "eqsr",
            "asdn",
            "fsdn",
            "c2d",
            "ciaosr-fast",
        ),
        scales=(1.55, 2.0, 2.5, 3.0, 4.0, 6.0, 8.0, 12.0),
    )
}

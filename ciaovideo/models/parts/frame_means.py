"""Means of maps over a whole frame, computed one after the other."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ciaovideo.models.protocols import NOTHING, Latent, Statistics
from ciaovideo.tiling import Rect

WANTED = "wanted"  # the map that the pass at hand is to sum
SUM = "sum "  # and the number of the mean, from 0


class FrameMeans:
    """The means that a network knows of a frame, and the next one that it needs.

    Given NOTHING, a mean is that of the map at hand. Else it is the sum of an earlier pass over
    the number of the frame's samples; where no pass has made it yet, ``of`` answers None and keeps
    the map in ``wanted``: the network stops, and the engine sums that map over all tiles. ``asked``
    is the number of means that were taken before, in ``encode``.
    """

    def __init__(self, statistics: Statistics, asked: int = 0) -> None:
        self._statistics = statistics
        self._asked = asked
        self.wanted: Tensor | None = None

    def of(self, features: Tensor, count: int) -> Tensor | None:
        """The mean of a map (B, C, h, w) over a frame of ``count`` samples: (B, C)."""
        if self._statistics is NOTHING:
            return features.mean(dim=(-2, -1), dtype=torch.float32).to(features.dtype)
        name = f"{SUM}{self._asked}"
        self._asked += 1
        if name in self._statistics:
            return (self._statistics[name] / count).to(features.dtype)
        self.wanted = features
        return None


def sums_in(latent: Mapping[str, Tensor]) -> Statistics:
    """The sums that a latent carries; NOTHING without any."""
    found = {name: value for name, value in latent.items() if name.startswith(SUM)}
    return found or NOTHING


def summed(latent: Latent, box: Rect) -> Statistics:
    """The next sum: of a box of the map that is wanted."""
    return next_sum(latent, latent[WANTED][(..., *box.slices)])


def next_sum(latent: Latent, own: Tensor) -> Statistics:
    """The next sum, over the samples (B, C, h, w) that a tile owns."""
    return {f"{SUM}{len(sums_in(latent))}": own.sum(dim=(-2, -1), dtype=torch.float32)}

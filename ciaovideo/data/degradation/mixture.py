"""Several degradations in one training: one is drawn for each group of patches."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ciaovideo.data.degradation.chain import Degraded
from ciaovideo.data.degradation.draws import Draws

type Degrades = Callable[[Tensor, Tensor, torch.Generator], Degraded]
"""HR crops (B, 3, S, S) of sides (B,) to LR patches and their targets."""


class Mixture:
    """One of some degradations for each call, drawn by ``shares``, which need not sum to 1.

    So weights for worn material keep what video that was only coded holds: damage alone teaches
    a network to take fine texture for noise.
    """

    def __init__(self, members: Sequence[Degrades], shares: Sequence[float]) -> None:
        self.members = members
        self.shares = shares

    def __call__(self, crop: Tensor, side: Tensor, generator: torch.Generator) -> Degraded:
        """Crops (B, 3, S, S) in [0, 1], each ``side`` px (B,) of it, the rest its border."""
        which = int(Draws(generator, crop.device).weighted(self.shares, 1))
        member = self.members[which]
        return member(crop, side, generator)

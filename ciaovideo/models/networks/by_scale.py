"""Several networks under one name, each for a scale of its own."""

from collections.abc import Mapping
from typing import Self

from torch import Tensor, nn

from ciaovideo.grid import Axis, View
from ciaovideo.models.networks.pixel_shuffle import PixelShuffleSR
from ciaovideo.models.protocols import (
    NOTHING,
    Core,
    Footprint,
    Latent,
    Network,
    Reach,
    Scales,
    Statistics,
)


class ByScale(Network):
    """The network of the requested scale; ``members`` by scale, each for that one alone.

    No registry has it, and no file of weights: the manifest names the files of the members.
    """

    def __init__(self, members: Mapping[float, Network]) -> None:
        super().__init__()
        self._scales = tuple(sorted(members))
        self.members = nn.ModuleList(members[scale] for scale in self._scales)
        self.scales = Scales(only=self._scales)
        self.passes = max(network.passes for network in members.values())
        self.sums_at_hand = all(network.sums_at_hand for network in members.values())

    @classmethod
    def small(cls) -> Self:
        """One for tests."""
        options = {"channels": 8, "blocks": 1}
        return cls({scale: PixelShuffleSR(int(scale), "edsr", options) for scale in (2.0, 3.0)})

    def passes_at(self, view: View) -> int:
        """Those of the member."""
        return self._of(view.lr_size, view.out_size).passes_at(view)

    def reach(self, view: View) -> Reach:
        """That of the member."""
        return self._of(view.lr_size, view.out_size).reach(view)

    def footprint(self, view: View) -> Footprint:
        """That of the member."""
        return self._of(view.lr_size, view.out_size).footprint(view)

    def encode(self, lr: Tensor, view: View, statistics: Statistics = NOTHING) -> Latent:
        """A tile by the member for the scale."""
        return self._of(view.lr_size, view.out_size).encode(lr, view, statistics)

    def summarize(self, latent: Latent, core: Core) -> Statistics:
        """Sums that the member wants."""
        return self._at(core.rows, core.columns).summarize(latent, core)

    def decode(self, latent: Latent, rows: Axis, columns: Axis) -> Tensor:
        """The member's picture."""
        return self._at(rows, columns).decode(latent, rows, columns)

    def _at(self, rows: Axis, columns: Axis) -> Network:
        return self._of((rows.count, columns.count), (rows.out_count, columns.out_count))

    def _of(self, lr_size: tuple[int, int], out_size: tuple[int, int]) -> Network:
        """The member of a scale; of a tiny frame that several fit, the nearest."""

        def distance(index: int) -> float:
            sides = zip(lr_size, out_size, strict=True)
            return max(abs(old * self._scales[index] - new) for old, new in sides)

        member = self.members[min(range(len(self._scales)), key=distance)]
        assert isinstance(member, Network)
        return member

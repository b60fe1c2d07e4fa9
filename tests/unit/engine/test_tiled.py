"""Networks whose colours depend on the whole frame: the same tiled or whole, in any parts."""

from typing import Self

import pytest
import torch
from torch import Tensor

from ciaovideo.engine.engine import Engine
from ciaovideo.errors import UnsupportedScaleError
from ciaovideo.grid import Axis, View, bilinear_grid
from ciaovideo.models.decoders.ciaosr_separable import SeparableCiaoSR
from ciaovideo.models.encoders.edsr import EDSR
from ciaovideo.models.networks.implicit import ImplicitSR
from ciaovideo.models.protocols import (
    NOTHING,
    WHOLE,
    Core,
    Footprint,
    Latent,
    Network,
    Reach,
    Scales,
    Statistics,
)
from ciaovideo.options import EngineOptions
from ciaovideo.tiling import Rect

SAME = 1e-5  # sums over a frame in another order


class Contrast(Network):
    """Subtracts the mean over all LR pixels, then divides by the deviation of all queries.

    Two passes, the second of which needs the first: an exact answer for both kinds of sums.
    """

    passes = 2

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    @classmethod
    def small(cls) -> Self:
        """It has no size."""
        return cls()

    def reach(self, view: View) -> Reach:
        """Bilinear."""
        return Reach(1)

    def footprint(self, view: View) -> Footprint:
        """About right."""
        return Footprint(6, 9)

    def encode(self, lr: Tensor, view: View, statistics: Statistics = NOTHING) -> Latent:
        """The picture, its mean subtracted where it is known."""
        self.calls += 1
        count = view.lr_size[0] * view.lr_size[1]
        mean = statistics["sum"] / count if statistics else 0
        return {"lr": lr - mean, **statistics}

    def summarize(self, latent: Latent, core: Core) -> Statistics:
        """The sum of pixels, then that of squares of queries."""
        if "sum" not in latent:
            own = latent["lr"][(..., *core.pixels.slices)]
            return {"sum": own.sum(dim=(-2, -1), keepdim=True)}
        made = bilinear_grid(latent["lr"], core.rows, core.columns)
        return {"squares": made.square().sum(dim=(-2, -1), keepdim=True)}

    def decode(self, latent: Latent, rows: Axis, columns: Axis) -> Tensor:
        """Bilinear, over the deviation."""
        count = rows.out_count * columns.out_count
        return bilinear_grid(latent["lr"], rows, columns) / (latent["squares"] / count).sqrt()


class Mean(SeparableCiaoSR):
    """A decoder that adds the mean of a latent map over the whole frame."""

    passes = 1

    def summarize(self, latent: Latent, core: Core) -> Statistics:
        """The sum of the values of the codes that a tile answers for; their maps have borders."""
        inner = latent["value"][..., 1:-1, 1:-1][(..., *core.pixels.slices)]
        return {"values": inner.sum(dim=(1, 2, 3))}

    def decode(self, latent: Latent, rows: Axis, columns: Axis) -> Tensor:
        """The picture, and the sum over the frame's codes, made small."""
        picture = super().decode(latent, rows, columns)
        return picture + 1e-3 * latent["values"].view(-1, 1, 1, 1)


def engine(network: Network, tile: int = 0) -> Engine:
    return Engine(network, EngineOptions(device="cpu", precision="fp32", tile=tile))


def contrast(lr: Tensor, out_size: tuple[int, int]) -> Tensor:
    """By the definition, of the whole frame."""
    view = View((lr.shape[-2], lr.shape[-1]), out_size)
    large = bilinear_grid(lr - lr.mean(dim=(-2, -1), keepdim=True), view.rows, view.columns)
    return large / large.square().mean(dim=(-2, -1), keepdim=True).sqrt()


@pytest.mark.parametrize("tile", [0, 7, 16, 33])
@pytest.mark.parametrize("scale", [1.0, 2.0, 3.7])
def test_sums_over_a_frame_do_not_depend_on_tiles(tile: int, scale: float) -> None:
    lr = torch.rand(2, 3, 35, 44)
    out_size = round(35 * scale), round(44 * scale)
    found = engine(Contrast(), tile)(lr, out_size)
    torch.testing.assert_close(found, contrast(lr, out_size), rtol=0, atol=SAME)


def test_a_part_of_a_frame_takes_the_sums_of_all_of_it() -> None:
    lr, part = torch.rand(1, 3, 35, 44), Rect(10, 20, 31, 50)
    found = engine(Contrast(), 16)(lr, (70, 88), part)
    expected = contrast(lr, (70, 88))[(..., *part.slices)]
    torch.testing.assert_close(found, expected, rtol=0, atol=SAME)


def test_every_tile_is_encoded_once_a_pass() -> None:
    network = Contrast()
    engine(network, 22)(torch.rand(1, 3, 44, 44), (88, 88))
    assert network.calls == 4 * (network.passes + 1)


def test_a_change_anywhere_changes_all_where_there_are_sums() -> None:
    assert engine(Contrast()).reach((35, 44), (70, 88)) == 44


@pytest.mark.parametrize("scale", [1.5, 2.0, 3.7])
@pytest.mark.heavy
def test_a_decoder_may_ask_for_sums(scale: float) -> None:
    torch.manual_seed(0)
    network = ImplicitSR(EDSR.small(), Mean.small())
    assert network.passes == 1
    lr, out_size = torch.rand(1, 3, 41, 38), (round(41 * scale), round(38 * scale))
    whole = engine(network)(lr, out_size)
    for tile in (9, 20):
        torch.testing.assert_close(engine(network, tile)(lr, out_size), whole, rtol=0, atol=SAME)
    network.decoder.passes = network.passes = 0
    with pytest.raises(KeyError, match="values"):
        engine(network)(lr, out_size)


class Discrete(Contrast):
    """A network of listed scales."""

    scales = Scales(only=(2.0, 4.0))


@pytest.mark.parametrize("out_size", [(70, 88), (71, 88), (140, 176)])
def test_listed_scales_are_done(out_size: tuple[int, int]) -> None:
    assert engine(Discrete())(torch.rand(1, 3, 35, 44), out_size).shape[-2:] == out_size


@pytest.mark.parametrize("out_size", [(105, 132), (70, 176), (73, 88)])
def test_other_scales_get_an_error_that_names_what_works(out_size: tuple[int, int]) -> None:
    with pytest.raises(UnsupportedScaleError, match="2 or 4"):
        engine(Discrete())(torch.rand(1, 3, 35, 44), out_size)


def test_reaches_of_parts_add_up() -> None:
    assert Reach(3, 4) + Reach(2, 6) == Reach(5, 12)
    assert Reach(3) | Reach(2, 8) == Reach(3, 8)
    assert Reach(3, 4) + WHOLE == Reach(None, 4)
    assert Reach(3) | WHOLE == WHOLE
    assert WHOLE.within((30, 70)) == 70


def test_scales_say_what_they_are() -> None:
    assert [str(Scales(1, 4)), str(Scales(only=(2,))), str(Scales(only=(2, 3, 4)))] == [
        "1 to 4",
        "2",
        "2, 3 or 4",
    ]

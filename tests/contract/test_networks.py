"""What every network promises, whole ones and every encoder and decoder joined."""

import pytest
import torch

from ciaovideo.engine.engine import Engine
from ciaovideo.engine.tiled import Tiling, summarize
from ciaovideo.grid import View
from ciaovideo.models.protocols import NOTHING
from ciaovideo.options import EngineOptions
from tests.networks import NAMES, small_network

TILED = 1e-5  # convolutions of other sizes add up in another order; outputs are of the order of one
SIZE = (41, 38)
BEYOND = 3  # px on each side of a frame that a colour in its middle does not depend on
SCALES = (1.5, 2.0, 2.7)

every_network = pytest.mark.parametrize("name", NAMES)


def scales_of(name: str) -> list[float]:
    """Scales that the network can do."""
    listed = small_network(name).scales.only
    return list(listed or SCALES)


def engine(name: str, *, tile: int = 0) -> Engine:
    options = EngineOptions(device="cpu", precision="fp32", tile=tile)
    return Engine(small_network(name), options)


def out_size(scale: float, size: tuple[int, int] = SIZE) -> tuple[int, int]:
    return round(size[0] * scale), round(size[1] * scale)


def picture(batch: int = 1, size: tuple[int, int] = SIZE) -> torch.Tensor:
    return torch.rand(batch, 3, *size, generator=torch.Generator().manual_seed(0))


@every_network
@pytest.mark.heavy
def test_tiled_equals_whole(name: str) -> None:
    for scale in scales_of(name):
        whole = engine(name)(picture(), out_size(scale))
        assert whole.shape == (1, 3, *out_size(scale))
        assert whole.isfinite().all()
        for tile in (13, 24):
            tiled = engine(name, tile=tile)(picture(), out_size(scale))
            assert (whole - tiled).abs().max() < TILED * max(1.0, float(whole.abs().max()))


@every_network
@pytest.mark.heavy
def test_a_picture_in_a_batch_is_the_picture(name: str) -> None:
    scale = scales_of(name)[0]
    lr = picture(batch=2)
    both = engine(name)(lr, out_size(scale))
    alone = engine(name)(lr[1:], out_size(scale))
    assert (both[1:] - alone).abs().max() < TILED * max(1.0, float(alone.abs().max()))


@every_network
@torch.no_grad()
@pytest.mark.heavy
def test_the_reach_bounds_what_a_colour_depends_on(name: str) -> None:
    """Everything beyond it is replaced, and the colour in the middle stays, to the last bit.

    Sums over the frame, where there are any, are those of one picture for all.
    """
    network = small_network(name).eval()
    for scale in scales_of(name):
        halo = network.reach(View(SIZE, out_size(scale))).halo
        assert halo is not None
        size = (2 * (halo + BEYOND) + 1, 2 * (halo + BEYOND))
        lr, view = picture(size=size), View(size, out_size(scale, size))
        halo = network.reach(view).within(size)
        sums = summarize(network, lr, Tiling(view, 0)) if network.passes else NOTHING
        middle = [side // 2 for side in view.out_size]
        own = [round((m + 0.5) / scale - 0.5) for m in middle]
        y, x = (slice(at - halo, at + halo + 1) for at in own)
        others = torch.rand(1, 3, *size)
        others[..., y, x] = lr[..., y, x]
        assert min(y.start, x.start) > 0
        assert not torch.equal(others[..., -1, :], lr[..., -1, :])
        found = [
            network.decode(
                network.encode(each, view, sums),
                view.rows.part(middle[0], middle[0] + 1, 0),
                view.columns.part(middle[1], middle[1] + 1, 0),
            )
            for each in (lr, others, 1 - lr)
        ]
        assert torch.equal(found[0], found[1])
        assert not torch.equal(found[0], found[2])


@every_network
@pytest.mark.heavy
def test_state_dict_round_trip(name: str) -> None:
    network, other = small_network(name), small_network(name)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(0.1)
    other.load_state_dict(network.state_dict())
    options = EngineOptions(device="cpu", precision="fp32")
    size = out_size(scales_of(name)[0])
    found = Engine(other, options)(picture(), size)
    assert torch.equal(found, engine(name)(picture(), size))

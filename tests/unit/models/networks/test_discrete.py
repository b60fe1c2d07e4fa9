"""Fixed scales behind an encoder, and several of them under one name."""

import pytest
import torch
import torch.nn.functional as F

from ciaovideo.engine.engine import Engine
from ciaovideo.errors import OptionError, UnsupportedScaleError
from ciaovideo.grid import View
from ciaovideo.models.encoders.hiet import HiET
from ciaovideo.models.networks.by_scale import ByScale
from ciaovideo.models.networks.pixel_shuffle import PixelShuffleSR
from ciaovideo.models.protocols import Network
from ciaovideo.options import EngineOptions

SAME = 1e-6  # fp32 sums in another order, of values about one
EDSR = {"channels": 8, "blocks": 1}


@torch.no_grad()
@pytest.mark.parametrize("scale", [2, 3])
def test_a_pixel_shuffle_by_its_definition(scale: int) -> None:
    torch.manual_seed(0)
    network = PixelShuffleSR(scale, "edsr", EDSR).eval()
    lr = torch.rand(1, 3, 6, 5)
    view = View((6, 5), (6 * scale, 5 * scale))
    made = network.decode(network.encode(lr, view), view.rows, view.columns)
    channels = network.colors(network.encoder(lr - network.mean))
    expected = F.interpolate(lr, view.out_size, mode="bilinear", align_corners=False)
    for y in range(scale):
        for x in range(scale):
            color = channels[:, y * scale + x :: scale**2]
            expected[..., y::scale, x::scale] += color
    torch.testing.assert_close(made, expected, rtol=0, atol=SAME)


@pytest.mark.parametrize("tile", [0, 7])
def test_each_scale_is_its_member_s(tile: int) -> None:
    torch.manual_seed(0)
    members = {float(scale): PixelShuffleSR(scale, "edsr", EDSR) for scale in (2, 3)}
    options = EngineOptions(device="cpu", precision="fp32", tile=tile)
    several = Engine(ByScale(members), options)
    lr = torch.rand(1, 3, 12, 15)
    for scale, member in members.items():
        size = (round(12 * scale), round(15 * scale))
        assert torch.equal(several(lr, size), Engine(member, options)(lr, size))
    with pytest.raises(UnsupportedScaleError, match="2 or 3"):
        several(lr, (30, 38))


def test_members_may_be_of_any_kind() -> None:
    small = ByScale.small()
    assert small.scales.only == (2.0, 3.0)
    view, member = View((9, 9), (27, 27)), small.members[1]
    assert isinstance(member, Network)
    assert small.reach(view) == member.reach(view)


def test_windows_of_the_coarsest_map_see_the_farthest() -> None:
    one = HiET(8, blocks=1, levels=1, heads=2, window=4)
    three = HiET(8, blocks=1, levels=3, heads=2, window=4)
    assert (one.alignment, three.alignment) == (4, 16)
    assert three.halo is not None
    assert one.halo is not None
    assert three.halo > 3 * one.halo
    with pytest.raises(OptionError, match="0 levels"):
        HiET(levels=0)


def test_a_scale_of_one_is_no_scale() -> None:
    with pytest.raises(OptionError, match="a scale of 1"):
        PixelShuffleSR(1, "edsr")

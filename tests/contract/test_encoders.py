"""What every registered encoder promises."""

import pytest
import torch
from torch import Tensor

from ciaovideo.models.encoders import ENCODERS
from ciaovideo.models.protocols import Encoder

SIZES = ((1, 1), (1, 7), (5, 1), (8, 8), (17, 13))

every_encoder = pytest.mark.parametrize("name", ENCODERS)


def build(name: str, seed: int = 0) -> Encoder:
    torch.manual_seed(seed)
    return ENCODERS[name].small().eval()


def picture(height: int, width: int, batch: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(height + 100 * width)
    return torch.rand(batch, 3, height, width, generator=generator) - 0.5


@every_encoder
@pytest.mark.parametrize("size", SIZES, ids=str)
@torch.no_grad()
def test_features_have_the_size_of_the_picture(name: str, size: tuple[int, int]) -> None:
    encoder = build(name)
    features = encoder(picture(*size, batch=2))
    assert features.shape == (2, encoder.out_channels, *size)
    assert features.isfinite().all()


@every_encoder
def test_halo_bounds_what_a_pixel_sees(name: str) -> None:
    encoder = build(name).double()
    halo = encoder.halo
    if halo is None:
        pytest.skip("it sees the whole frame")
    side = 2 * halo + 5
    lr = picture(side, side).double().requires_grad_(True)
    middle = side // 2
    encoder(lr)[..., middle, middle].square().sum().backward()
    assert lr.grad is not None
    seen = lr.grad.abs().sum(dim=(0, 1))
    inside = slice(middle - halo, middle + halo + 1)
    assert seen[middle, middle] > 0
    seen[inside, inside] = 0
    assert not seen.any()


@every_encoder
@torch.no_grad()
def test_tiles_with_a_halo_make_the_same_features(name: str) -> None:
    encoder = build(name)
    halo, alignment = encoder.halo, encoder.alignment
    if halo is None:
        pytest.skip("it sees the whole frame")
    halo = -(-halo // alignment) * alignment
    core = -(-4 // alignment) * alignment
    side = 2 * halo + 2 * core + 3
    lr = picture(side, side)
    start, stop = halo, halo + core  # the core, with all of its halo inside the frame
    tile = encoder(lr[..., : stop + halo, : stop + halo])
    whole = encoder(lr)
    torch.testing.assert_close(
        tile[..., start:stop, start:stop], whole[..., start:stop, start:stop], rtol=0, atol=1e-5
    )


@every_encoder
@torch.no_grad()
def test_state_dict_round_trip(name: str) -> None:
    encoder, other = build(name), build(name, seed=1)
    lr = picture(9, 12)
    assert not torch.equal(encoder(lr), other(lr))
    other.load_state_dict(encoder.state_dict())
    assert torch.equal(encoder(lr), other(lr))


@every_encoder
@torch.no_grad()
def test_bf16(name: str) -> None:
    encoder, lr = build(name), picture(9, 12)
    exact = encoder(lr)
    coarse = encoder.bfloat16()(lr.bfloat16())
    assert coarse.dtype == torch.bfloat16
    assert (coarse.float() - exact).abs().max() < 0.05 * exact.abs().max()


@every_encoder
def test_gradient_reaches_every_parameter(name: str) -> None:
    encoder = build(name).train()
    encoder(picture(12, 10)).square().mean().backward()
    for parameter_name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.any(), parameter_name

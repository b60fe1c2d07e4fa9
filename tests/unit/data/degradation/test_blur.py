"""Kernels, unsharp masks and resizing against what they are by definition."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ciaovideo.data.degradation.blur import (
    blur,
    draw_kernels,
    gaussian_kernels,
    kernel_side,
    sinc_kernels,
    smooth,
    unsharp,
)
from ciaovideo.data.degradation.draws import Draws
from ciaovideo.data.degradation.resampling import AREA, BICUBIC, BILINEAR, resample
from ciaovideo.data.sampling import bicubic_matrix


def moments(kernel: Tensor) -> Tensor:
    """The covariance of a kernel around its middle, order (y, x)."""
    offsets = torch.arange(kernel.shape[-1]) - kernel.shape[-1] // 2
    y, x = torch.meshgrid(offsets, offsets, indexing="ij")
    at = torch.stack([y, x]).float()
    return torch.einsum("ihw,jhw,hw->ij", at, at, kernel)


def test_gaussians_have_the_deviations_asked_for() -> None:
    sigma = torch.tensor([[1.5, 1.5], [1.0, 3.0], [1.0, 3.0]])
    kernels = gaussian_kernels(sigma, torch.tensor([0.3, 0.0, math.pi / 2]), 25)
    assert torch.allclose(kernels.sum(dim=(1, 2)), torch.ones(3))
    assert torch.allclose(moments(kernels[0]), 2.25 * torch.eye(2), atol=0.01)
    assert torch.allclose(moments(kernels[1]), torch.diag(torch.tensor([1.0, 9.0])), atol=0.05)
    assert torch.allclose(moments(kernels[2]), torch.diag(torch.tensor([9.0, 1.0])), atol=0.05)


def test_generalised_and_plateau_kernels_are_flatter_at_the_top() -> None:
    sigma, angle = torch.full((1, 2), 3.0), torch.zeros(1)
    plain = gaussian_kernels(sigma, angle, 21)[0]
    power = torch.tensor([4.0])
    for plateau in (False, True):
        kernel = gaussian_kernels(sigma, angle, 21, power=power, plateau=torch.tensor([plateau]))[0]
        assert kernel[10, 10] / kernel[10, 12] < plain[10, 10] / plain[10, 12]
        assert kernel.sum().item() == pytest.approx(1)


def test_sinc_passes_what_is_below_its_cutoff_and_rings() -> None:
    kernel = sinc_kernels(torch.tensor([1.2]), 41)
    assert kernel.min() < 0
    wave = torch.arange(64.0)
    for frequency, kept in ((0.6, 1.0), (2.2, 0.0)):
        picture = (0.5 + 0.4 * (frequency * wave).cos()).expand(1, 3, 64, 64)
        made = blur(picture, kernel)[0, 0, 32, 20:44]
        assert float(made.max() - made.min()) == pytest.approx(0.8 * kept, abs=0.12)


def test_each_picture_has_its_own_kernel_and_flat_ones_stay() -> None:
    generator = torch.Generator().manual_seed(0)
    picture = torch.rand(2, 3, 12, 14, generator=generator)
    identity = torch.zeros(2, 3, 3)
    identity[0, 1, 1] = identity[1, 1, 2] = 1
    made = blur(picture, identity)
    assert torch.equal(made[0], picture[0])
    assert torch.equal(made[1, :, :, :-1], picture[1, :, :, 1:])
    assert torch.equal(made[1, :, :, -1], picture[1, :, :, -1])
    low, high = torch.full((40,), 0.2), torch.full((40,), 3.0)
    kernels = draw_kernels(Draws(generator, torch.device("cpu")), (low, high), kernel_side(3))
    assert kernels.shape == (40, 19, 19)
    flat = torch.full((40, 3, 8, 8), 0.3)
    assert torch.allclose(blur(flat, kernels), flat, atol=1e-5)
    assert torch.allclose(smooth(flat, 8.0), flat, atol=1e-5)


def test_unsharp_raises_edges_and_leaves_faint_detail() -> None:
    edge = torch.full((1, 3, 40, 40), 0.3)
    edge[..., 20:] = 0.7
    made = unsharp(edge, 0.5)
    assert made[..., 20].min() > 0.72
    assert made[..., 19].max() < 0.28
    faint = 0.5 + 0.02 * torch.randn(1, 3, 40, 40, generator=torch.Generator().manual_seed(1))
    assert (unsharp(faint.clamp(0.47, 0.53), 0.5) - faint.clamp(0.47, 0.53)).abs().max() < 1e-6


@pytest.mark.parametrize("target", [7, 12, 20, 31])
def test_resizing_whole_pictures_equals_the_libraries(target: int) -> None:
    picture = torch.rand(1, 3, 20, 20, generator=torch.Generator().manual_seed(2))
    sides = torch.tensor([20.0]), torch.tensor([float(target)])
    made = resample(picture, *sides, target, kind=torch.tensor([BICUBIC]))
    matrix = bicubic_matrix(20, target)
    assert torch.allclose(made, matrix @ picture @ matrix.T, atol=1e-5)
    made = resample(picture, *sides, target, kind=torch.tensor([BILINEAR]))
    size = (target, target)
    theirs = F.interpolate(picture, size, mode="bilinear", antialias=True)
    assert torch.allclose(made, theirs, atol=1e-5)
    if target < 20:
        made = resample(picture, *sides, target, kind=torch.tensor([AREA]))
        assert made.mean().item() == pytest.approx(picture.mean().item(), abs=0.02)
        aliased = torch.tensor([True])
        made = resample(picture, *sides, target, kind=torch.tensor([BILINEAR]), aliased=aliased)
        theirs = F.interpolate(picture, size, mode="bilinear")
        assert torch.allclose(made, theirs, atol=1e-5)


def test_pictures_of_one_canvas_keep_their_own_sizes() -> None:
    picture = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(3))
    canvas = F.pad(picture, (0, 8, 0, 8), mode="replicate")
    canvas[..., 25:, :] = torch.nan  # is not looked at
    canvas = torch.cat([canvas.nan_to_num(99.0), torch.rand(1, 3, 32, 32)])
    kind = torch.tensor([BICUBIC, BICUBIC])
    made = resample(canvas, torch.tensor([24.0, 32.0]), torch.tensor([12.0, 16.0]), 16, kind=kind)
    alone = resample(picture, torch.tensor([24.0]), torch.tensor([12.0]), 12, kind=kind[:1])
    assert torch.allclose(made[:1, :, :12, :12], alone, atol=1e-5)
    assert torch.allclose(made[0, :, 12:, :12], alone[0, :, -1:].expand(-1, 4, -1), atol=1e-5)

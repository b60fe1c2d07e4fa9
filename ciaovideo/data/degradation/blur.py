"""Blurs: kernels of the families that cameras, scanners and filters have, and unsharp masks."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ciaovideo.data.degradation.draws import Draws

# Real-ESRGAN's shares: two in three isotropic; three in four plainly Gaussian.
ANISOTROPIC = 0.35
GENERALISED, PLATEAU = 0.15, 0.15
SHARPER = (0.5, 4.0)  # exponent of generalised kernels: 1 is Gaussian, more is flatter at the top
FLATTER = (1.0, 2.0)  # exponent of plateau kernels
UNSHARP_SIGMA = 8.0  # px, of the mask
UNSHARP_THRESHOLD = 10 / 255  # what differs less from its surroundings is left alone


def gaussian_kernels(
    sigma: Tensor,
    angle: Tensor,
    side: int,
    *,
    power: Tensor | None = None,
    plateau: Tensor | None = None,
) -> Tensor:
    """Kernels (B, side, side) that sum to 1: sigma (B, 2) px along both axes, angle (B,) rad.

    With ``power`` (B,), the generalised Gaussian exp(-q^power / 2), where q is the squared
    distance in sigmas, or where ``plateau`` (B,) is true 1 / (1 + q^power) (Real-ESRGAN, 3.2).
    """
    y, x = _offsets(side, sigma.device)
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    along, across = cos * x + sin * y, cos * y - sin * x
    squared = (across / sigma[:, 0, None, None]) ** 2 + (along / sigma[:, 1, None, None]) ** 2
    if power is not None:
        squared = squared ** power[:, None, None]
    kernel = (-0.5 * squared).exp()
    if plateau is not None:
        kernel = torch.where(plateau[:, None, None], 1 / (1 + squared), kernel)
    return kernel / kernel.sum(dim=(1, 2), keepdim=True)


def sinc_kernels(cutoff: Tensor, side: int) -> Tensor:
    """Circular ideal low-passes (B, side, side): cutoff (B,) in (0, pi] rad/px; they ring.

    The two-dimensional sinc, cutoff J1(cutoff r) / (2 pi r), cut off at the kernel's side.
    """
    y, x = _offsets(side, cutoff.device)
    radius = (x * x + y * y).sqrt()
    middle = radius == 0
    radius = radius.masked_fill(middle, 1.0)
    cutoff = cutoff[:, None, None]
    kernel = cutoff * torch.special.bessel_j1(cutoff * radius) / (2 * math.pi * radius)
    kernel = torch.where(middle, cutoff**2 / (4 * math.pi), kernel)
    return kernel / kernel.sum(dim=(1, 2), keepdim=True)


def draw_kernels(draws: Draws, sigma: tuple[Tensor, Tensor], side: int) -> Tensor:
    """A Gaussian kernel of some kind for each picture; ``sigma`` the least and largest (B,), px."""
    low, high = sigma
    count = len(low)
    first, second = (low + (high - low) * draws.uniform(0, 1, count) for _ in range(2))
    both = torch.stack([first, torch.where(draws.chance(ANISOTROPIC, count), second, first)], dim=1)
    kind = draws.uniform(0, 1, count)
    generalised, plateau = kind < GENERALISED, kind > 1 - PLATEAU
    power = torch.ones_like(kind)
    power = torch.where(generalised, draws.uniform(*SHARPER, count), power)
    power = torch.where(plateau, draws.uniform(*FLATTER, count), power)
    angle = draws.uniform(-math.pi, math.pi, count)
    return gaussian_kernels(both, angle, side, power=power, plateau=plateau)


def kernel_side(sigma: float) -> int:
    """An odd side that holds a Gaussian of this deviation: three of them each way, at least 7."""
    return max(7, 2 * math.ceil(3 * sigma) + 1)


def blur(picture: Tensor, kernels: Tensor) -> Tensor:
    """Each picture (B, 3, H, W) under its own kernel (B, k, k); borders are repeated."""
    batch, channels, height, width = picture.shape
    half = kernels.shape[-1] // 2
    padded = F.pad(picture, (half, half, half, half), mode="replicate")
    weights = kernels.repeat_interleave(channels, dim=0)[:, None]
    flat = padded.reshape(1, batch * channels, *padded.shape[-2:])
    return F.conv2d(flat, weights, groups=batch * channels).view(batch, channels, height, width)


def smooth(picture: Tensor, sigma: float) -> Tensor:
    """Any planes (..., H, W) under one wide Gaussian, normalised at the borders.

    Products with whole matrices: faster than convolutions as wide as a patch.
    """
    rows, columns = (_gaussian_matrix(side, sigma, picture) for side in picture.shape[-2:])
    return rows @ picture @ columns.T


def _gaussian_matrix(side: int, sigma: float, like: Tensor) -> Tensor:
    at = torch.arange(side, device=like.device, dtype=like.dtype)
    weights = (-0.5 * ((at[:, None] - at) / sigma) ** 2).exp()
    return weights / weights.sum(dim=1, keepdim=True)


def unsharp(picture: Tensor, weight: float) -> Tensor:
    """The picture with its edges raised by ``weight`` (0.5 is Real-ESRGAN's), for targets.

    What differs from its surroundings by less than a threshold, such as noise, is left alone.
    """
    detail = picture - smooth(picture, UNSHARP_SIGMA)
    edges = smooth((detail.abs() > UNSHARP_THRESHOLD).to(picture.dtype), UNSHARP_SIGMA)
    return torch.lerp(picture, (picture + weight * detail).clamp(0, 1), edges)


def _offsets(side: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Distances from the middle of a kernel, px: y (side, 1), x (1, side)."""
    offsets = torch.arange(side, device=device, dtype=torch.float32) - (side - 1) / 2
    return offsets[:, None], offsets[None, :]

"""Noise of sensors, and the grain of film. Strengths are in units of [0, 1]."""

import torch
from torch import Tensor

from ciaovideo.data.degradation.blur import blur, gaussian_kernels

LUMA = (0.299, 0.587, 0.114)


def gaussian_noise(
    picture: Tensor, sigma: Tensor, gray: Tensor, generator: torch.Generator
) -> Tensor:
    """White noise of deviation ``sigma`` (B,); the same in all channels where ``gray`` (B,)."""
    return picture + sigma[:, None, None, None] * _white(picture, gray, generator)


def poisson_noise(
    picture: Tensor, photons: Tensor, gray: Tensor, generator: torch.Generator
) -> Tensor:
    """Shot noise: ``photons`` (B,) counted at white, so that deviation is sqrt(value / photons).

    Where ``gray`` (B,), luma is counted, and all channels are off by the same.
    """
    photons = photons[:, None, None, None]
    light = picture.clamp(0, 1)
    luma = sum(weight * light[:, i] for i, weight in enumerate(LUMA))
    assert isinstance(luma, Tensor)
    light = torch.where(gray[:, None, None, None], luma[:, None], light)
    counted = torch.poisson(light * photons, generator=generator)
    # Draws of gray pictures differ between channels: the first serves all.
    off = counted / photons - light
    return picture + torch.where(gray[:, None, None, None], off[:, :1], off)


def grain(
    picture: Tensor, strength: Tensor, size: Tensor, gray: Tensor, generator: torch.Generator
) -> Tensor:
    """Film grain: clumps of ``size`` (B,) px, deviation ``strength`` (B,) at middle gray.

    Emulsions show it most at middle densities, and little where they are clear or black.
    """
    kernels = gaussian_kernels(
        size[:, None].expand(-1, 2), torch.zeros_like(size), 2 * max(2, int(size.max() * 3)) + 1
    )
    field = blur(_white(picture, gray, generator), kernels)
    field = field / kernels.square().sum(dim=(1, 2)).sqrt()[:, None, None, None]
    light = picture.clamp(0, 1)
    visible = 0.15 + 0.85 * 4 * light * (1 - light)
    return picture + strength[:, None, None, None] * visible * field


def _white(picture: Tensor, gray: Tensor, generator: torch.Generator) -> Tensor:
    """White noise of deviation 1 in a picture's shape; equal channels where ``gray``."""
    field = torch.randn(picture.shape, generator=generator, device=picture.device)
    return torch.where(gray[:, None, None, None], field[:, :1], field)

"""Resizing a batch whose pictures differ in size: each lies at the top left of a common canvas."""

import torch
from torch import Tensor

AREA, BILINEAR, BICUBIC = range(3)
KINDS = 3


def resample(
    canvas: Tensor,
    source: Tensor,
    target: Tensor,
    side: int,
    *,
    kind: Tensor,
    aliased: Tensor | None = None,
) -> Tensor:
    """Squares of ``source`` px (B,) on a canvas (B, 3, S, S) to squares of ``target`` px (B,).

    Sides may be fractions. ``kind`` (B,) is AREA, BILINEAR or BICUBIC; kernels are widened where
    pictures get smaller, but not where ``aliased`` (B,) is true, as many programs do. The new
    canvas is (B, 3, side, side); beyond a picture, its border is repeated.
    """
    weights = _weights(source, target, (side, canvas.shape[-1]), kind, aliased)[:, None]
    return weights @ canvas @ weights.transpose(2, 3)


def _weights(
    source: Tensor, target: Tensor, shape: tuple[int, int], kind: Tensor, aliased: Tensor | None
) -> Tensor:
    """What each old sample gives to each new one along an axis: (B, new, old), rows sum to 1."""
    new, old = shape
    source, target, kind = (value[:, None, None] for value in (source, target, kind))
    step = source / target  # (B, 1, 1)
    width = step.clamp(min=1)
    if aliased is not None:
        width = torch.where(aliased[:, None, None] & (kind != AREA), torch.ones_like(width), width)
    at = torch.arange(new, device=source.device, dtype=torch.float32)[:, None] + 0.5
    centre = torch.minimum(at, target - 0.5) * step  # (B, new, 1)
    sample = torch.arange(old, device=source.device, dtype=torch.float32) + 0.5
    distance = (sample - centre).abs()  # (B, new, old)
    area = (width / 2 + 0.5 - distance).clamp(0, 1)
    x = distance / width
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    bicubic = torch.where(x < 1, near, torch.where(x < 2, far, 0.0))
    weights = torch.where(
        kind == AREA, area, torch.where(kind == BILINEAR, (1 - x).clamp(min=0), bicubic)
    )
    weights = weights * (sample < source.ceil() + 0.25)  # the canvas beyond is not the picture
    return weights / weights.sum(dim=2, keepdim=True)

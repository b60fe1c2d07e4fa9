"""Interpolation: the baseline for networks."""

from collections.abc import Mapping
from functools import partial

from torch import Tensor

from ciaovideo.data.images import ResamplingFilter, resize
from ciaovideo.evaluate.protocol import Upscale


def interpolate(lr: Tensor, out_size: tuple[int, int], *, kind: ResamplingFilter) -> Tensor:
    """Pillow's interpolation in 8 bit: lr (1, 3, h, w) in [0, 1] -> (1, 3, H, W) in [0, 1]."""
    return resize((lr * 255).round().clamp(0, 255).byte(), out_size, kind).float() / 255


BASELINES: Mapping[str, Upscale] = {
    "bicubic": partial(interpolate, kind="bicubic"),
    "lanczos": partial(interpolate, kind="lanczos"),
}

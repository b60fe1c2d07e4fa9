"""JPEG against libjpeg, as Pillow has it."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from ciaovideo.data.degradation.jpeg import jpeg

# Mean difference of 8 bit codes. libjpeg's DCT and colour conversion are rounded to integers on
# the way; on Set5 it is 0.04 to 0.48, and with subsampled chroma up to 0.55.
CLOSE = {False: 0.5, True: 0.6}
ONCE = 1.5 / 255


def picture(height: int, width: int) -> Tensor:
    """Soft colours, stripes and a little noise: (1, 3, height, width), whole codes."""
    y, x = np.mgrid[:height, :width]
    noise = np.random.default_rng(0).normal(0, 6, (height, width))
    planes = [
        128 + 90 * np.sin(x / 9 + y / 23) + noise,
        110 + 70 * np.cos(y / 7) + noise,
        140 + 60 * np.sin((x + y) / 31) + 30 * ((x // 5 + y // 8) % 2) + noise,
    ]
    codes = np.stack(planes).clip(0, 255).round().astype(np.float32)
    return torch.from_numpy(codes)[None] / 255


def by_pillow(rgb: Tensor, quality: int, subsampled: bool) -> Tensor:
    codes = (rgb[0] * 255).round().byte().permute(1, 2, 0).numpy()
    file = io.BytesIO()
    subsampling = 2 if subsampled else 0
    Image.fromarray(codes).save(file, "JPEG", quality=quality, subsampling=subsampling)
    return torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)[None] / 255


@pytest.mark.parametrize("subsampled", [False, True])
@pytest.mark.parametrize("quality", [5, 30, 50, 75, 95, 100])
@pytest.mark.parametrize("size", [(64, 96), (61, 83)])
def test_equals_libjpeg(size: tuple[int, int], quality: int, subsampled: bool) -> None:
    rgb = picture(*size)
    theirs = by_pillow(rgb, quality, subsampled)
    ours = jpeg(rgb, torch.tensor([float(quality)]), subsampled=subsampled)
    difference = 255 * (ours - theirs).abs().mean().item()
    assert difference < CLOSE[subsampled]
    if quality <= 95:  # and this is not because nothing happens
        assert difference < 0.3 * 255 * (theirs - rgb).abs().mean().item()


def test_each_picture_has_its_own_quality() -> None:
    rgb = picture(48, 48).expand(3, -1, -1, -1)
    quality = torch.tensor([10.0, 50.0, 90.0])
    made = jpeg(rgb, quality)
    for index in range(3):
        alone = jpeg(rgb[:1], quality[index : index + 1])
        assert (made[index] - alone[0]).abs().max() < ONCE
    error = (made - rgb).abs().mean(dim=(1, 2, 3))
    assert error[0] > error[1] > error[2]

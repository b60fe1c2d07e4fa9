"""JPEG (ITU-T T.81) on batches, each picture at its own quality."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ciaovideo.color.chroma import upsample
from ciaovideo.grid import constant

# T.81, annex K: the tables that libjpeg scales by its quality, rows by vertical frequency.
LUMA_TABLE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
CHROMA_TABLE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8 for _ in range(4)),
)
# JFIF: BT.601 in full range; rows Y, Cb, Cr.
FROM_RGB = (
    (0.299, 0.587, 0.114),
    (-0.168735892, -0.331264108, 0.5),
    (0.5, -0.418687589, -0.081312411),
)
TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136286, -0.714136286), (1.0, 1.772, 0.0))
MIDDLE = (0.5, 0.5)  # where chroma lies among the luma samples it covers


def jpeg(picture: Tensor, quality: Tensor, *, subsampled: bool = True) -> Tensor:
    """Pictures (B, 3, H, W) after JPEG at libjpeg's ``quality`` (B,) from 1 to 100.

    ``subsampled`` halves chroma on both axes (4:2:0), as most files have it. Where a side is not
    whole blocks, the border is repeated. Equals libjpeg up to the rounding in its integer DCT: by
    0.04 to 0.55 of 255 in the mean, over the pictures of Set5.
    """
    height, width = picture.shape[-2:]
    codes = (picture.clamp(0, 1) * 255).round()
    codes = F.pad(codes, (0, -width % 16, 0, -height % 16), mode="replicate")
    ycc = torch.einsum("ij,bjhw->bihw", constant(FROM_RGB, picture), codes)
    luma, chroma = ycc[:, :1].round() - 128, ycc[:, 1:].round()
    tables = [_scaled(constant(table, picture), quality) for table in (LUMA_TABLE, CHROMA_TABLE)]
    luma = _coded(luma, tables[0])
    if subsampled:
        size = luma.shape[-2], luma.shape[-1]
        chroma = upsample(_coded(_halved(chroma), tables[1]), (1, 1), MIDDLE, size).round()
    else:
        chroma = _coded(chroma, tables[1])
    ycc = torch.cat([luma + 128, chroma], dim=1)
    rgb = torch.einsum("ij,bjhw->bihw", constant(TO_RGB, picture), ycc)
    return rgb[..., :height, :width].round().clamp(0, 255) / 255


def _scaled(table: Tensor, quality: Tensor) -> Tensor:
    """The steps of each picture (B, 8, 8), by libjpeg's rule."""
    quality = quality.round().clamp(1, 100)[:, None, None]
    percent = torch.where(quality < 50, (5000 / quality).floor(), 200 - 2 * quality)
    return ((table * percent + 50) / 100).floor().clamp(1, 255)


def _halved(chroma: Tensor) -> Tensor:
    """Means of 2 x 2 samples, rounded by turns up and down along a row, as libjpeg does."""
    bias = torch.arange(chroma.shape[-1] // 2, device=chroma.device) % 2 * 0.25 + 0.25
    return (F.avg_pool2d(chroma, 2) + bias).floor()


def _coded(planes: Tensor, steps: Tensor) -> Tensor:
    """Planes (B, C, h, w) around zero, transformed in blocks of 8, rounded to steps, and back."""
    batch, channels, height, width = planes.shape
    dct = _dct(planes.device)
    blocks = planes.view(batch, channels, height // 8, 8, width // 8, 8).transpose(3, 4)
    steps = steps[:, None, None, None]
    kept = ((dct @ blocks @ dct.T) / steps).round() * steps
    back = (dct.T @ kept @ dct).round().clamp(-128, 127)
    return back.transpose(3, 4).reshape(batch, channels, height, width)


def _dct(device: torch.device) -> Tensor:
    """The orthonormal DCT-II of 8 samples: (frequency, sample)."""
    k = torch.arange(8, device=device, dtype=torch.float32)
    matrix = 0.5 * (math.pi / 8 * k[:, None] * (k + 0.5)).cos()
    matrix[0] *= math.sqrt(0.5)
    return matrix

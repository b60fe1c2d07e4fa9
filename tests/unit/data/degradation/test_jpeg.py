"""JPEG against libjpeg, as Pillow has it.

Both transform blocks of 8 x 8 samples and round their coefficients to the steps of a table, one in
floating point and one in integers. Where a coefficient lies so near to the middle between two steps
that their small errors decide, they may round it to different sides, and the whole block moves by
up to the step times its basis: 20 codes at quality 5. Which blocks these are is computed here, in
double precision; in all others, only the last roundings differ.
"""

import io

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ciaovideo.data.degradation.jpeg import CHROMA_TABLE, FROM_RGB, LUMA_TABLE, jpeg

type Plane = NDArray[np.float64]

# How far the two coefficients of a block may lie apart. libjpeg keeps two bits more than whole
# numbers between its passes: eight errors of 1/8, and one of 1/2, over 8, make 0.19. A sample of
# Y'CbCr on the edge between two codes moves a coefficient by 1/4 at the most.
UNDECIDED = 0.5
# Codes of R'G'B' by which a block of the same coefficients may differ: Y, and Cb by 1 each, the
# second weighted 1.772, and the last rounding.
LAST_ROUNDINGS = 3
# Steps below 13 at quality 95 (below 62 at 75): one block in 88 moves the mean by less than 0.02
# (0.09). Rounding alone makes 0.35.
FINE = 0.6
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


def blocks(plane: Plane) -> Plane:
    """(h, w) -> (h / 8, w / 8, 8, 8)."""
    height, width = plane.shape
    return plane.reshape(height // 8, 8, width // 8, 8).transpose(0, 2, 1, 3)


def whole(planes: Plane) -> Plane:
    """The last row and column repeated up to whole blocks of 16."""
    margins = ((0, 0), *((0, -side % 16) for side in planes.shape[1:]))
    return np.pad(planes, margins, mode="edge")


def decided(rgb: Tensor, quality: int, subsampled: bool) -> NDArray[np.bool_]:
    """The samples (h, w) that no coefficient on the edge between two steps has a part in."""
    codes = whole(np.rint(rgb[0].double().numpy() * 255))
    luma, *chroma = np.rint(np.einsum("ij,jhw->ihw", np.array(FROM_RGB), codes))
    edges = covered(on_the_edge(luma - 128, LUMA_TABLE, quality), 8)
    for plane in chroma:
        if subsampled:
            height, width = plane.shape
            halves = plane.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
            halves = np.floor(halves + np.arange(width // 2) % 2 / 4 + 1 / 4)
            edges |= grown(covered(on_the_edge(halves, CHROMA_TABLE, quality), 16))
        else:
            edges |= covered(on_the_edge(plane, CHROMA_TABLE, quality), 8)
    return ~edges[: rgb.shape[-2], : rgb.shape[-1]]


def covered(found: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    return found.repeat(side, axis=0).repeat(side, axis=1)


def grown(edges: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Each one's neighbours too: chroma is interpolated across the borders of blocks."""
    around = np.pad(edges, 1)
    height, width = edges.shape
    shifts = [around[y : y + height, x : x + width] for y in range(3) for x in range(3)]
    return np.any(shifts, axis=0)


def on_the_edge(
    plane: Plane, table: tuple[tuple[int, ...], ...], quality: int
) -> NDArray[np.bool_]:
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    steps = ((np.array(table) * percent + 50) // 100).clip(1, 255)
    k = np.arange(8)
    dct = np.cos(np.pi / 8 * k[:, None] * (k + 0.5)) / 2
    dct[0] /= np.sqrt(2)
    levels = dct @ blocks(plane) @ dct.T / steps
    gap = np.abs(levels - np.floor(levels) - 0.5) * steps
    edges: NDArray[np.bool_] = (gap < UNDECIDED).any(axis=(2, 3))
    return edges


@pytest.mark.parametrize("subsampled", [False, True])
@pytest.mark.parametrize("quality", [5, 30, 50, 75, 95, 100])
@pytest.mark.parametrize("size", [(64, 96), (61, 83)])
def test_equals_libjpeg(size: tuple[int, int], quality: int, subsampled: bool) -> None:
    rgb = picture(*size)
    theirs = by_pillow(rgb, quality, subsampled)
    ours = jpeg(rgb, torch.tensor([float(quality)]), subsampled=subsampled)
    difference = (255 * (ours - theirs)).abs().round()
    if quality <= 95:  # they are alike, and this is not because nothing happens
        assert difference.mean() < 0.3 * 255 * (theirs - rgb).abs().mean()
    if quality >= 75:  # so many small steps that every block has an edge somewhere
        assert difference.mean() < FINE
        return
    known = decided(rgb, quality, subsampled)
    assert known.mean() > (0.85 if quality == 5 else 0.1)
    assert difference[0][:, known].max() <= LAST_ROUNDINGS


def test_each_picture_has_its_own_quality() -> None:
    rgb = picture(48, 48).expand(3, -1, -1, -1)
    quality = torch.tensor([10.0, 50.0, 90.0])
    made = jpeg(rgb, quality)
    for index in range(3):
        alone = jpeg(rgb[:1], quality[index : index + 1])
        assert (made[index] - alone[0]).abs().max() < ONCE
    error = (made - rgb).abs().mean(dim=(1, 2, 3))
    assert error[0] > error[1] > error[2]

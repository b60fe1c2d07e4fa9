"""Every pixel's softmax over places, and what stands at the places pasted around the pixel.

Published (Mei et al., arXiv 2006.01424) as a transposed convolution of the probabilities with
overlapping patches of three by three places: pixel q receives, from its neighbour q - d that
attends to place m - d, the value at m. Summing the probabilities over d first is the same sum.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from ciaovideo.ops import dispatch

GPU_PAIRS = 1 << 26  # (pixel, place) pairs whose probabilities a GPU holds at once
PAIRS = 1 << 22  # elsewhere, unless one row alone has more


def paste(query: Tensor, key: Tensor, value: Tensor, *, pairs: int = PAIRS) -> Tensor:
    """query (B, C, h, w), key (B, 9 C, places), value (B, V, h', w') -> (B, V, h, w).

    In bands of rows of at most ``pairs`` (pixel, place) pairs, on a GPU with a twin GPU_PAIRS.
    """
    if fused := dispatch.fused_twin("attention.patch", query, key, value):
        with dispatch.PlainIfItFails("attention.patch"):
            return cast(Tensor, fused.paste(query, key, value, pairs=GPU_PAIRS))
    batch, _, height, width = query.shape
    size = value.shape[-2:]
    places = value.flatten(2).mT  # (B, places, scale^2 C)
    step = max(1, pairs // (batch * width * places.shape[1]) - 2)
    framed = F.pad(query, (1, 1, 1, 1))
    bands = []
    for top in range(0, height, step):
        bottom = min(top + step, height)
        first, last = max(top - 1, 0), min(bottom + 1, height)
        patches = F.unfold(framed[..., first : last + 2, :], 3)  # (B, 9 C / 2, rows * w)
        chance = (patches.mT @ key).softmax(dim=-1).view(batch, last - first, width, *size)
        edges = (top - 1 < first, bottom + 1 > last)  # beyond the map nobody attends
        chance = _sum_diagonals(F.pad(chance, (0, 0, 0, 0, 0, 0, *edges)))
        pasted = chance.view(batch, -1, places.shape[1]) @ places
        bands.append(pasted.mT.view(batch, -1, bottom - top, width))
    return torch.cat(bands, dim=-2)


def _sum_diagonals(chance: Tensor) -> Tensor:
    """Pixel and place moved together: (B, rows + 2, w, h', w') -> (B, rows, w, h', w').

    The sum over d in {-1, 0, 1} x {-1, 0, 1} of chance[q - d, m - d], nothing beyond the borders.
    """
    down = chance[:, 1:-1].clone()
    down[:, :, :, 1:] += chance[:, :-2, :, :-1]
    down[:, :, :, :-1] += chance[:, 2:, :, 1:]
    both = down.clone()
    both[:, :, 1:, :, 1:] += down[:, :, :-1, :, :-1]
    both[:, :, :-1, :, :-1] += down[:, :, 1:, :, 1:]
    return both

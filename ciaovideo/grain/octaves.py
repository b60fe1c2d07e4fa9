"""A picture's detail in each octave, block by block, by the Haar wavelet.

Differences are taken inside squares of 2, 4 and 8 px that begin at multiples of their side: steps
between blocks of a codec, which are of 8 or 16 px, are in none of them.
"""

import torch
from torch import Tensor

BLOCK = 16  # px: the side of a block
OCTAVES = 3  # of 2, 4 and 8 px


def block_energies(luma: Tensor) -> Tensor:
    """Luma (h, w) -> (blocks, OCTAVES): the variance of the differences, the finest octave first.

    White noise has its own variance in each of them. A plane has none: slopes do not count. Rows
    and columns that fill no block are left out.
    """
    means, energies = _blocks(luma), []
    for octave in range(OCTAVES):
        a, b = means[:, 0::2, 0::2], means[:, 0::2, 1::2]
        c, d = means[:, 1::2, 0::2], means[:, 1::2, 1::2]
        differences = torch.stack([a - b + c - d, a + b - c - d, a - b - c + d], dim=1) / 2
        energies.append(differences.var(dim=(2, 3)).mean(dim=1) * 4.0**octave)
        means = (a + b + c + d) / 4
    return torch.stack(energies, dim=1)


def block_means(luma: Tensor) -> Tensor:
    """Luma (h, w) -> the mean of each block, in the order of ``block_energies``."""
    return _blocks(luma).mean(dim=(1, 2))


def block_spans(luma: Tensor) -> Tensor:
    """Luma (h, w) -> the largest difference within each block, in that order."""
    blocks = _blocks(luma)
    return blocks.amax(dim=(1, 2)) - blocks.amin(dim=(1, 2))


def variance(energies: Tensor) -> Tensor:
    """Energies (..., OCTAVES) -> the variance (...) of noise that has them.

    Coarser detail is assumed to be as strong as the last octave.
    """
    shares = [0.75 * 0.25**octave for octave in range(OCTAVES)]
    shares[-1] += 0.25**OCTAVES
    return energies @ energies.new_tensor(shares)


def _blocks(luma: Tensor) -> Tensor:
    """(h, w) -> (blocks, BLOCK, BLOCK)."""
    rows, columns = (side // BLOCK for side in luma.shape)
    whole = luma[: rows * BLOCK, : columns * BLOCK]
    return whole.reshape(rows, BLOCK, columns, BLOCK).transpose(1, 2).reshape(-1, BLOCK, BLOCK)

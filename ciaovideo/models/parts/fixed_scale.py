"""A picture at a whole multiple of LR's size, and an output sampled from it."""

import torch
from torch import Tensor

from ciaovideo.grid import Axis


def exact(axis: Axis, scale: int, samples: int) -> Axis:
    """The queries of exactly ``scale`` times as many samples, over a tile's ``samples`` codes."""
    first = axis.origin * scale
    last = (axis.origin + samples) * scale
    return Axis(axis.count, axis.count * scale, first, last, axis.origin)


def taken(picture: Tensor, rows: Axis, columns: Axis, scale: int) -> Tensor:
    """These rows and columns of a tile's picture (B, 3, scale h, scale w).

    An output that is a pixel shorter, as even sides demand, lacks the last line; one that is a
    pixel longer has it twice.
    """
    for axis, dim in ((rows, -2), (columns, -1)):
        first = axis.start - axis.origin * scale
        most = picture.shape[dim] - first
        if len(axis) <= most:
            picture = picture.narrow(dim, first, len(axis))
        else:
            index = torch.arange(len(axis), device=picture.device).clamp_(max=most - 1)
            picture = picture.index_select(dim, index + first)
    return picture

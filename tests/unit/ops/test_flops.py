"""Operations are counted where the number is known."""

import torch
from torch import nn

from ciaovideo.ops.convolution import activated, added
from ciaovideo.ops.flops import count_flops
from ciaovideo.ops.linear import linear


@torch.inference_mode()
def test_products_are_counted_plain_and_joint() -> None:
    """Two operations for each multiplication, whichever operator does it."""
    conv = nn.Conv2d(8, 8, 3, padding=1).to(memory_format=torch.channels_last)
    lr = torch.rand(1, 8, 5, 7).to(memory_format=torch.channels_last)
    one = 2 * 8 * 8 * 9 * 5 * 7
    activated(conv, lr, 0.1)  # what is tried once is not counted
    assert count_flops(lambda: conv(lr)) == one
    assert count_flops(lambda: activated(conv, lr, 0.1)) == one
    assert count_flops(lambda: added(conv, lr, lr.clone())) == one
    weight, bias = torch.rand(6, 16), torch.rand(6)
    points = torch.rand(3, 16)
    linear(points, (weight, bias))
    assert count_flops(lambda: linear(points, (weight, bias), relu=True)) == 2 * 3 * 16 * 6

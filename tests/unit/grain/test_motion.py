"""How a picture moves as a whole is found, also under grain; grain itself does not move."""

import pytest
import torch
from torch import Tensor

from ciaovideo.grain.motion import global_shift, overlap

SIZE = (200, 300)


def picture(seed: int) -> Tensor:
    """Soft texture."""
    field = torch.randn(SIZE, generator=torch.Generator().manual_seed(seed))
    return 128 + 20 * torch.nn.functional.avg_pool2d(field[None], 5, 1, 2)[0]


@pytest.mark.parametrize("shift", [(0, 0), (0, 3), (-2, 0), (5, -7)])
@pytest.mark.parametrize("grain", [0.0, 3.0])
def test_a_pan_is_found(shift: tuple[int, int], grain: float) -> None:
    still = picture(0)
    noise = [grain * torch.randn(SIZE, generator=torch.Generator().manual_seed(n)) for n in (1, 2)]
    before, after = still + noise[0], still.roll(shift, (0, 1)) + noise[1]
    assert global_shift(before, after) == shift
    one, other = overlap(still, still.roll(shift, (0, 1)), shift)
    assert one.shape == (SIZE[0] - abs(shift[0]), SIZE[1] - abs(shift[1]))
    assert torch.equal(one, other)


def test_nothing_in_common_is_no_motion() -> None:
    assert global_shift(picture(0), picture(1)) == (0, 0)
    flat = torch.full(SIZE, 128.0)
    assert global_shift(flat, flat) == (0, 0)

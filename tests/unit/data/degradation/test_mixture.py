"""Several degradations in one training: shares, and draws from one generator."""

import torch
from torch import Tensor

from ciaovideo.data.degradation.chain import Degraded
from ciaovideo.data.degradation.mixture import Mixture


class Flat:
    """Patches of one value."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __call__(self, crop: Tensor, side: Tensor, generator: torch.Generator) -> Degraded:
        return Degraded(torch.full((1,), self.value), crop, crop)


def drawn(shares: list[float], seed: int, count: int) -> list[float]:
    generator = torch.Generator().manual_seed(seed)
    mixture = Mixture([Flat(0.0), Flat(1.0)], shares)
    crop, side = torch.zeros(1, 3, 8, 8), torch.tensor([8])
    return [float(mixture(crop, side, generator).lr) for _ in range(count)]


def test_members_are_drawn_by_their_shares() -> None:
    mean = sum(drawn([1.0, 3.0], 0, 400)) / 400
    assert abs(mean - 0.75) < 4 * (0.75 * 0.25 / 400) ** 0.5  # four standard deviations


def test_the_same_state_draws_the_same_members() -> None:
    assert drawn([0.5, 0.5], 3, 20) == drawn([0.5, 0.5], 3, 20) != drawn([0.5, 0.5], 4, 20)

"""Random parameters of a batch, all from one generator: so a training run resumes exactly."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ciaovideo.grid import placed


class Draws:
    """Values for each picture of a batch, drawn by a generator on the CPU.

    ``fields`` is a generator on the pictures' own device, for noise as large as they are; its seed
    is drawn from the first, so that only that one's state decides what follows.
    """

    def __init__(self, generator: torch.Generator, device: torch.device) -> None:
        self.generator = generator
        self.device = device
        seed = int(torch.randint(2**62, (), generator=generator))
        self.fields = torch.Generator(device).manual_seed(seed)

    def uniform(self, low: float, high: float, count: int) -> Tensor:
        """Evenly from [low, high): (count,)."""
        drawn = low + (high - low) * torch.rand(count, generator=self.generator)
        return placed(drawn, self.device)

    def log_uniform(self, low: float, high: float, count: int) -> Tensor:
        """Evenly in the logarithm, from [low, high), both above 0: (count,)."""
        return self.uniform(math.log(low), math.log(high), count).exp()

    def chance(self, share: float, count: int) -> Tensor:
        """True with this probability: (count,) bool."""
        return placed(torch.rand(count, generator=self.generator) < share, self.device)

    def some(self, share: float, count: int) -> Tensor:
        """Which of ``count`` pictures, each with this probability: their indices."""
        drawn = torch.rand(count, generator=self.generator) < share
        return placed(torch.nonzero(drawn)[:, 0], self.device)

    def below(self, limit: int, count: int) -> Tensor:
        """Whole numbers below a limit: (count,) int64."""
        return placed(torch.randint(limit, (count,), generator=self.generator), self.device)

    def weighted(self, shares: Sequence[float], count: int) -> Tensor:
        """Indices drawn with these shares as weights: (count,) int64."""
        weights = torch.tensor(shares)
        drawn = torch.multinomial(weights, count, replacement=True, generator=self.generator)
        return placed(drawn, self.device)

    def happens(self, share: float) -> bool:
        """True with this probability, for what a whole batch shares."""
        return torch.rand((), generator=self.generator).item() < share

    def number(self, limit: int) -> int:
        """One whole number below a limit, for what a whole batch shares."""
        return int(torch.randint(limit, (), generator=self.generator))

    def order(self, count: int) -> list[int]:
        """The numbers below ``count``, shuffled."""
        return [int(index) for index in torch.randperm(count, generator=self.generator)]

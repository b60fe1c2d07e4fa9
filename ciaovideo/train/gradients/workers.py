"""Gradients of parts of a batch, each part on a core of its own.

Threads that divide each single operation synchronise a thousand times a step and wait for the
slowest each time. On two busy cores that takes twice the processor time of two threads that
synchronise once a step. Sums are in the order of the parts, whichever is ready first.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ciaovideo.data.lattice import LatticeBatch
from ciaovideo.grid import View
from ciaovideo.models.protocols import Network
from ciaovideo.train.gradients.prediction import predict
from ciaovideo.train.objective.losses import Objective

type Computed = tuple[list[Tensor | None], Tensor]
"""A gradient for each trained weight of the network, and the L1."""


@dataclass(frozen=True, slots=True)
class Judge:
    """Computes the loss of a batch at a step."""

    network: Network
    objective: Objective
    bf16: bool

    def __call__(self, batch: LatticeBatch, step: int, share: float) -> Computed:
        """The loss of a part that is this share of the batch."""
        loss = distance = batch.lr.new_zeros(())
        before = batch.lr
        parts = predict(self.network, batch, bf16=self.bf16)
        for (sr, hr, _, weight), target in zip(parts, batch.targets, strict=True):
            judged, apart = self.objective(sr, hr, step)
            if target.twin:
                judged = judged + self.objective.unsteadiness(before, sr)
            loss = loss + judged * (weight * share)
            distance = distance + apart.detach() * (weight * share)
            before = sr
        weights = learning(self.network)
        return list(torch.autograd.grad(loss, weights, allow_unused=True)), distance


class Workers:
    """``count`` threads, each with a core of its own."""

    def __init__(self, count: int) -> None:
        self._pool = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,))
        self.count = count

    def begin(self, judge: Judge, batch: LatticeBatch, step: int) -> Callable[[], Computed]:
        """Start on a batch; the returned function waits for the end and returns the sums."""
        parts = batch.parts(self.count)
        shares = [len(part.lr) / len(batch.lr) for part in parts]
        running = [
            self._pool.submit(judge, part, step, share)
            for part, share in zip(parts, shares, strict=True)
        ]
        return lambda: _summed([each.result() for each in running])


def learning(network: nn.Module) -> list[nn.Parameter]:
    """The weights of a network that are not frozen."""
    return [weight for weight in network.parameters() if weight.requires_grad]


def made_for(network: Network, threads: int) -> Workers | None:
    """Workers for so many threads; None for one thread or a network with random draws.

    All threads share one generator, and the order of their draws is undefined.
    """
    if threads == 1:
        return None
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        before = torch.get_rng_state()
        side = round(8 * (network.scales.only or (2.0,))[0])
        network.encode(torch.zeros(1, 3, 8, 8), View((8, 8), (side, side)))
        draws = not torch.equal(before, torch.get_rng_state())
    return None if draws else Workers(threads)


def _summed(computed: Sequence[Computed]) -> Computed:
    gradients = list(computed[0][0])
    distance = computed[0][1]
    for others, apart in computed[1:]:
        for index, other in enumerate(others):
            mine = gradients[index]
            gradients[index] = (
                other if mine is None else mine if other is None else mine.add_(other)
            )
        distance = distance + apart
    return gradients, distance

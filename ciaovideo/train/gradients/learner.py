"""Batches and their gradients: the slow part of a step."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from ciaovideo.data.degradation.chain import Degrader
from ciaovideo.data.degradation.coded import Coder
from ciaovideo.data.degradation.mixture import Degrades, Mixture
from ciaovideo.data.images import PictureStore
from ciaovideo.data.lattice import LatticeBatch, LatticeSampler
from ciaovideo.data.sampling import Batch, Sampler
from ciaovideo.models.protocols import Network
from ciaovideo.train.gradients.prediction import Part, predict
from ciaovideo.train.gradients.workers import Judge, Workers, learning, made_for
from ciaovideo.train.objective.losses import Objective
from ciaovideo.train.options import DataOptions, TrainOptions
from ciaovideo.train.ranks import Ranks


class Learner:
    """Draws a step's batch and sets the gradients of its loss.

    Lattices are divided among threads, each with a core of its own. While these compute, the next
    batch is drawn. ``drawn`` is the generator's state before that, for the checkpoint.
    """

    def __init__(
        self, network: Network, objective: Objective, options: TrainOptions, ranks: Ranks
    ) -> None:
        self.network = network
        self.objective = objective
        self.options = options
        self.ranks = ranks
        self.generator = torch.Generator().manual_seed(options.optim.seed)
        self.drawn = self.generator.get_state()
        self._device = next(network.parameters()).device
        self._part = ranks.share(options.data.batch)
        self._sampler: Sampler | LatticeSampler | None = None
        self._ahead: LatticeBatch | None = None
        self.workers: Workers | None = None

    @property
    def store(self) -> PictureStore | None:
        """The pictures; None before ``take``."""
        return self._sampler.store if self._sampler is not None else None

    def take(self, store: PictureStore) -> None:
        """Set the training pictures."""
        data = self.options.data
        store = store.to(self._device)
        self._sampler = lattice_sampler(data, store) if data.lattice else point_sampler(data, store)
        on_cpu = self._device.type == "cpu"
        threads = torch.get_num_threads() if data.lattice and on_cpu else 1
        self.workers = made_for(self.network, threads)

    def restore(self, state: Tensor) -> None:
        """Continue drawing from a saved ``drawn``."""
        self.generator.set_state(state)
        self.drawn = self.generator.get_state()

    def draw(self) -> Batch | LatticeBatch:
        """The batch of this step; it may have been drawn during the last one."""
        batch: Batch | LatticeBatch = self._ahead or self._draw()
        self._ahead = None
        self.drawn = self.generator.get_state()
        return batch

    def learn(self, batch: Batch | LatticeBatch, step: int) -> tuple[Tensor, list[Part]]:
        """Set the gradients of a step (from 0); returns the L1 and, of points, the colours."""
        with tf32(self._device), torch.random.fork_rng(devices=[]):
            # The network's own draws (stochastic depth) depend on the step and the samples only,
            # so that a resumed run draws the same.
            seed = self.options.optim.seed * 1_000_003 + step + (self.ranks.rank << 40)
            torch.manual_seed(seed % 2**63)
            if isinstance(batch, LatticeBatch):
                return self._from_lattices(batch, step), []
            parts = predict(self.network, batch, bf16=self.options.optim.bf16)
        [(sr, hr, _, _)] = parts
        loss, distance = self.objective(sr, hr, step)
        with tf32(self._device):
            loss.backward()
        return distance.detach(), parts

    def _draw(self) -> Batch | LatticeBatch:
        assert self._sampler is not None
        return self._sampler.draw(self.options.data.batch, self.generator, self._part)

    def _from_lattices(self, batch: LatticeBatch, step: int) -> Tensor:
        judge = Judge(self.network, self.objective, self.options.optim.bf16)
        if self.workers is None:
            gradients, distance = judge(batch, step, 1.0)
        else:
            result = self.workers.begin(judge, batch, step)
            if step + 1 < self.options.optim.steps:
                ahead = self._draw()
                assert isinstance(ahead, LatticeBatch)
                self._ahead = ahead
            gradients, distance = result()
        for weight, gradient in zip(learning(self.network), gradients, strict=True):
            weight.grad = gradient
        return distance


def point_sampler(data: DataOptions, store: PictureStore) -> Sampler:
    """The sampler of single pixels."""
    return Sampler(
        store,
        patch=data.patch,
        queries=data.queries,
        scales=(data.low_scale, data.high_scale),
        distinct=data.distinct,
        whole_scales=data.whole_scales,
        window=data.window,
        degrader=Degrader(data.degradation, data.patch) if data.degradation.share else None,
    )


def lattice_sampler(data: DataOptions, store: PictureStore) -> LatticeSampler:
    """The sampler of lattices."""
    return LatticeSampler(
        store,
        patch=data.patch,
        side=data.lattice,
        scales=(data.low_scale, data.high_scale),
        groups=data.groups,
        candidates=data.candidates,
        window=data.window,
        whole_scales=data.whole_scales,
        degrader=_degrader(data),
    )


def _degrader(data: DataOptions) -> Degrades | None:
    """The degrader of LR patches; None if they are only reduced."""
    coded = Coder(data.coded, data.patch) if data.coded.share else None
    worn = Degrader(data.degradation, data.patch) if data.degradation.share else None
    if coded and worn:
        return Mixture([worn, coded], [data.worn, 1 - data.worn])
    return coded or worn


@contextmanager
def tf32(device: torch.device) -> Iterator[None]:
    """Context manager: a GPU multiplies fp32 matrices in TF32, like convolutions in training.

    Batches are made outside it: exactly bicubic LR patches need full fp32.
    """
    matrices = torch.backends.cuda.matmul
    before = matrices.allow_tf32
    matrices.allow_tf32 = before or device.type == "cuda"
    try:
        yield
    finally:
        matrices.allow_tf32 = before

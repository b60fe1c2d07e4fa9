"""A network's cost: weights, and time for one picture."""

import statistics
import time
from dataclasses import dataclass

import torch
from torch import nn

from ciaovideo.engine.engine import Engine
from ciaovideo.models.protocols import Network

SIDE = 192  # px of LR
SCALE = 4.0  # our choice: the paper names no scale
RUNS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Weights of a network, of its decoder alone, and milliseconds for a picture of ``SIDE`` px.

    ``device`` is where it was timed; ``source`` is the paper of a published figure.
    """

    method: str
    decoder: int
    milliseconds: float
    device: str
    weights: int | None = None
    source: str = ""


def cost(name: str, network: Network, engine: Engine) -> Cost:
    """CiaoSR (Cao et al., arXiv 2212.04362), table 7: size of the implicit model, total time.

    LR of 192x192 px at x4; the median of three runs after a warm-up.
    """
    lr = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    lr = lr.to(engine.device)
    out_size = (round(SIDE * SCALE), round(SIDE * SCALE))
    seconds = [_timed(engine, lr, out_size) for _ in range(1 + RUNS)]
    return Cost(
        method=name,
        decoder=_count(network, "decoder."),
        weights=_count(network),
        milliseconds=1000 * statistics.median(seconds[1:]),
        device=f"{engine.device}, {engine.precision}",
    )


def _timed(engine: Engine, lr: torch.Tensor, out_size: tuple[int, int]) -> float:
    started = time.perf_counter()
    engine(lr, out_size).sum().item()  # synchronises with a GPU
    return time.perf_counter() - started


def _count(network: nn.Module, prefix: str = "") -> int:
    return sum(
        weight.numel() for name, weight in network.named_parameters() if name.startswith(prefix)
    )

"""Lower bound of the network's time: its arithmetic and memory traffic on this machine."""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ciaovideo.bench.harness import wait_for
from ciaovideo.engine.engine import Engine
from ciaovideo.engine.precision import DTYPES
from ciaovideo.models.protocols import Network
from ciaovideo.ops.flops import count_flops
from ciaovideo.ops.linear import linear
from ciaovideo.options import EngineOptions

SIDE = 48  # LR px of the picture whose operations are counted
MATRIX = {"cpu": 1024, "cuda": 8192}  # side of the square matrices whose product is timed
BYTES = {"cpu": 1 << 27, "cuda": 1 << 31}  # of the copy that is timed
QUIET_S = 0.5  # a rate is accepted after this time without a faster one
MOST_S = 6.0
FASTER = 0.99  # of the least time: smaller gains do not count


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """Work of one frame, measured rates of the machine, and the time that follows.

    ``flop``: floating-point operations, a product and its sum being two; ``flop_rate`` and
    ``byte_rate``: a second, of a large matrix product in the engine's precision and of a large
    copy (read and written bytes counted). ``bytes``: LR read once and SR written once, in fp32.
    """

    flop: float
    bytes: float
    flop_rate: float
    byte_rate: float

    @property
    def seconds(self) -> float:
        """The larger of both times: each is a lower bound."""
        return max(self.flop / self.flop_rate, self.bytes / self.byte_rate)


def measure_floor(engine: Engine, lr_size: tuple[int, int], out_size: tuple[int, int]) -> Floor:
    """Count and measure, for one frame of these (height, width)."""
    area = math.prod(lr_size)
    factors = out_size[0] / lr_size[0], out_size[1] / lr_size[1]
    return Floor(
        flop=flop_per_pixel(engine.network, factors) * area,
        bytes=4.0 * 3 * (area + math.prod(out_size)),
        flop_rate=matrix_rate(engine.device, DTYPES[engine.precision]),
        byte_rate=copy_rate(engine.device),
    )


def flop_per_pixel(network: Network, factors: tuple[float, float]) -> float:
    """Operations in matrix products and convolutions per LR pixel, at scales (y, x).

    Counted on the CPU in fp32, where every product is an operator that can be counted.
    """
    engine = Engine(copy.deepcopy(network), EngineOptions(device="cpu", precision="fp32"))
    out_size = round(SIDE * factors[0]), round(SIDE * factors[1])
    lr = torch.zeros(1, 3, SIDE, SIDE)
    engine(lr, out_size)  # what is tried once before use is not part of the work
    return count_flops(lambda: engine(lr, out_size)) / SIDE**2


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Operations per second of a large matrix product, the best of several.

    The product is that of the networks' own layers, which on some processors has twice the rate
    of ``torch.mm`` in fp32.
    """
    side = MATRIX.get(device.type, 1024)
    left, right = (torch.ones(side, side, dtype=dtype, device=device) for _ in range(2))
    bias = torch.zeros(side, dtype=dtype, device=device)
    return 2 * side**3 / _best(lambda: linear(left, (right, bias)), device)


def copy_rate(device: torch.device) -> float:
    """Bytes per second of a large copy, the best of several."""
    size = BYTES.get(device.type, 1 << 27)
    source = torch.ones(size // 4, device=device)
    target = torch.empty_like(source)
    return 2 * size / _best(lambda: target.copy_(source), device)


def _best(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of the fastest run, the first one apart.

    A shared machine gives a process its full rate only for moments, so a fixed number of runs would
    find a different rate each time.
    """
    work()
    wait_for(device)
    best = math.inf
    began = improved = time.perf_counter()
    while (now := time.perf_counter()) - improved < QUIET_S and now - began < MOST_S:
        work()
        wait_for(device)
        ended = time.perf_counter()
        if ended - now < FASTER * best:
            improved = ended
        best = min(best, ended - now)
    return best

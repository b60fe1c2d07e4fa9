"""A network's load: weights, multiplications, time of one core, memory."""

import math
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ciaovideo.engine.engine import Engine
from ciaovideo.errors import MissingWeightsError
from ciaovideo.models.protocols import Network
from ciaovideo.ops.flops import count_flops

SIDE = 96  # px of LR
SCALES = (4.0, 3.0, 2.0)  # the first that a network supports is used
RUNS = 3

type Size = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The cost of enlarging a picture of 96x96 px by ``scale``.

    ``macs``: multiplications with addition for each output pixel, in matrix products and
    convolutions. ``cpu_s``: seconds of one core for a million output pixels; on a GPU, wall time.
    ``memory_mb``: peak size of all tensors, without weights.
    """

    method: str
    scale: float
    weights: int
    macs: float
    cpu_s: float
    memory_mb: float


def measure_load(name: str, network: Network, engine: Engine) -> Load:
    """Measure after a warm-up: counts by one run each, time as the median of three more."""
    size = (SIDE, SIDE)
    scale, out_size = _largest(network, size)
    lr = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0)).to(engine.device)
    pixels = math.prod(out_size)
    with one_thread():
        engine(lr, out_size)
        flops = count_flops(lambda: engine(lr, out_size))
        memory = peak_bytes(lambda: engine(lr, out_size))
        seconds = [_timed(engine, lr, out_size) for _ in range(RUNS)]
    return Load(
        method=name,
        scale=scale,
        weights=sum(weight.numel() for weight in network.parameters()),
        macs=flops / 2 / pixels,
        cpu_s=statistics.median(seconds) * 1e6 / pixels,
        memory_mb=memory / 1e6,
    )


def peak_bytes(work: Callable[[], object]) -> int:
    """The peak size in bytes of the tensors that a call makes."""
    with _Held() as held:
        work()
    peak: int = held.peak
    return peak


@contextmanager
def one_thread() -> Iterator[None]:
    """Context manager: torch computes on one core."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Held(TorchDispatchMode):
    """Follows every tensor that an operator makes until it is freed."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._alive: dict[int, tuple[StorageWeakRef, int]] = {}
        self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        before = {id(leaf) for leaf in tree_leaves((args, kwargs))}
        for leaf in tree_leaves(made):
            if isinstance(leaf, Tensor) and id(leaf) not in before:
                storage = leaf.untyped_storage()
                reference = StorageWeakRef(storage)
                self._alive[reference.cdata] = reference, storage.nbytes()
        self._alive = {key: pair for key, pair in self._alive.items() if not pair[0].expired()}
        self.peak = max(self.peak, sum(size for _, size in self._alive.values()))
        return made


def _largest(network: Network, size: Size) -> tuple[float, Size]:
    for scale in SCALES:
        out_size = round(size[0] * scale), round(size[1] * scale)
        if network.scales.hold(size, out_size):
            return scale, out_size
    raise MissingWeightsError(
        f"the network's scales are {network.scales}, none of {SCALES}", "leave it out"
    )


def _timed(engine: Engine, lr: Tensor, out_size: Size) -> float:
    clock = time.process_time if engine.device.type == "cpu" else time.perf_counter
    started = clock()
    engine(lr, out_size).sum().item()  # synchronises with a GPU
    return clock() - started

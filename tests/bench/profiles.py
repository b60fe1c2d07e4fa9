"""Where the time goes, by kinds of operation: the definition before, the exact fast path after.

``python -m tests.bench.profiles [--side 96] [--scale 4]`` prints a table for the GPU, or for one
thread of a processor where there is none. The definition asks for every pixel by itself, as in
``tests.bench.exact``; weights are random. The profiler reads the clock, which on a busy
machine counts the work of others: seconds of a processor are its shares of the CPU seconds. The
profiler's own work is in them.
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from ciaovideo.bench.harness import machine, wait_for
from ciaovideo.engine.engine import Engine
from ciaovideo.options import EngineOptions
from tests.bench.exact import by_definition, random_network

FUSED = {"_mix", "_perceptron", "_softmax", "_paste", "_blend", "_render"}
# Words in the names of torch's operators and of GPU kernels; the first that fits counts.
KINDS = {
    "convolutions": ("conv", "cudnn", "wgrad", "fprop", "implicit"),
    "products of matrices": ("mm", "linear", "gemm", "cutlass", "nvjet"),
    "gathering, shifting, copying": (
        *("index", "gather", "im2col", "cat", "copy", "memcpy", "memset", "fill", "zero", "pad"),
        *("roll", "empty", "resize", "clone", "grid_sampler"),
    ),
    "sums, softmax": ("softmax", "sum", "reduce", "norm"),
    "products, sums, ReLU of elements": (
        *("mul", "add", "relu", "clamp", "div", "sub", "lerp", "threshold", "elementwise"),
    ),
}
FUSED_KIND, OTHER = "fused kernels", "all else"


def kind_of(name: str) -> str:
    """The kind of an operator or kernel by its name."""
    if name in FUSED:
        return FUSED_KIND
    own = name.lower()
    return next((kind for kind, words in KINDS.items() if any(w in own for w in words)), OTHER)


def seconds_by_kind(work: Callable[[], object], device: torch.device) -> Counter[str]:
    """Seconds on the clock that a piece of work spends in each kind of operation."""
    on_gpu = device.type == "cuda"
    activity = ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU
    wait_for(device)
    with profile(activities=[activity]) as record:
        work()
        wait_for(device)
    spent: Counter[str] = Counter()
    for event in record.key_averages():
        if not on_gpu:
            spent[kind_of(event.key)] += event.self_cpu_time_total / 1e6
        elif event.device_type.name == "CUDA":
            spent[kind_of(event.key)] += event.self_device_time_total / 1e6
    return spent


def table(before: Counter[str], after: Counter[str]) -> str:
    """Both as Markdown."""
    lines = ["| seconds | definition | fast path |", "|---|---|---|"]
    for kind in (FUSED_KIND, *KINDS, OTHER):
        if before[kind] + after[kind]:
            lines.append(f"| {kind} | {before[kind]:.2f} | {after[kind]:.2f} |")
    return "\n".join([*lines, f"| together | {before.total():.2f} | {after.total():.2f} |"])


def main() -> None:
    """Profile both ways and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--recipe", default="ciaosr-edsr")
    parser.add_argument("--side", type=int, default=96, help="of the LR picture")
    parser.add_argument("--scale", type=float, default=4.0)
    arguments = parser.parse_args()
    network = random_network(arguments.recipe)
    engine = Engine(network, EngineOptions(precision="fp32"))
    lr = torch.rand(1, 3, arguments.side, arguments.side, device=engine.device)
    out = round(arguments.side * arguments.scale)
    ways: tuple[Callable[[Tensor, tuple[int, int]], Tensor], ...] = (
        lambda picture, size: by_definition(network, picture, size),
        lambda picture, size: engine(picture, size),
    )
    spent: list[Counter[str]] = []
    for way in ways:
        way(lr[..., :8, :8], (16, 16))  # to warm up
        began = time.process_time()
        kinds = seconds_by_kind(partial(way, lr, (out, out)), engine.device)
        if engine.device.type == "cpu":
            cpu, clock = time.process_time() - began, kinds.total()
            kinds = Counter({kind: seconds * cpu / clock for kind, seconds in kinds.items()})
        spent.append(kinds)
    print(", ".join(f"{name} {fact}" for name, fact in machine().items()))
    print(f"{arguments.recipe}, {arguments.side}x{arguments.side} x{arguments.scale:g}, fp32\n")
    print(table(*spent))


if __name__ == "__main__":
    main()

"""One measurement: warm-up, repetitions, wall and processor seconds, spread, peak memory."""

import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Self

import numpy as np
import psutil
import torch

DRIVER = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Seconds per frame of one case: median and spread of its repetitions.

    ``spread`` is the interquartile range over the median. ``cpu_s`` counts all threads of the
    process; a busy machine disturbs it less than ``wall_s``.
    """

    case: str
    wall_s: float
    cpu_s: float
    spread: float
    repetitions: int

    @classmethod
    def of(cls, case: str, walls: Sequence[float], cpus: Sequence[float]) -> Self:
        """The result of two or more repetitions, from their wall and CPU seconds per frame."""
        median = statistics.median(walls)
        low, _, high = statistics.quantiles(walls, n=4)
        return cls(
            case=case,
            wall_s=median,
            cpu_s=statistics.median(cpus),
            spread=(high - low) / median,
            repetitions=len(walls),
        )

    @property
    def fps(self) -> float:
        """Frames per second."""
        return 1 / self.wall_s


def measure(
    case: str, work: Callable[[], int], *, least_s: float = 2.0, device: torch.device | None = None
) -> Result:
    """Run ``work`` once to warm up, then for ``least_s``, three times at least.

    ``work`` returns its number of frames.
    """
    work()
    walls: list[float] = []
    cpus: list[float] = []
    began = time.perf_counter()
    while len(walls) < 3 or time.perf_counter() - began < least_s:
        wait_for(device)
        wall, cpu = time.perf_counter(), time.process_time()
        frames = work()
        wait_for(device)
        walls.append((time.perf_counter() - wall) / frames)
        cpus.append((time.process_time() - cpu) / frames)
    return Result.of(case, walls, cpus)


def wait_for(device: torch.device | None) -> None:
    """Wait for a GPU's queue to drain; other devices compute synchronously."""
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_memory() -> int:
    """Peak memory of this process, in bytes."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    kilobytes = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kilobytes


def machine() -> dict[str, str]:
    """Processor, GPU, driver and versions, on which figures depend."""
    facts = {
        "processor": f"{_processor()}, {torch.get_num_threads()} threads",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }
    for package in ("av", "triton"):  # without importing them; FFmpeg comes with av
        with suppress(PackageNotFoundError):
            facts[package] = version(package)
    if torch.cuda.is_available():
        facts["gpu"] = torch.cuda.get_device_name()
        facts["cuda"] = str(torch.version.cuda)
        facts["driver"] = _driver()
    return facts


def _driver() -> str:
    """The version of NVIDIA's driver: the first dotted number in its line."""
    try:
        line = DRIVER.read_text(encoding="utf-8").partition("\n")[0]
    except OSError:
        return "unknown"
    words = (word for word in line.split() if word.replace(".", "").isdigit() and "." in word)
    return next(words, "unknown")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()

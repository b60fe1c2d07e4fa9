"""What a batch costs beside its work: memory by files, several workers, a Dask cluster's tasks.

    python tests/bench/batches.py memory 10,100,1000     # tiny files, one worker
    python tests/bench/batches.py workers 1,2,4          # ciaosr-fast on eight clips
    python tests/bench/batches.py cluster 2              # the same clips by local:2, and locally

Every command is a process of its own. Memory is the largest of the process that runs the command
and of one worker (resident, sampled ten times a second). ``s`` is wall time, ``CPU s`` that of the
command with all its workers, which alone compares on a busy machine. ``MB sent`` went over the
loopback meanwhile, from whatever program.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.media import make_clip

TINY = {"width": 48, "height": 32, "seconds": 0.25}
CLIP = {"width": 160, "height": 96, "seconds": 2.0}
CLIPS = 8
SEGMENT = 12  # frames


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one command: seconds, MB over the loopback, and the most MB that it and a worker held."""

    seconds: float
    cpu_s: float
    sent_mb: float
    command_mb: float
    worker_mb: float


def cost(words: Sequence[str]) -> Cost:
    """Run a command of ciaovideo that has to succeed."""
    began, used, sent = time.monotonic(), children_cpu(), loopback_bytes()
    own = worker = 0.0
    with subprocess.Popen([sys.executable, "-m", "ciaovideo", *words, "--quiet"]) as process:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                own = max(own, watched.memory_info().rss / 1e6)
                for child in watched.children(recursive=True):
                    worker = max(worker, child.memory_info().rss / 1e6)
            except psutil.Error:
                pass  # it has just ended
            time.sleep(0.1)  # between two samples of the memory
    if process.returncode:
        raise SystemExit(f"{' '.join(words)} ended with {process.returncode}")
    sent_mb = (loopback_bytes() - sent) / 1e6
    return Cost(time.monotonic() - began, children_cpu() - used, sent_mb, own, worker)


def children_cpu() -> float:
    """Processor seconds of all children that ended, and of theirs."""
    times = os.times()
    return times.children_user + times.children_system


def loopback_bytes() -> int:
    """What was sent over the loopback since the machine started; 0 where there is none."""
    found = psutil.net_io_counters(pernic=True).get("lo")
    return found.bytes_sent if found else 0


def memory(counts: Sequence[int], folder: Path) -> None:
    """A line a number of files."""
    make_clip(folder / "tiny.mkv", **TINY)
    content = (folder / "tiny.mkv").read_bytes()
    print("files, s, s a file, command MB, worker MB")
    for count in counts:
        source = folder / f"in{count}"
        source.mkdir()
        for number in range(count):
            (source / f"{number:05}.mkv").write_bytes(content)
        output = str(folder / f"out{count}")
        made = cost(["batch", str(source), "-o", output, "--model", "bicubic", "--no-disk-check"])
        print(
            f"{count}, {made.seconds:.1f}, {made.seconds / count:.3f}, {made.command_mb:.0f},"
            f" {made.worker_mb:.0f}",
            flush=True,
        )


def clips(folder: Path) -> Path:
    """Clips with some seconds of work each."""
    source = folder / "clips"
    source.mkdir()
    for number in range(CLIPS):
        make_clip(source / f"{number}.mkv", **CLIP)
    return source


def workers(variants: Sequence[tuple[str, ...]], model: str, folder: Path) -> None:
    """A line for each way to spread the same batch."""
    source = clips(folder)
    print("workers, s, times the first, CPU s, command MB, worker MB, MB sent")
    first = 0.0
    for words in variants:
        name = " ".join(words)
        output = str(folder / f"out {name}".replace(":", "-"))
        made = cost(
            ["batch", str(source), "-o", output, "--scale", "2", "--no-disk-check",
             "--segment", str(SEGMENT), "--model", model, *words]
        )  # fmt: skip
        first = first or made.seconds
        print(
            f"{name}, {made.seconds:.1f}, {first / made.seconds:.2f}, {made.cpu_s:.1f},"
            f" {made.command_mb:.0f}, {made.worker_mb:.0f}, {made.sent_mb:.2f}",
            flush=True,
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("memory", "workers", "cluster"))
    parser.add_argument("counts", help="numbers of files or workers, with commas")
    parser.add_argument("--model", default="ciaosr-fast", help="bicubic: as little work as can be")
    arguments = parser.parse_args()
    counts = [int(count) for count in arguments.counts.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        if arguments.kind == "memory":
            memory(counts, Path(folder))
        else:
            local = [("--workers", str(count)) for count in counts]
            spread = [("--cluster", f"local:{count}") for count in counts]
            variants = local + (spread if arguments.kind == "cluster" else [])
            workers(variants, arguments.model, Path(folder))


if __name__ == "__main__":
    main()

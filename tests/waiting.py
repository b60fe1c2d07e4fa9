"""Waiting for what happens in other threads and processes, without a guess of how long it takes."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

FAR_TOO_LONG_S = 480  # for what takes a second on a quiet machine
ENDS_S = 240  # for a process to end that was asked to: whoever hangs, hangs longer
LOOK_EVERY_S = 0.02


def wait_until(true: Callable[[], object]) -> None:
    """Wait for something; fail if it never happens."""
    deadline = time.monotonic() + FAR_TOO_LONG_S
    while not true():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(LOOK_EVERY_S)


def wait_while_busy(process: "subprocess.Popen[bytes]") -> None:
    """Wait until a process that has begun its work only waits, in each of its threads.

    On a busy machine a thread may get no processor for long; it is runnable then, and not asleep.
    """
    threads = Path(f"/proc/{process.pid}/task")
    if not threads.is_dir():
        time.sleep(10)  # no such folder on this system: as long as starting may take
        return
    seen: list[tuple[int, bool]] = []

    def idle() -> bool:
        seen.append(_used(threads))
        last = seen[-8:]
        return len(last) == 8 and len(set(last)) == 1 and last[0][1] and last[0][0] > 0

    wait_until(idle)


def wait_until_it_holds(process: "subprocess.Popen[bytes]", library: str) -> None:
    """Wait until a process has a library of this name in its memory."""
    maps = Path(f"/proc/{process.pid}/maps")
    if not maps.is_file():
        time.sleep(1)  # no such file on this system: about as long as it takes
        return
    wait_until(lambda: library in maps.read_text(encoding="utf-8", errors="replace"))


def _used(threads: Path) -> tuple[int, bool]:
    """Ticks of processor time of all threads, and whether all are asleep."""
    ticks, asleep = 0, True
    for stat in threads.glob("*/stat"):
        try:
            fields = stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return 0, False  # a thread ended just now
        ticks += int(fields[11]) + int(fields[12])
        asleep &= fields[0] == "S"
    return ticks, asleep

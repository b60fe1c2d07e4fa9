"""Reverts the real-time priority that an encoder sets.

When the superuser runs SVT-AV1, as in most containers, it gives its caller and all its threads the
highest real-time priority. Other programs then stall, and so do later threads and child processes,
which inherit it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

THREADS = Path("/proc/self/task")  # Linux only, as is the problem


@contextmanager
def ordinary_priority() -> Iterator[None]:
    """Reset every thread that the block made real-time to the caller's own priority."""
    if not THREADS.is_dir():
        yield
        return
    before: dict[int, int] = {}
    for thread in _threads():
        with suppress(ProcessLookupError):  # it has ended meanwhile
            before[thread] = os.sched_getscheduler(thread)
    policy, priority = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        for thread in _threads():
            with suppress(ProcessLookupError):  # it has ended meanwhile
                if os.sched_getscheduler(thread) != before.get(thread, policy):
                    os.sched_setscheduler(thread, policy, priority)


def _threads() -> list[int]:
    return [int(thread.name) for thread in THREADS.iterdir()]

"""Encoders that make the process a real-time one, undone.

SVT-AV1 run by the superuser, as in most containers, gives its caller and all its threads the
highest real-time priority: whatever else the machine does then stands still, and so does whatever
the process itself begins later, since threads and child processes inherit it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

THREADS = Path("/proc/self/task")  # only Linux has it, and only there it happens


@contextmanager
def ordinary_priority() -> Iterator[None]:
    """Give every thread that the block made a real-time one the caller's own priority again."""
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

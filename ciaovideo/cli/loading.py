"""Ctrl-C while libraries load: nothing is at stake yet, and the process ends at once."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def loading() -> Iterator[None]:
    """Around the imports of a command that are not quick.

    An exception that a signal raises inside the start of a C++ library may abort the process.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = [signal.signal(number, _leave) for number in SIGNALS]
    try:
        yield
    finally:
        for number, handler in zip(SIGNALS, before, strict=True):
            signal.signal(number, handler)


def _leave(number: int, _: FrameType | None) -> None:
    sys.stderr.write("ciaovideo: interrupted\n")
    sys.stderr.flush()
    os._exit(128 + number)

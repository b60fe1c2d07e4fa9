"""Ctrl-C while libraries load: nothing is at stake yet, and the process ends at once."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

# Asked to end from outside; SIGHUP, which not every system has, by a terminal that closes.
ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextmanager
def loading() -> Iterator[None]:
    """Around the imports of a command that are not quick.

    An exception that a signal raises inside the start of a C++ library may abort the process.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = [n for n in (signal.SIGINT, *ENDING) if signal.getsignal(n) != signal.SIG_IGN]
    before = [signal.signal(number, _leave) for number in heard]
    try:
        yield
    finally:
        for number, handler in zip(heard, before, strict=True):
            signal.signal(number, handler)


def _leave(number: int, _: FrameType | None) -> None:
    with suppress(OSError):  # the terminal may be gone
        sys.stderr.write("ciaovideo: interrupted\n")
        sys.stderr.flush()
    os._exit(128 + number)

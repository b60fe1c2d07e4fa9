"""Ends the process at once on Ctrl-C while libraries load, when nothing needs a clean-up."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

# Signals that ask the process to end; not every system has SIGHUP.
ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextmanager
def loading() -> Iterator[None]:
    """Context manager for slow imports of a command.

    An exception that a signal raises while a C++ library starts may abort the process.
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

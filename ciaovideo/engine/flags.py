"""torch's process-wide flags, set only while an engine computes."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch


class ProcessFlags:
    """The first user sets them, the last one restores the previous values."""

    def __init__(self, turn: Callable[[], ExitStack]) -> None:
        self._turn = turn
        self._lock = threading.Lock()
        self._users = 0
        self._restore = ExitStack()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Context manager: they are set inside."""
        with self._lock:
            if not self._users:
                self._restore = self._turn()
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    self._restore.close()


def _without_tf32() -> ExitStack:
    restore = ExitStack()
    places: tuple[Any, ...] = (torch.backends.cudnn, torch.backends.cuda.matmul)
    for place in places:
        restore.callback(setattr, place, "allow_tf32", place.allow_tf32)
        place.allow_tf32 = False
    return restore


exact_products = ProcessFlags(_without_tf32)
"""fp32 means fp32 on a GPU: bf16 is there for speed."""

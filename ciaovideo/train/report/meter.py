"""Loss and data time of a run's steps, read without making a GPU wait."""

import math
import time
from collections import deque

import torch
from torch import Tensor

SMOOTHING = 0.98  # of all displayed figures
LATE = 20  # losses kept on a device before all of them are read at once

type Mark = float | torch.cuda.Event


class SmoothedLoss:
    """The smoothed L1 of a run; ``value`` covers all steps except unread ones.

    Reading a value makes the host wait for the device, which is idle then. So losses stay there for
    some steps; the time of reading changes no result. On a CPU they are read at once.
    """

    def __init__(self, device: torch.device) -> None:
        self.value = math.nan
        self._most = 1 if device.type == "cpu" else LATE
        self._unread: list[Tensor] = []

    def add(self, loss: Tensor) -> int | None:
        """Add the loss of a step; then like ``read``, if that is due."""
        self._unread.append(loss.detach())
        return self.read() if len(self._unread) >= self._most else None

    def read(self) -> int | None:
        """Update ``value``; returns how many steps ago a loss was NaN or Inf, None if none was."""
        losses = torch.stack(self._unread).tolist() if self._unread else []
        self._unread.clear()
        for index, loss in enumerate(losses):
            if not math.isfinite(loss):
                return len(losses) - 1 - index
            smoothed = SMOOTHING * self.value + (1 - SMOOTHING) * loss
            self.value = loss if math.isnan(self.value) else smoothed
        return None


class DataShare:
    """The smoothed share of time in which the network waits for its batch.

    On CUDA it is measured by events in the device's queue, which are read once they have passed, so
    the host does not wait. Elsewhere it is measured by the clock.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._unread: deque[tuple[Mark, Mark, Mark]] = deque()
        self._data = self._whole = 0.0  # seconds, or milliseconds on CUDA

    @property
    def value(self) -> float:
        """In [0, 1]; 0 before the first step."""
        return self._data / self._whole if self._whole else 0.0

    def mark(self) -> Mark:
        """Mark the current time."""
        if self._device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self._device))
        return event

    def add(self, begin: Mark, ready: Mark, end: Mark) -> None:
        """Add a step: the marks of its begin, of its batch being ready, and of its end."""
        self._unread.append((begin, ready, end))
        while self._unread and _has_come(self._unread[0][2]):
            begin, ready, end = self._unread.popleft()
            self._data = SMOOTHING * self._data + _between(begin, ready)
            self._whole = SMOOTHING * self._whole + _between(begin, end)


def _has_come(mark: Mark) -> bool:
    return isinstance(mark, float) or bool(mark.query())


def _between(first: Mark, second: Mark) -> float:
    if isinstance(first, float):
        assert isinstance(second, float)
        return second - first
    assert not isinstance(second, float)
    return float(first.elapsed_time(second))

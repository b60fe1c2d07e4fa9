"""Loss and data time of a run's steps, read without making a GPU wait."""

import math
import time
from collections import deque

import torch
from torch import Tensor

SMOOTHING = 0.98  # of all that is shown
LATE = 20  # losses that stay on a device before all of them are read at once

type Mark = float | torch.cuda.Event


class SmoothedLoss:
    """The smoothed L1 of a run: ``value`` after all steps up to those that are still unread.

    To read a value makes the host wait for the device, which then has nothing to do. So losses stay
    there for some steps; when each of them was read changes nothing. On a CPU they are read at
    once.
    """

    def __init__(self, device: torch.device) -> None:
        self.value = math.nan
        self._most = 1 if device.type == "cpu" else LATE
        self._unread: list[Tensor] = []

    def add(self, loss: Tensor) -> int | None:
        """The loss of a step; like ``read``, if it is time for that."""
        self._unread.append(loss.detach())
        return self.read() if len(self._unread) >= self._most else None

    def read(self) -> int | None:
        """Update ``value``; how many steps ago a loss was NaN or Inf, None if all were finite."""
        losses = torch.stack(self._unread).tolist() if self._unread else []
        self._unread.clear()
        for index, loss in enumerate(losses):
            if not math.isfinite(loss):
                return len(losses) - 1 - index
            smoothed = SMOOTHING * self.value + (1 - SMOOTHING) * loss
            self.value = loss if math.isnan(self.value) else smoothed
        return None


class DataShare:
    """Which share of the steps' time the network waits for its batch, smoothed.

    On CUDA by events in the queue of work, so that it is the device's time and the host does
    not wait: they are read once they have passed. Elsewhere by the clock.
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
        """This moment."""
        if self._device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self._device))
        return event

    def add(self, begin: Mark, ready: Mark, end: Mark) -> None:
        """A step: when it began, when its batch was ready, and when it ended."""
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

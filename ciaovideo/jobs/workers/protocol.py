"""The interface of a batch's workers."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol


class Workers(Protocol):
    """Workers that carry out tasks. A context manager."""

    @property
    def free(self) -> list[str]:
        """The names of workers that have no task."""
        ...

    @property
    def count(self) -> int:
        """How many workers there are."""
        ...

    def submit(self, worker: str, task: Callable[..., Any], *words: Any, **named: Any) -> None:
        """Give a free worker a task."""
        ...

    def finished(self, timeout_s: float) -> Iterator[tuple[str, Callable[[], Any]]]:
        """Workers that ended a task, with a function that returns its result or raises its error.

        LostWorkerError means that the worker died. Waits for the first, at most ``timeout_s``.
        """
        ...

    def frames(self, worker: str) -> int:
        """The number of frames of its task that a worker has done, as far as known."""
        ...

    def stop(self) -> None:
        """End all workers at once, with their tasks."""
        ...

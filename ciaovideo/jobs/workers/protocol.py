"""What a batch asks of its workers."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol


class Workers(Protocol):
    """Where tasks are carried out. A context manager."""

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
        """Workers that ended a task, and what gives its result or raises its error.

        LostWorkerError is that of a worker which died. Waits for the first, at most so long.
        """
        ...

    def frames(self, worker: str) -> int:
        """How many frames of its task a worker has done, as far as that is known."""
        ...

    def stop(self) -> None:
        """End all workers at once, with their tasks."""
        ...

"""Processes of this machine that carry out tasks, one each at a time.

Each is a ``ProcessPoolExecutor`` of one process: if that dies, only its executor is broken, and is
replaced.
"""

import contextlib
import ctypes
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait as wait_for
from typing import Any

from ciaovideo.allocation import keep_freed_memory
from ciaovideo.errors import LostWorkerError, OptionError

PROCESS, FRAMES, ENDED = 0, 1, 2  # its process number, its progress, and whether it must not begin


class LocalWorkers:
    """Worker processes that share this machine's cores, or have one of its GPUs each."""

    def __init__(self, count: int, *, devices: tuple[str, ...] = (), cores: int = 0) -> None:
        if count < 1:
            raise OptionError(f"{count} workers cannot work", "ask for at least one")
        self._context = multiprocessing.get_context(
            "spawn"
        )  # torch's threads do not survive a fork
        self._devices = devices
        self._cores = max(1, (cores or available_cores()) // count)
        self._names = [str(number) for number in range(1, count + 1)]
        self._shared = {name: self._context.RawArray(ctypes.c_int64, 3) for name in self._names}
        self._executors: dict[str, ProcessPoolExecutor] = {}
        self._tasks: dict[str, Future[Any]] = {}
        self._stopped = False

    def __enter__(self) -> "LocalWorkers":
        return self

    def __exit__(self, *_: object) -> None:
        if self._tasks and not self._stopped:
            self.stop()
        for executor in self._executors.values():
            executor.shutdown(wait=True)

    @property
    def count(self) -> int:
        """How many workers there are."""
        return len(self._names)

    @property
    def free(self) -> list[str]:
        """The names of workers that have no task."""
        return [name for name in self._names if name not in self._tasks]

    def submit(self, worker: str, task: Callable[..., Any], *words: Any, **named: Any) -> None:
        """Give a free worker a task; its process starts with the first one."""
        if worker not in self._executors:
            self._executors[worker] = self._new(worker)
        self._shared[worker][FRAMES] = 0
        try:
            self._tasks[worker] = self._executors[worker].submit(task, *words, **named)
        except BrokenProcessPool as cause:  # it died while it had no task
            self._tasks[worker] = failed = Future[Any]()
            failed.set_exception(cause)

    def finished(self, timeout_s: float) -> Iterator[tuple[str, Callable[[], Any]]]:
        """Workers that ended a task; see ``Workers``."""
        done, _ = wait(self._tasks.values(), timeout=timeout_s, return_when=FIRST_COMPLETED)
        for worker, future in [*self._tasks.items()]:
            if future in done:
                del self._tasks[worker]
                broken = isinstance(future.exception(), BrokenProcessPool)
                if broken:
                    self._executors.pop(worker).shutdown(wait=False)
                yield worker, (self._lost(worker) if broken else future.result)

    def frames(self, worker: str) -> int:
        """How many frames of its task a worker has done."""
        return int(self._shared[worker][FRAMES])

    def stop(self) -> None:
        """Kill all workers with their tasks; returns when none is alive.

        A worker that is just starting has not reported its number yet: it ends itself.
        """
        self._stopped = True
        for shared in self._shared.values():
            shared[ENDED] = True
            if shared[PROCESS]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(shared[PROCESS]), signal.SIGTERM)
        for executor in self._executors.values():  # only an executor's first shutdown waits
            executor.shutdown(wait=True, cancel_futures=True)

    def _new(self, worker: str) -> ProcessPoolExecutor:
        device = self._devices[(int(worker) - 1) % len(self._devices)] if self._devices else ""
        self._shared[worker][PROCESS] = 0  # a dead worker's number may have been reused
        return ProcessPoolExecutor(
            1,
            mp_context=self._context,
            initializer=_begin,
            initargs=(self._shared[worker], self._cores, device),
        )

    def _lost(self, worker: str) -> Callable[[], Any]:
        def raise_it() -> Any:
            raise LostWorkerError(f"worker {worker} died", "check its memory")

        return raise_it


def available_cores() -> int:
    """The number of cores that this process may use, by torch's count."""
    import torch

    return torch.get_num_threads()


def find_devices(device: str) -> tuple[str, ...]:
    """The GPUs of this machine, if the device is not fixed; else empty."""
    import torch

    if device not in ("auto", "cuda") or not torch.cuda.is_available():
        return ()
    return tuple(f"cuda:{number}" for number in range(torch.cuda.device_count()))


def _begin(shared: Any, cores: int, device: str) -> None:
    """Set up a worker process; it ends with the process that started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C to all of its processes
    keep_freed_memory()
    parent = multiprocessing.parent_process()
    assert parent is not None
    sentinel = parent.sentinel

    def leave() -> None:
        wait_for([sentinel])
        os._exit(1)

    threading.Thread(target=leave, name="ciaovideo-parent", daemon=True).start()
    shared[PROCESS] = os.getpid()
    if shared[ENDED]:  # it was set before this number could be read
        os._exit(1)
    import torch

    from ciaovideo.jobs import tasks

    torch.set_num_threads(cores)

    def report(frames: int) -> None:
        shared[FRAMES] = frames

    tasks.context = tasks.WorkerContext(report, device=device)

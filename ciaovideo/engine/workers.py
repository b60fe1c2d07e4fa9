"""The threads that compute: one kind of pool for runs, scripts and plug-ins."""

import atexit
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from typing import Self
from weakref import WeakValueDictionary, finalize

import torch

from ciaovideo.engine.engine import Engine
from ciaovideo.errors import OptionError

GPU_WORKERS = 3  # one picture uploads, one is computed, one downloads

type Task = Callable[[], None]


def usual_workers(device: torch.device) -> int:
    """The number of threads that keep a device busy: a CPU's cores, GPU_WORKERS on CUDA."""
    return {"cpu": torch.get_num_threads(), "cuda": GPU_WORKERS}.get(device.type, 1)


class WorkerPool:
    """An engine and the threads that work for it; on a GPU each has its own CUDA stream.

    On a CPU each has its part of the cores: a picture per core is faster than a picture on all
    cores. The threads start when first needed. They end after the current work when the pool is
    closed, or with the last object that holds it, and never keep the process alive.
    """

    def __init__(self, engine: Engine, workers: int) -> None:
        if workers < 1:
            raise OptionError(f"{workers} threads cannot work", "ask for at least one")
        self.engine = engine
        self.workers = workers
        engine.share(workers)
        alone = workers == 1 or engine.device.type != "cpu"
        self._cores = max(1, torch.get_num_threads() // (1 if alone else workers))
        self._cuda_streams = ThreadStreams(engine.device)
        self._queue: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._starting = threading.Lock()
        # One more than threads: the next piece of work is ready when a thread becomes free.
        self._slots = threading.BoundedSemaphore(workers + 1)
        self._end = finalize(self, _end_threads, self._queue, workers)
        self._end.atexit = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self, *, wait: bool = False) -> None:
        """End the threads after all submitted work; with ``wait``, return only then."""
        with self._starting:
            self._end()
        for thread in self._threads if wait else ():
            thread.join()

    def submit[R](self, work: Callable[[], R]) -> Future[R]:
        """Have a thread do it; waits while ``workers + 1`` submitted calls are unfinished."""
        self._slots.acquire()
        try:
            future = self.enqueue(work)
        except BaseException:
            self._slots.release()
            raise
        future.add_done_callback(lambda _: self._slots.release())
        return future

    def enqueue[R](self, work: Callable[[], R]) -> Future[R]:
        """Have a thread do it, without waiting; RuntimeError in a closed pool."""
        future: Future[R] = Future()
        streams = self._cuda_streams  # not the pool: threads must not keep it alive

        def task() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                with streams.own():
                    result = work()
                    streams.wait()
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        with self._starting:
            if not self._end.alive:  # such as at the end of the interpreter
                raise RuntimeError("the pool is closed")
            if not self._threads:
                for number in range(self.workers):
                    name = f"ciaovideo-worker-{number}"
                    self._threads.append(self.spawn(name, _serve(self._queue)))
            self._queue.put(task)
        return future

    def spawn(self, name: str, work: Task) -> threading.Thread:
        """Start a daemon thread with a worker's part of the cores; other threads keep theirs."""
        begun, cores = threading.Event(), self._cores

        def run() -> None:
            torch.set_num_threads(cores)
            torch.get_num_threads()  # a thread's first read takes the last value set by any thread
            begun.set()
            work()

        thread = threading.Thread(target=run, name=name, daemon=True)
        thread.start()
        begun.wait()
        # New threads inherit the last count set.
        torch.set_num_threads(torch.get_num_threads())
        return thread


def _serve(tasks: "queue.SimpleQueue[Task | None]") -> Task:
    """Do work until there is none left."""

    def work() -> None:
        while (task := tasks.get()) is not None:
            task()
            del task  # else it would live until the next task

    return work


def _end_threads(tasks: "queue.SimpleQueue[Task | None]", count: int) -> None:
    for _ in range(count):
        tasks.put(None)


class ThreadStreams:
    """A CUDA stream for each calling thread; nothing on other devices."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._own = threading.local()

    def own(self) -> AbstractContextManager[object]:
        """Work in the CUDA stream of the calling thread."""
        if self._device.type != "cuda":
            return nullcontext()
        if not hasattr(self._own, "cuda_stream"):
            self._own.cuda_stream = torch.cuda.Stream(self._device)
        return torch.cuda.stream(self._own.cuda_stream)

    def wait(self) -> None:
        """Wait until the GPU has finished all work in the current CUDA stream."""
        if self._device.type == "cuda":
            torch.cuda.current_stream(self._device).synchronize()


_alive: WeakValueDictionary[tuple[object, ...], WorkerPool] = WeakValueDictionary()
_alive_lock = threading.Lock()


def shared_pool(key: tuple[object, ...], make: Callable[[], WorkerPool]) -> WorkerPool:
    """The live pool under this key, else a new one; so weights are loaded once."""
    with _alive_lock:
        pool = _alive.get(key)
        if pool is None:
            pool = _alive[key] = make()
        return pool


@atexit.register
def _finish() -> None:
    """Have the interpreter wait, at its end, for submitted work."""
    for pool in list(_alive.values()):
        pool.close(wait=True)

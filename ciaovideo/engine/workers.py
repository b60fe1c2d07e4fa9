"""Engines with threads of their own, one for all who ask for the same network and arithmetic."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from weakref import WeakValueDictionary

import torch

from ciaovideo.engine.engine import Engine
from ciaovideo.errors import OptionError


class Crew:
    """An engine and the threads that work for it; on a GPU each has its own CUDA stream.

    The threads start when first needed, and end with the last object that holds the crew or with
    the interpreter.
    """

    def __init__(self, engine: Engine, workers: int) -> None:
        if workers < 1:
            raise OptionError(f"{workers} threads cannot work", "ask for at least one")
        self.engine = engine
        engine.share(workers)
        # A picture a core beats a picture on all cores. Threads hold what they start with for
        # good, so nothing here may be the crew itself.
        alone = workers == 1 or engine.device.type != "cpu"
        cores = torch.get_num_threads() if alone else max(1, torch.get_num_threads() // workers)
        self._executor = ThreadPoolExecutor(
            workers, "ciaovideo-crew", torch.set_num_threads, (cores,)
        )
        # One more than threads: the next piece of work waits when a thread comes free.
        self._slots = threading.BoundedSemaphore(workers + 1)
        self._cuda_streams = ThreadStreams(engine.device)

    def submit[R](self, work: Callable[[], R]) -> Future[R]:
        """Have a thread do it; waits while ``workers + 1`` pieces of work are unfinished."""
        self._slots.acquire()
        try:
            future = self._executor.submit(self._do, work)
        except BaseException:
            self._slots.release()
            raise
        future.add_done_callback(lambda _: self._slots.release())
        return future

    def _do[R](self, work: Callable[[], R]) -> R:
        with self._cuda_streams.own():
            result = work()
            self._cuda_streams.wait()
            return result


class ThreadStreams:
    """A CUDA stream for each thread that asks; nothing on other devices."""

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
        """Until the GPU has done everything that was begun in the current CUDA stream."""
        if self._device.type == "cuda":
            torch.cuda.current_stream(self._device).synchronize()


_alive: WeakValueDictionary[tuple[object, ...], Crew] = WeakValueDictionary()
_alive_lock = threading.Lock()


def shared_crew(key: tuple[object, ...], make: Callable[[], Crew]) -> Crew:
    """The crew that somebody holds under this key, else a new one: weights are loaded once."""
    with _alive_lock:
        crew = _alive.get(key)
        if crew is None:
            crew = _alive[key] = make()
        return crew

"""Processes many items concurrently, with results in order."""

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from functools import partial

from ciaovideo.engine.workers import WorkerPool

POLL_S = 0.1  # how often a waiting thread polls whether to stop


def ordered_map[T, R](
    work: Callable[[T], R],
    items: Iterable[T],
    *,
    pool: WorkerPool,
    depth: int,
    interrupt: Callable[[], None] = lambda: None,
) -> Generator[R]:
    """``work`` of each item, in order, computed by the threads of a pool.

    A separate thread iterates ``items``. At most ``depth`` items are between it and the caller, to
    bound memory. An error in ``items`` or ``work`` is raised here, in order. Closing the iterator
    stops ``items`` before it returns; ``interrupt`` must wake it if it waits for outside input.
    Work that has not started is dropped.
    """
    stop = threading.Event()
    slots = threading.Semaphore(depth)
    order: queue.SimpleQueue[Future[R] | None] = queue.SimpleQueue()

    def feed() -> None:
        try:
            for item in items:
                while not slots.acquire(timeout=POLL_S):
                    if stop.is_set():
                        return
                if stop.is_set():
                    return
                order.put(pool.enqueue(partial(work, item)))
            order.put(None)
        except BaseException as error:
            failed: Future[R] = Future()
            failed.set_exception(error)
            order.put(failed)

    feeder = pool.spawn("ciaovideo-read", feed)
    try:
        while (future := order.get()) is not None:
            yield future.result()
            slots.release()
    finally:
        stop.set()
        interrupt()
        feeder.join()
        while not order.empty():
            if (waiting := order.get()) is not None:
                waiting.cancel()

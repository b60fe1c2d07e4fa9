"""Work on many items at once, results in order."""

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from functools import partial

from ciaovideo.engine.workers import WorkerPool

POLL_S = 0.1  # how often a waiting thread looks whether it should stop


def ordered_map[T, R](
    work: Callable[[T], R],
    items: Iterable[T],
    *,
    pool: WorkerPool,
    depth: int,
    interrupt: Callable[[], None] = lambda: None,
) -> Generator[R]:
    """``work`` of each item, in order, computed by the threads of a pool.

    ``items`` is iterated in a thread of its own. At most ``depth`` items are between it and the
    caller, so that memory is bounded. An error in ``items`` or ``work`` is raised here, in its
    turn. Closing the iterator stops ``items`` before it returns, by ``interrupt`` where it waits
    for something from outside; work that has not begun is dropped.
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

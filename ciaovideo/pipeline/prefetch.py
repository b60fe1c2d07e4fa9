"""The threads of a run: work on many items at once, results in order."""

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future

POLL_S = 0.1  # how often a waiting thread looks whether it should stop


def ordered_map[T, R](
    work: Callable[[T], R],
    items: Iterable[T],
    *,
    workers: int,
    depth: int,
    interrupt: Callable[[], None] = lambda: None,
) -> Generator[R]:
    """``work`` of each item, in order, computed by ``workers`` threads.

    ``items`` is iterated in a thread of its own. At most ``depth`` items are between it and the
    caller, so that memory is bounded. An error in ``items`` or ``work`` is raised here, in its
    turn. Closing the iterator stops ``items`` before it returns, by ``interrupt`` where it waits
    for something from outside; workers end after the item at hand, and being daemons never keep
    the process.
    """
    stop = threading.Event()
    slots = threading.Semaphore(depth)
    jobs: queue.SimpleQueue[tuple[T, Future[R]] | None] = queue.SimpleQueue()
    order: queue.SimpleQueue[Future[R] | None] = queue.SimpleQueue()

    def feed() -> None:
        try:
            for item in items:
                while not slots.acquire(timeout=POLL_S):
                    if stop.is_set():
                        return
                if stop.is_set():
                    return
                future: Future[R] = Future()
                order.put(future)
                jobs.put((item, future))
            order.put(None)
        except BaseException as error:
            failed: Future[R] = Future()
            failed.set_exception(error)
            order.put(failed)
        finally:
            for _ in range(workers):
                jobs.put(None)

    feeder = threading.Thread(target=feed, name="ciaovideo-read", daemon=True)
    team = [
        threading.Thread(
            target=_labour, args=(work, jobs, stop), name=f"ciaovideo-work-{index}", daemon=True
        )
        for index in range(workers)
    ]
    for thread in (feeder, *team):
        thread.start()
    try:
        while (future := order.get()) is not None:
            yield future.result()
            slots.release()
    finally:
        stop.set()
        interrupt()
        feeder.join()


def _labour[T, R](
    work: Callable[[T], R],
    jobs: "queue.SimpleQueue[tuple[T, Future[R]] | None]",
    stop: threading.Event,
) -> None:
    """What a worker does until there are no more jobs."""
    while (job := jobs.get()) is not None:
        item, future = job
        if stop.is_set():
            future.cancel()
            continue
        try:
            future.set_result(work(item))
        except BaseException as error:
            future.set_exception(error)

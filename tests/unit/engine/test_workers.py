"""The pool of threads: each with its part of the cores, and the process as it was."""

import threading

import pytest
import torch

from ciaovideo.engine.engine import Engine
from ciaovideo.engine.workers import GPU_WORKERS, WorkerPool, usual_workers
from ciaovideo.models.networks.interpolation import Bicubic
from ciaovideo.options import EngineOptions


@pytest.fixture
def engine() -> Engine:
    return Engine(Bicubic(), EngineOptions(device="cpu"))


def asked_in_a_new_thread() -> int:
    """How many threads torch takes where nobody has said anything."""
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_each_thread_has_its_part_of_the_cores(
    engine: Engine, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        with WorkerPool(engine, workers) as pool:
            assert pool.enqueue(torch.get_num_threads).result(10) == 4 // workers
            assert torch.get_num_threads() == 4
            assert asked_in_a_new_thread() == 4
    finally:
        torch.set_num_threads(before)


def test_a_closed_pool_ends_its_threads_after_what_it_was_given(engine: Engine) -> None:
    hold = threading.Event()
    done: list[int] = []
    pool = WorkerPool(engine, 1)
    pool.enqueue(hold.wait)
    pool.enqueue(lambda: done.append(1))
    hold.set()
    pool.close(wait=True)
    assert done == [1]
    for give in (pool.enqueue, pool.submit):
        with pytest.raises(RuntimeError, match="closed"):
            give(lambda: done.append(2))
    assert done == [1]


def test_work_that_is_dropped_is_not_begun(engine: Engine) -> None:
    hold, begun = threading.Event(), threading.Event()
    with WorkerPool(engine, 1) as pool:
        first, second = pool.enqueue(hold.wait), pool.enqueue(begun.set)
        assert second.cancel()
        hold.set()
        assert first.result(10)
        pool.close(wait=True)
    assert not begun.is_set()


def test_an_engine_that_is_shared_by_as_many_keeps_its_plans(engine: Engine) -> None:
    engine.share(2)
    plan = engine.plan(1, (50, 60), (100, 120))
    WorkerPool(engine, 2)
    assert engine.plan(1, (50, 60), (100, 120)) is plan


def test_as_many_as_keep_a_device_busy() -> None:
    kinds = ("cpu", "cuda", "mps")
    found = [usual_workers(torch.device(kind)) for kind in kinds]
    assert found == [torch.get_num_threads(), GPU_WORKERS, 1]

"""Many threads, one order: bounded, and gone when nobody asks any more."""

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciaovideo.engine.engine import Engine
from ciaovideo.engine.workers import WorkerPool
from ciaovideo.models.networks.interpolation import Bicubic
from ciaovideo.options import EngineOptions
from ciaovideo.pipeline.frames.prefetch import ordered_map
from tests.waiting import FAR_TOO_LONG_S, wait_until


def pool_of(workers: int) -> WorkerPool:
    return WorkerPool(Engine(Bicubic(), EngineOptions(device="cpu")), workers)


@settings(max_examples=20)
@given(
    pauses=st.lists(st.integers(0, 3), max_size=40),
    workers=st.integers(1, 5),
    depth=st.integers(1, 6),
)
@pytest.mark.heavy
def test_results_come_in_order(pauses: list[int], workers: int, depth: int) -> None:
    def work(item: tuple[int, int]) -> int:
        time.sleep(item[1] / 2000)  # some items take longer than those after them
        return item[0] * 10

    results = ordered_map(work, enumerate(pauses), pool=pool_of(workers), depth=depth)
    assert list(results) == [index * 10 for index in range(len(pauses))]


def test_no_more_than_depth_items_are_under_way() -> None:
    handed, asked, most = 0, 0, 0

    def items() -> Iterator[int]:
        nonlocal asked, most
        for asked in range(1, 61):
            most = max(most, asked - handed)
            yield asked

    results = ordered_map(lambda item: item, items(), pool=pool_of(2), depth=3)
    for handed, _ in enumerate(results, 1):
        ahead = min(handed + 3, 60)
        wait_until(lambda ahead=ahead: asked >= ahead)  # type: ignore[misc]
    assert handed == 60
    assert 3 <= most <= 5  # three under way, the caller's, and the one that waits for a place


def test_work_is_done_at_once() -> None:
    meeting = threading.Barrier(3, timeout=FAR_TOO_LONG_S)
    results = ordered_map(lambda _: meeting.wait(), range(3), pool=pool_of(3), depth=3)
    assert sorted(results) == [0, 1, 2]


def test_an_error_in_work_comes_in_its_turn() -> None:
    def work(item: int) -> int:
        if item == 3:
            raise ValueError("three")
        return item

    results = ordered_map(work, range(10), pool=pool_of(4), depth=4)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)


def test_an_error_in_items_comes_after_what_was_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    results = ordered_map(lambda item: item, items(), pool=pool_of(2), depth=2)
    assert next(results) == 1
    with pytest.raises(OSError, match="gone"):
        next(results)


def test_closing_stops_the_source_before_it_returns() -> None:
    alive, others = threading.Event(), set(threading.enumerate())

    def items() -> Iterator[int]:
        alive.set()
        try:
            yield from range(10_000_000)
        finally:
            alive.clear()

    results = ordered_map(lambda item: item, items(), pool=pool_of(2), depth=4)
    next(results)
    results.close()
    assert not [t for t in threading.enumerate() if t.name == "ciaovideo-read"]
    wait_until(lambda: others.issuperset(threading.enumerate()))


def test_closing_waits_for_the_item_that_is_being_fetched() -> None:
    busy = threading.Event()

    def items() -> Iterator[int]:
        for item in range(100):
            busy.set()
            time.sleep(0.3 if item else 0)  # what is tested is that closing lasts as long
            busy.clear()
            yield item

    results = ordered_map(lambda item: item, items(), pool=pool_of(1), depth=2)
    next(results)
    assert busy.wait(FAR_TOO_LONG_S)
    results.close()
    assert not busy.is_set()
    assert not [t for t in threading.enumerate() if t.name == "ciaovideo-read"]

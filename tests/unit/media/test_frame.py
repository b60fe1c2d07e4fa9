import threading
from fractions import Fraction

import torch

from ciaovideo.media.frame import Frame, PlanePool, StreamInfo

SHAPES = ((4, 6), (2, 3), (2, 3))


def test_times_are_exact() -> None:
    frame = Frame((), pts=1001, time_base=Fraction(1, 30000), duration=1001)
    assert frame.time == Fraction(1001, 30000)
    assert frame.end == Fraction(2002, 30000)


def test_stream_in_words() -> None:
    assert str(StreamInfo(2, "audio", "aac", "eng")) == "audio 2: aac (eng)"
    assert str(StreamInfo(3, "data", "")) == "data 3: unknown"


def test_pool_gives_buffers_again() -> None:
    pool = PlanePool(1)
    first = pool.acquire(SHAPES, torch.uint8)
    assert [tuple(plane.shape) for plane in first] == list(SHAPES)
    pool.release(first)
    assert pool.acquire(SHAPES, torch.uint8) is first


def test_pool_makes_new_ones_for_another_layout() -> None:
    pool = PlanePool(1)
    pool.release(pool.acquire(SHAPES, torch.uint8))
    gray = pool.acquire(SHAPES[:1], torch.uint16)
    assert [(tuple(plane.shape), plane.dtype) for plane in gray] == [((4, 6), torch.uint16)]


def test_pool_waits_while_all_are_in_use() -> None:
    pool = PlanePool(1)
    held = pool.acquire(SHAPES, torch.uint8)
    waiting = threading.Thread(target=pool.acquire, args=(SHAPES, torch.uint8))
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    pool.release(held)
    waiting.join(5)
    assert not waiting.is_alive()

"""Measuring: per frame, with a warm-up that is not counted."""

import time

from ciaovideo.bench.harness import machine, measure, peak_memory


def test_seconds_are_per_frame_and_the_warm_up_is_left_out() -> None:
    calls: list[int] = []

    def work() -> int:
        time.sleep(0.5 if not calls else 0.02)
        calls.append(1)
        return 4

    result = measure("sleep", work, least_s=0.1)
    assert result.repetitions == len(calls) - 1 >= 3
    assert 0.005 <= result.wall_s < 0.1
    assert result.cpu_s < result.wall_s
    assert abs(result.fps * result.wall_s - 1) < 1e-9


def test_the_machine_is_named() -> None:
    assert {"processor", "python", "torch", "numpy"} <= machine().keys()
    assert peak_memory() > 1 << 20

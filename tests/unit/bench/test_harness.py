"""Measuring: per frame, with a warm-up that is not counted."""

import time
from pathlib import Path

import pytest

from ciaovideo.bench import harness
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
    assert {"processor", "python", "torch", "numpy", "av"} <= machine().keys()
    assert peak_memory() > 1 << 20


def test_the_driver_of_a_gpu_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = tmp_path / "version"
    told.write_text(
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\n"
        "GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n"
    )
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "a GPU")
    monkeypatch.setattr(harness, "DRIVER", told)
    assert machine()["driver"] == "535.104.05"
    monkeypatch.setattr(harness, "DRIVER", tmp_path / "absent")
    assert machine()["driver"] == "unknown"

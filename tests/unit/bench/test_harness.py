"""Measuring: per frame, with a warm-up that is not counted."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from ciaovideo.bench import harness
from ciaovideo.bench.harness import machine, measure, peak_memory


def test_seconds_are_per_frame_and_the_warm_up_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[int] = []
    clock = {"wall": 0.0, "cpu": 0.0}

    def work() -> int:
        clock["wall"] += 2.0 if calls else 50.0
        clock["cpu"] += 0.5
        calls.append(1)
        return 4

    told = SimpleNamespace(perf_counter=lambda: clock["wall"], process_time=lambda: clock["cpu"])
    monkeypatch.setattr(harness, "time", told)
    result = measure("work", work, least_s=9.0)
    assert result.repetitions == len(calls) - 1 == 5
    assert (result.wall_s, result.cpu_s, result.fps) == (0.5, 0.125, 2.0)
    calls.clear()
    assert measure("work", work, least_s=0.0).repetitions == 3


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

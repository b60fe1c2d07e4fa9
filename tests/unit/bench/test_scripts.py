"""The benchmarks that need a GPU say so where there is none, instead of running for hours."""

import sys
from pathlib import Path

import pytest

from tests.bench import gpu, nvdec


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)


def test_gpu_bench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu", str(tmp_path / "figures")])
    with pytest.raises(SystemExit) as end:
        gpu.main()
    assert end.value.code == 2
    assert "there is no GPU here" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_nvdec_bench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["nvdec", "clip.mp4"])
    with pytest.raises(SystemExit) as end:
        nvdec.main()
    assert end.value.code == 2
    assert "there is no GPU here" in capsys.readouterr().err


def test_nvdec_bench_of_a_clip_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr(sys, "argv", ["nvdec", "absent.mp4"])
    with pytest.raises(SystemExit) as end:
        nvdec.main()
    assert end.value.code == 2
    assert "no such file: absent.mp4" in capsys.readouterr().err

"""Benchmarks beside the program: those that need a GPU say so where there is none."""

import sys
from pathlib import Path

import pytest
import torch

from tests.bench import gpu, nvdec, profiles


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


@pytest.mark.heavy
def test_profiles(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Both ways have their convolutions and products, and on a CPU no kernels."""
    threads = torch.get_num_threads()
    monkeypatch.setattr(sys, "argv", ["profiles", "--side", "16", "--scale", "2"])
    try:
        profiles.main()
    finally:
        torch.set_num_threads(threads)
    lines = capsys.readouterr().out.splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    seconds = {row[0]: tuple(map(float, row[1:])) for row in rows[1:]}
    assert {"convolutions", "products of matrices", "together"} <= seconds.keys()
    assert min(seconds["products of matrices"]) > 0
    assert "fused kernels" not in seconds


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("_mix", "fused kernels"),
        ("aten::_softmax", "sums, softmax"),
        ("mkldnn::_linear_pointwise", "products of matrices"),
        ("sm90_xmma_fprop_implicit_gemm_bf16", "convolutions"),
        ("void at::native::vectorized_elementwise_kernel", "products, sums, ReLU of elements"),
        ("aten::view", "all else"),
    ],
)
def test_kinds_of_operations(name: str, kind: str) -> None:
    assert profiles.kind_of(name) == kind

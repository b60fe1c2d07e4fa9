"""The benchmark protocol: cropping, LR, and the figures everybody knows."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from ciaovideo.data.images import read_picture
from ciaovideo.errors import MissingInputError, OptionError
from ciaovideo.evaluate.baselines import BASELINES
from ciaovideo.evaluate.protocol import Measure, Sample, benchmark, div2k, eqsr, in_steps

# Pillow's bicubic both ways; Matlab's gives 33.66, 30.39 and 28.42 dB.
SET5_BICUBIC = {2.0: 33.65, 3.0: 30.38, 4.0: 28.40}


def picture(height: int, width: int, seed: int = 0) -> Image.Image:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (8, 9, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index in range(3):
        picture(50 + index, 61, index).save(tmp_path / f"{index}.png")
    return tmp_path


def test_what_a_method_is_given_and_measured_on(folder: Path) -> None:
    asked: list[tuple[tuple[int, ...], tuple[int, int]]] = []
    seen: list[Sample] = []

    def gray(lr: Tensor, out_size: tuple[int, int]) -> Tensor:
        assert lr.dtype == torch.float32
        assert 0 <= lr.min() <= lr.max() <= 1
        asked.append((tuple(lr.shape), out_size))
        return torch.full((1, 3, *out_size), 0.5)

    score = benchmark(gray, folder, 3, on_sample=seen.append)
    assert asked == [((1, 3, 16, 20), (48, 60))] * 3
    paths = sorted(folder.iterdir())
    assert [sample.name for sample in seen] == [path.name for path in paths]
    assert seen[1].lr.shape == (1, 3, 16, 20)
    assert torch.equal(seen[1].hr, read_picture(paths[1])[..., :48, :60] / 255)
    assert score.pictures == 3
    assert score.ssim is None
    weights = torch.tensor([65.738, 129.057, 25.064]).view(1, 3, 1, 1) / 256
    expected = []
    for path in paths:
        hr = read_picture(path)[..., :48, :60] / 255
        error = ((0.5 - hr) * weights).sum(dim=1)[..., 3:-3, 3:-3]
        expected.append(-10 * error.square().mean().log10().item())
    assert score.psnr == pytest.approx(np.mean(expected), abs=1e-4)


def test_a_perfect_method_scores_best(folder: Path) -> None:
    truths = iter(sorted(folder.iterdir()))

    def cheat(_: Tensor, out_size: tuple[int, int]) -> Tensor:
        return read_picture(next(truths))[..., : out_size[0], : out_size[1]] / 255

    score = benchmark(cheat, folder, 2, ssim=True)
    assert score.psnr == float("inf")
    assert score.ssim == pytest.approx(1)


def test_a_picture_that_is_too_small_is_named(tmp_path: Path) -> None:
    picture(24, 26).save(tmp_path / "tiny.png")
    with pytest.raises(OptionError, match=r"tiny\.png: x2\.37 needs"):
        benchmark(BASELINES["bicubic"], tmp_path, 2.37)
    with pytest.raises(OptionError, match=r"tiny\.png: .*12 px"):
        benchmark(BASELINES["bicubic"], tmp_path, 12)
    with pytest.raises(OptionError, match=r"tiny\.png: SSIM needs"):
        div2k(BASELINES["bicubic"], tmp_path, 2, ssim=True)


def test_lanczos_beats_bicubic(folder: Path) -> None:
    scores = {name: benchmark(method, folder, 2, ssim=True) for name, method in BASELINES.items()}
    assert scores["lanczos"].psnr > scores["bicubic"].psnr + 0.1
    assert (scores["lanczos"].ssim or 0) > (scores["bicubic"].ssim or 1)


def wrong_outside(distance: int) -> Callable[[Tensor, tuple[int, int]], Tensor]:
    """A method that makes a constant error but ruins that many pixels of border."""

    def enlarge(_: Tensor, out_size: tuple[int, int]) -> Tensor:
        sr = torch.ones(1, 3, *out_size)
        inside = (..., slice(distance, -distance), slice(distance, -distance))
        sr[inside] = torch.tensor([0.6, 0.5, 0.5]).view(1, 3, 1, 1)
        return sr

    return enlarge


@pytest.mark.parametrize(
    ("measure", "scale", "border"),
    [(benchmark, 2.5, 3), (div2k, 2.5, 9), (eqsr, 2.5, 4), (eqsr, 5, 6), (eqsr, 6.25, 8)],
)
def test_each_protocol_leaves_its_border_out(
    measure: Measure, scale: float, border: int, tmp_path: Path
) -> None:
    Image.new("RGB", (75, 75), (128, 128, 128)).save(tmp_path / "gray.png")
    clean = measure(wrong_outside(1), tmp_path, scale).psnr
    assert measure(wrong_outside(border), tmp_path, scale).psnr == pytest.approx(clean)
    assert measure(wrong_outside(border + 1), tmp_path, scale).psnr < clean - 1


def test_div2k_measures_all_three_channels(tmp_path: Path) -> None:
    Image.new("RGB", (60, 60)).save(tmp_path / "black.png")

    def blue(_: Tensor, out_size: tuple[int, int]) -> Tensor:
        return torch.tensor([0, 0, 0.3]).view(1, 3, 1, 1).expand(1, 3, *out_size)

    assert div2k(blue, tmp_path, 2).psnr == pytest.approx(-10 * np.log10(0.3**2 / 3), abs=1e-4)
    y = 0.3 * 25.064 / 256
    assert benchmark(blue, tmp_path, 2).psnr == pytest.approx(-20 * np.log10(y), abs=1e-4)


def test_steps_go_through_the_sizes_between() -> None:
    asked: list[tuple[int, int]] = []

    def enlarge(lr: Tensor, out_size: tuple[int, int]) -> Tensor:
        asked.append(out_size)
        assert lr.max() <= 1
        return torch.full((1, 3, *out_size), 1.5)

    made = in_steps(enlarge, (2, 4, 12))(torch.zeros(1, 3, 10, 11), (120, 132))
    assert asked == [(20, 22), (40, 44), (120, 132)]
    assert made.shape == (1, 3, 120, 132)


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError):
        benchmark(BASELINES["bicubic"], tmp_path, 2)


@pytest.mark.parametrize(("scale", "psnr"), SET5_BICUBIC.items())
def test_bicubic_on_set5(scale: float, psnr: float, shared: Path) -> None:
    folder = shared / "data" / "eval" / "set5"
    if not folder.is_dir():
        pytest.skip("Set5 is not among the shared data here")
    score = benchmark(BASELINES["bicubic"], folder, scale)
    assert score.pictures == 5
    assert score.psnr == pytest.approx(psnr, abs=0.01)

"""The benchmark protocol: cropping, LR, and the figures everybody knows."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from ciaovideo.data.images import read_picture
from ciaovideo.errors import MissingInputError, OptionError, UnsupportedScaleError
from ciaovideo.evaluate.baselines import BASELINES
from ciaovideo.evaluate.protocol import benchmark, crop_step, pair

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


@pytest.mark.parametrize(
    ("scale", "step"), [(2, 12), (3, 12), (4, 12), (1.5, 12), (6, 12), (2.5, 5), (8, 8), (3.2, 16)]
)
def test_sides_are_cropped_so_that_lr_is_whole(scale: float, step: int) -> None:
    assert crop_step(scale) == step
    assert (step / scale).is_integer()


@pytest.mark.parametrize("scale", [1, 0.5, 31, float("nan"), float("inf")])
def test_scales_that_cannot_be_measured(scale: float) -> None:
    with pytest.raises(UnsupportedScaleError):
        crop_step(scale)


def test_a_pair_is_a_crop_and_pillows_bicubic_of_it() -> None:
    source = picture(53, 62)
    hr, lr = pair(torch.tensor(np.asarray(source)).permute(2, 0, 1).unsqueeze(0), 2.5)
    assert hr.shape == (1, 3, 50, 60)
    assert lr.shape == (1, 3, 20, 24)
    cropped = source.crop((0, 0, 60, 50))
    expected = np.asarray(cropped.resize((24, 20), Image.Resampling.BICUBIC))
    assert torch.equal(hr[0].permute(1, 2, 0), torch.tensor(np.asarray(cropped)))
    assert torch.equal(lr[0].permute(1, 2, 0), torch.tensor(expected))


def test_a_picture_too_small_for_a_scale_is_refused() -> None:
    with pytest.raises(OptionError, match="a multiple of 237 px"):
        pair(torch.zeros(1, 3, 100, 300, dtype=torch.uint8), 2.37)


def test_what_a_method_is_given_and_measured_on(folder: Path) -> None:
    asked: list[tuple[tuple[int, ...], tuple[int, int]]] = []
    seen: list[Path] = []

    def gray(lr: Tensor, out_size: tuple[int, int]) -> Tensor:
        assert lr.dtype == torch.float32
        assert 0 <= lr.min() <= lr.max() <= 1
        asked.append((tuple(lr.shape), out_size))
        return torch.full((1, 3, *out_size), 0.5)

    score = benchmark(gray, folder, 3, on_picture=seen.append)
    assert asked == [((1, 3, 16, 20), (48, 60))] * 3
    assert seen == sorted(folder.iterdir())
    assert score.pictures == 3
    assert score.ssim is None
    weights = torch.tensor([65.738, 129.057, 25.064]).view(1, 3, 1, 1) / 256
    expected = []
    for path in seen:
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


def test_lanczos_beats_bicubic(folder: Path) -> None:
    scores = {name: benchmark(method, folder, 2, ssim=True) for name, method in BASELINES.items()}
    assert scores["lanczos"].psnr > scores["bicubic"].psnr + 0.1
    assert (scores["lanczos"].ssim or 0) > (scores["bicubic"].ssim or 1)


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

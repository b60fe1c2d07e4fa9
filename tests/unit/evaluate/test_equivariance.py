"""Equivariance of methods: of x as it is given, and beside another measure."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from ciaovideo.errors import OptionError
from ciaovideo.evaluate.baselines import BASELINES
from ciaovideo.evaluate.equivariance import equivariance
from ciaovideo.evaluate.measuring import choose_measures
from ciaovideo.evaluate.page import as_html
from ciaovideo.evaluate.report import Report, Row

Size = tuple[int, int]


def gray(lr: Tensor, size: Size) -> Tensor:
    """It makes the mean colour of everything, which bicubic keeps."""
    return lr.mean(dim=(-2, -1), keepdim=True).round(decimals=1).expand(1, 3, *size)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for index in range(2):
        coarse = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8))
        coarse.resize((96, 96), Image.Resampling.BICUBIC).save(tmp_path / f"{index}.png")
    return tmp_path


@pytest.mark.parametrize("scale", [2.0, 2.5, 3.0])
def test_what_is_asked_and_compared(scale: float) -> None:
    asked: list[tuple[Size, Size]] = []
    x = torch.rand(1, 3, 31, 40, generator=torch.Generator().manual_seed(0))

    def method(lr: Tensor, size: Size) -> Tensor:
        asked.append(((lr.shape[-2], lr.shape[-1]), size))
        return torch.full((1, 3, *size), 0.5 if size[0] > 31 else 0.4)

    found = equivariance(method, x, scale)
    assert found == pytest.approx(20 * math.log10(0.1), abs=1e-4)
    (small, size), (whole, large) = asked
    assert whole == size
    assert size == tuple(round(side * scale) for side in small)
    assert large == tuple(round(side * scale) for side in size)


def test_a_method_that_treats_all_scales_alike() -> None:
    x = torch.rand(1, 3, 36, 36, generator=torch.Generator().manual_seed(0))
    assert equivariance(gray, x, 2) < -100
    assert -100 < equivariance(BASELINES["bicubic"], x, 2) < 0


def test_a_picture_that_is_too_small() -> None:
    with pytest.raises(OptionError, match="leaves nothing"):
        equivariance(gray, torch.rand(1, 3, 12, 12), 6)


def test_a_scale_that_leaves_nothing_of_a_picture_has_no_mean(folder: Path) -> None:
    """With one large picture as well: the mean of some would not be that of the set."""
    Image.new("RGB", (240, 240)).save(folder / "large.png")
    strict, lenient = (
        choose_measures("benchmark", equivariance=True, skip_small=skip)[""]
        for skip in (False, True)
    )
    with pytest.raises(OptionError, match=r"0\.png"):
        strict(folder, 6.0, BASELINES["bicubic"], lambda _: None)
    seen: list[str] = []
    score = lenient(folder, 6.0, BASELINES["bicubic"], lambda each: seen.append(each.name))
    assert score.equivariance is None
    assert score.psnr > 0
    assert seen == ["0.png", "1.png", "large.png"]
    for measure in (strict, lenient):
        found = measure(folder, 2.0, BASELINES["bicubic"], lambda _: None).equivariance
        assert found is not None


def test_it_stands_beside_psnr_and_on_the_page(folder: Path) -> None:
    (plain,) = choose_measures("benchmark").values()
    (measure,) = choose_measures("benchmark", equivariance=True).values()
    seen: list[str] = []
    scores = {
        scale: measure(folder, scale, BASELINES["bicubic"], lambda each: seen.append(each.name))
        for scale in (2.0, 3.0)
    }
    assert seen == ["0.png", "1.png"] * 2
    before = plain(folder, 2.0, BASELINES["bicubic"], lambda _: None)
    assert before.equivariance is None
    assert scores[2.0].psnr == before.psnr
    error = scores[2.0].equivariance
    assert error is not None
    row = Row(method="bicubic", dataset="set", scores=scores)
    report = Report(scales=(2.0, 3.0), rows=(row,))
    assert f"/ {error:.2f}" in report.as_text()
    assert "equivariance error in dB" in report.as_text()
    assert f'"equivariance": {error}' in report.as_json()
    pytest.importorskip("matplotlib")
    page = as_html(report, [], [], 2.0)
    assert "Equivariance error over scale" in page
    assert f"bicubic, 2: {error:.2f}" in page

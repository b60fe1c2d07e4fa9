"""What every registered metric promises."""

import pytest
import torch
from torch import Tensor

from ciaovideo.errors import OptionError
from ciaovideo.metrics import METRICS

BEST = {"psnr": float("inf"), "psnr_rgb": float("inf"), "ssim": 1.0}
EXACT = 1e-12  # float64 throughout
NOISE = (0.02, 0.1)

every_metric = pytest.mark.parametrize("name", list(METRICS))


def pictures(count: int = 2, height: int = 24, width: int = 31) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    coarse = torch.rand(count, 3, 5, 6, generator=generator)
    return torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")


def noisy(hr: Tensor, size: float) -> Tensor:
    generator = torch.Generator().manual_seed(11)
    return hr + size * (torch.rand(hr.shape, generator=generator) - 0.5)


@every_metric
def test_the_picture_itself_is_best(name: str) -> None:
    hr = pictures()
    assert METRICS[name](hr, hr, border=3).tolist() == pytest.approx([BEST[name]] * 2, abs=EXACT)


@every_metric
def test_both_pictures_are_treated_alike(name: str) -> None:
    hr = pictures()
    sr = noisy(hr, 0.1)
    torch.testing.assert_close(
        METRICS[name](sr, hr, border=2), METRICS[name](hr, sr, border=2), rtol=0, atol=EXACT
    )


@every_metric
def test_more_noise_is_worse(name: str) -> None:
    hr = pictures()
    little, much = (METRICS[name](noisy(hr, size), hr, border=0) for size in NOISE)
    assert (little > much).all()
    assert (little < BEST[name]).all()


@every_metric
def test_each_picture_of_a_batch_counts_alone(name: str) -> None:
    hr = pictures(3)
    sr = noisy(hr, 0.1)
    together = METRICS[name](sr, hr, border=1)
    alone = [METRICS[name](sr[i : i + 1], hr[i : i + 1], border=1) for i in range(3)]
    assert together.dtype == torch.float64
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=EXACT)


@every_metric
def test_the_border_does_not_count(name: str) -> None:
    hr = pictures()
    sr = noisy(hr, 0.1)
    before = METRICS[name](sr, hr, border=4)
    inside = sr[..., 4:-4, 4:-4].clone()
    sr.zero_()
    sr[..., 4:-4, 4:-4] = inside
    assert torch.equal(METRICS[name](sr, hr, border=4), before)
    assert (METRICS[name](sr, hr, border=3) < before).all()


@every_metric
def test_what_no_display_shows_does_not_count(name: str) -> None:
    white = torch.ones(1, 3, 16, 16)
    assert METRICS[name](white + 0.5, white, border=0).tolist() == pytest.approx([BEST[name]])


@every_metric
def test_what_cannot_be_compared_is_refused(name: str) -> None:
    hr = pictures()
    with pytest.raises(OptionError, match="cannot be compared"):
        METRICS[name](hr[..., 1:], hr, border=0)
    with pytest.raises(OptionError, match="leaves nothing"):
        METRICS[name](hr, hr, border=12)

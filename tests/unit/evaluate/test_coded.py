"""Videos that were coded before they are enlarged."""

import re
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from ciaovideo.errors import OptionError
from ciaovideo.evaluate.baselines import BASELINES
from ciaovideo.evaluate.clips import clip
from ciaovideo.evaluate.coded import CODINGS, PAN, Coding, coded_clip, count_frames
from ciaovideo.evaluate.protocol import Sample
from ciaovideo.evaluate.report import Report, Row
from tests.media import make_clip

BICUBIC = BASELINES["bicubic"]
FRAMES = 3


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("coded") / "clip.mkv"
    make_clip(path, width=100, height=100, seconds=0.25, codec="ffv1", options={})
    return path


def test_clean_is_what_a_video_is_measured_as_alone(video: Path) -> None:
    ours = coded_clip(BICUBIC, video, 2, Coding(), frames=FRAMES, ssim=True)
    theirs = clip(BICUBIC, video, 2, frames=FRAMES, ssim=True)
    assert ours.psnr == pytest.approx(theirs.psnr)
    assert ours.ssim == pytest.approx(theirs.ssim)
    assert ours.temporal == pytest.approx(theirs.temporal)
    assert ours.pictures == FRAMES


@pytest.mark.parametrize("kind", ["h264", "h265", "mpeg2", "mpeg4", "vp9"])
@pytest.mark.heavy
def test_what_a_codec_takes_away_costs_quality(kind: str, video: Path) -> None:
    better, worse = {
        "h264": (17, 36), "h265": (17, 36), "vp9": (24, 55), "mpeg2": (2, 20), "mpeg4": (2, 20)
    }[kind]  # fmt: skip
    psnrs = [
        coded_clip(BICUBIC, video, 2, coding, frames=FRAMES).psnr
        for coding in (Coding(), Coding(kind, better), Coding(kind, worse))
    ]
    assert psnrs[0] > psnrs[1] > psnrs[2]


def test_all_methods_see_the_same(video: Path) -> None:
    seen: dict[str, list[Sample]] = {}
    for name in ("bicubic", "lanczos"):
        kept = seen.setdefault(name, [])
        coded_clip(BASELINES[name], video, 2, Coding("h264", 28), frames=2, on_sample=kept.append)
    for one, other in zip(*seen.values(), strict=True):
        assert torch.equal(one.lr, other.lr)


def test_a_shift_of_colour_is_the_methods_own(video: Path) -> None:
    def redder(lr: Tensor, size: tuple[int, int]) -> Tensor:
        return BICUBIC(lr, size) + torch.tensor([8 / 255, 0, 0]).view(3, 1, 1)

    coding = Coding("mpeg2", 8)
    plain, red = (
        coded_clip(how, video, 2, coding, frames=1).shift or 0.0 for how in (BICUBIC, redder)
    )
    assert plain < 0.3  # what the codec shifts is not counted, only the border, which is repeated
    assert 6 < red <= 8 + plain + 1e-3  # less where red was at its end already


def test_a_shift_of_colour_is_measured_from_the_truth_as_well(video: Path) -> None:
    """Here the method is exact and the codec is not: what it shifts is in the second figure."""
    seen: list[Sample] = []
    coding = Coding("mpeg2", 20)
    score = coded_clip(BICUBIC, video, 2, coding, frames=1, on_sample=seen.append)
    [sample] = seen
    off = (sample.sr.mean(dim=(-2, -1)) - sample.hr.mean(dim=(-2, -1))).abs().max() * 255
    assert score.true_shift == pytest.approx(float(off))
    assert score.true_shift != score.shift


def test_stills_are_panned_by_whole_pixels(tmp_path: Path) -> None:
    pixels = torch.randint(0, 256, (80, 90, 3), generator=torch.Generator().manual_seed(2))
    for name in ("a.png", "b.png"):
        Image.fromarray(pixels.byte().numpy()).save(tmp_path / name)
    seen: list[Sample] = []
    score = coded_clip(
        BICUBIC, tmp_path, 2, Coding("h264", 20), frames=FRAMES, on_sample=seen.append
    )
    assert score.pictures == len(seen) == count_frames(tmp_path, FRAMES) == 2 * FRAMES
    first, later = seen[0].hr, seen[1].hr
    assert torch.equal(first[..., PAN[1] :, PAN[0] :], later[..., : -PAN[1], : -PAN[0]])
    assert all(side % 2 == 0 for side in seen[0].lr.shape[-2:])
    assert score.temporal is not None


@pytest.mark.parametrize("coding", CODINGS)
def test_a_name_says_what_it_is(coding: Coding) -> None:
    text = f"{coding.kind}:{coding.quality}" if coding.kind else "clean"
    assert Coding.of(text) == coding


@pytest.mark.parametrize("text", ["", "clean:1", "av2:3", "h264", "h264:x", "h264:99", "mpeg2:-2"])
def test_other_names_are_refused(text: str) -> None:
    with pytest.raises(OptionError, match=re.escape(repr(text))):
        Coding.of(text)


def test_codings_are_the_columns_of_a_table(video: Path) -> None:
    rows = tuple(
        Row(
            method=name,
            dataset="clip",
            scores={2.0: coded_clip(BASELINES[name], video, 2, coding, frames=1)},
            coding=str(coding),
        )
        for coding in (Coding(), Coding("h264", 23))
        for name in ("bicubic", "lanczos")
    )
    [(title, cells)] = Report(scales=(2.0,), rows=rows).tables()
    assert "shift" in title
    assert cells[0] == ["clip x2", "clean", "x264 crf 23"]
    assert [line[0] for line in cells[1:]] == ["bicubic", "lanczos"]
    psnr = rows[3].scores[2.0].psnr
    assert cells[2][2].startswith(f"{psnr:.2f}")

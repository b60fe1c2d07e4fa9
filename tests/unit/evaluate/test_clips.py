"""Videos with a known truth."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ciaovideo.errors import OpenError
from ciaovideo.evaluate import clips
from ciaovideo.evaluate.baselines import BASELINES
from ciaovideo.evaluate.clips import clip, count_frames, reduced
from ciaovideo.evaluate.protocol import Sample
from ciaovideo.metrics import METRICS
from ciaovideo.metrics.temporal import temporal_error
from tests.media import make_clip, picture_planes

BORDER = 2  # at x2


def test_lr_is_what_pillow_makes() -> None:
    rgb = np.random.default_rng(3).integers(0, 256, (50, 65, 3), dtype=np.uint8)
    hr = torch.from_numpy(rgb).permute(2, 0, 1).unsqueeze(0) / 255
    made = (reduced(hr, (20, 26)) * 255).round()[0].permute(1, 2, 0)
    theirs = torch.tensor(
        np.asarray(Image.fromarray(rgb).resize((26, 20), Image.Resampling.BICUBIC))
    )
    assert (made - theirs).abs().max() <= 1  # it rounds between rows and columns


def test_frames_are_measured_alone_and_against_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    made = make_clip(path, width=92, height=74, seconds=0.25, codec="ffv1", options={})
    seen: list[Sample] = []
    score = clip(BASELINES["bicubic"], path, 2, frames=3, ssim=True, on_sample=seen.append)
    assert (count_frames(path, 3), count_frames(path, None)) == (3, len(made.times))
    assert [sample.name for sample in seen] == ["frame 0", "frame 1", "frame 2"]
    assert seen[0].hr.shape == (1, 3, 72, 84)  # multiples of 12
    assert seen[0].lr.shape == (1, 3, 36, 42)
    planes = picture_planes(made, 0)
    luma = torch.from_numpy(planes[0].astype(float))[:72, :84]
    color = torch.tensor([0.2126, 0.7152, 0.0722]).view(3, 1, 1)
    expected = (luma - 16) / 219
    assert ((seen[0].hr[0] * color).sum(dim=0) - expected).abs().median() < 0.01
    sr, hr = (torch.cat([getattr(sample, name) for sample in seen]) for name in ("sr", "hr"))
    psnrs = METRICS["psnr"](sr, hr, border=BORDER).tolist()
    assert [frame.psnr for frame in score.frames] == pytest.approx(psnrs)
    assert score.psnr == pytest.approx(sum(psnrs) / 3)
    assert score.ssim == pytest.approx(METRICS["ssim"](sr, hr, border=BORDER).mean().item())
    changes = temporal_error(sr, hr, border=BORDER).tolist()
    assert [frame.temporal for frame in score.frames] == [None, *map(pytest.approx, changes)]
    assert score.temporal == pytest.approx(sum(changes) / 2)


def test_the_truth_itself_has_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = torch.rand(3, 1, 3, 26, 25, generator=torch.Generator().manual_seed(5))
    monkeypatch.setattr(clips, "true_frames", lambda *_: iter(frames))
    left = iter(frames)
    score = clip(lambda _, size: next(left)[..., : size[0], : size[1]], Path("x.mkv"), 3)
    assert (score.psnr, score.temporal, score.ssim) == (float("inf"), 0, None)
    assert score.pictures == len(score.frames) == 3


def test_a_file_that_is_no_video_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.mkv"
    path.write_text("not a video")
    with pytest.raises(OpenError, match="text"):
        clip(BASELINES["bicubic"], path, 2)

"""Grain of a run: found in its source, lost by its network, and put back."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ciaovideo.color import PixelLayout
from ciaovideo.errors import OptionError
from ciaovideo.findings import Kind
from ciaovideo.grain.measure import GrainCurve, GrainSample, luma_steps
from ciaovideo.grain.noise import reduced
from ciaovideo.media.read.reader import VideoReader
from ciaovideo.options import EncodeOptions, UpscaleOptions
from ciaovideo.pipeline.keywords import with_fields
from ciaovideo.pipeline.session import Summary, UpscaleRun, upscale
from tests.media import write_gray

SIZE = (128, 160)
SIGMA = 5.0  # codes
STEP = 255 / 219  # of 8 bits in limited range


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Gray under grain whose finest octave is weak, as film has it."""
    random = np.random.default_rng(1)
    planes = []
    for _ in range(9):
        field = random.standard_normal((SIZE[0] + 1, SIZE[1] + 1))
        soft = (field[1:, 1:] + field[:-1, 1:] + field[1:, :-1] + field[:-1, :-1]) / 2
        planes.append(np.round(120 + SIGMA * soft).clip(0, 255).astype(np.uint8))
    return write_gray(tmp_path_factory.mktemp("film") / "film.mkv", planes)


def curve_of(path: Path) -> GrainCurve:
    """The grain of a file, at the size of its source."""
    sample, before = GrainSample(STEP), None
    with VideoReader(path) as reader:
        info = reader.info
        layout = PixelLayout.of(info.pix_fmt)
        color = info.color.resolved(info.height, info.width, layout)[0]
        for frame in reader.frames():
            luma = reduced(luma_steps(frame.planes, layout, color), SIZE)
            if before is not None:
                sample.add(before, luma)
            before = luma
    return sample.curve()


def made(film: Path, folder: Path, grain: str | float, **more: object) -> tuple[Summary, float]:
    """A run, and the standard deviation of its output's grain."""
    given = {"model": "bicubic", "scale": 2, "codec": "ffv1", "grain": grain, **more}
    options = with_fields(UpscaleOptions(), given)
    summary = upscale(film, folder / f"{grain}.mkv", options=options)
    return summary, curve_of(summary.output).sigma


def test_what_is_lost_is_put_back(film: Path, tmp_path: Path) -> None:
    there = curve_of(film).sigma
    assert there == pytest.approx(SIGMA * STEP, rel=0.05)
    off, without = made(film, tmp_path, "off")
    assert off.grain is None
    keep, kept = made(film, tmp_path, "keep")
    assert keep.grain is not None
    assert keep.grain.source == pytest.approx(there, rel=0.03)
    assert keep.grain.left == pytest.approx(without, rel=0.05)  # told by a ramp of grays
    assert keep.grain.added > 1
    assert without < 0.95 * there
    assert kept == pytest.approx(there, rel=0.03)
    _, more = made(film, tmp_path, 2)
    assert more == pytest.approx(2 * there, rel=0.05)
    half, less = made(film, tmp_path, 0.5)  # of more than that is left
    assert half.grain is not None
    assert less < 1.05 * without
    told = [one for one in keep.findings if one.subject == "grain"]
    assert [one.kind for one in told] == [Kind.CHOSEN]
    assert f"{keep.grain.added:.2f} is added" in str(told[0])


def test_a_clean_source_gets_none(tmp_path: Path) -> None:
    slope = np.linspace(30, 220, 160).astype(np.uint8)
    planes = [np.roll(np.tile(slope, (128, 1)), shift, 0) for shift in range(5)]
    clean = write_gray(tmp_path / "clean.mkv", planes)
    summaries = [made(clean, tmp_path, grain)[0] for grain in ("off", "keep")]
    assert summaries[1].grain is not None
    assert summaries[1].grain.added == 0
    pictures = []
    for summary in summaries:
        with VideoReader(summary.output) as reader:
            pictures.append([frame.planes[0] for frame in reader.frames()])
    assert all(torch.equal(one, other) for one, other in zip(*pictures, strict=True))


def test_a_frame_that_is_shown_again_has_other_grain(film: Path, tmp_path: Path) -> None:
    """Grain is put over what was computed, not into what the next frame is made of."""
    with VideoReader(film) as reader:
        planes = [frame.planes[0].numpy().copy() for frame in reader.frames()]
    still = write_gray(tmp_path / "still.mkv", [*planes, *[planes[-1]] * 3])
    summary, _ = made(still, tmp_path, 2)
    assert summary.computed == len(planes)
    with VideoReader(summary.output) as reader:
        last = [frame.planes[0].float() for frame in reader.frames()][-4:]
    offset = [frame - frame.mean() for frame in last]
    first = float((offset[0] ** 2).mean())
    assert all(float((one**2).mean()) == pytest.approx(first, rel=0.05) for one in offset)
    assert not torch.equal(last[-1], last[-2])


def test_a_pipe_cannot_be_measured_first(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(VideoReader, "piped", property(lambda _: True))
    options = with_fields(UpscaleOptions(), {"model": "bicubic", "grain": "keep"})
    with pytest.raises(OptionError, match="is a pipe: its grain cannot be measured first"):
        UpscaleRun(film, tmp_path / "out.mkv", options)


@pytest.mark.parametrize("grain", [-0.1, 4.5, float("nan")])
def test_how_much_there_can_be(grain: float) -> None:
    with pytest.raises(OptionError, match="is outside 0 to 4"):
        EncodeOptions(grain=grain)

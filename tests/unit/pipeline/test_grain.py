"""Grain of a run: found in its source, lost by its network, and put back."""

from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ciaovideo.color import PixelLayout
from ciaovideo.engine.engine import Engine
from ciaovideo.errors import OptionError
from ciaovideo.findings import Kind
from ciaovideo.grain.measure import BANDS, GrainCurve, GrainSample, luma_steps
from ciaovideo.grain.noise import reduced
from ciaovideo.media.read.reader import VideoReader
from ciaovideo.options import EncodeOptions, UpscaleOptions
from ciaovideo.pipeline import grain as grain_module
from ciaovideo.pipeline.fingerprint import LedgerAccess
from ciaovideo.pipeline.grain import SourceGrain, Square, kept_share, measured
from ciaovideo.pipeline.keywords import with_fields
from ciaovideo.pipeline.plan import UpscalePlan
from ciaovideo.pipeline.session import Summary, UpscaleRun, upscale
from ciaovideo.pipeline.source import RunSource
from ciaovideo.storage.claims import ledger_path
from ciaovideo.storage.segments import KNOWN
from tests.media import write_gray
from tests.stopping import StoppedError, stop_at

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
    assert keep.grain.left == pytest.approx(without, rel=0.05)  # told by squares of frames
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


def test_what_is_left_is_told_by_what_grain_lies_over(film: Path) -> None:
    """A network that keeps noise in texture and takes it from walls is asked in both."""

    def network(lr: Tensor, size: tuple[int, int]) -> Tensor:
        assert lr.shape[-2:] == size
        soft = F.avg_pool2d(lr, 9, 1, 4, count_include_pad=False)
        return torch.where(lr.std() > 30 / 255, lr, soft)

    texture = 40 * torch.randn(SIZE, generator=torch.Generator().manual_seed(3))
    blocks = torch.ones(SIZE[0] // 16 * (SIZE[1] // 16), dtype=torch.bool)
    shares = []
    for still in (112 + texture, torch.full(SIZE, 112.0)):
        random = torch.Generator().manual_seed(1)
        frames = [still + 4 * torch.randn(SIZE, generator=random) for _ in range(2)]
        rgb = torch.stack([(frame / 255).expand(3, *SIZE) for frame in frames])
        square = Square(rgb, blocks, torch.full((3, 1, 1), 1 / 3))
        engine = cast("Engine", network)
        shares.append(kept_share([square], engine, SIZE, SIZE)[112 * BANDS // 256])
    assert shares[0].tolist() == [1, 1, 1]
    assert float(shares[1][0]) < 0.05


def test_grain_is_measured_once(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that resumes, and other processes at it, take what the first one found."""
    measurings: list[UpscalePlan] = []

    def counted(source: RunSource, engine: Engine, plan: UpscalePlan) -> SourceGrain:
        measurings.append(plan)
        return measured(source, engine, plan)

    monkeypatch.setattr(grain_module, "measured", counted)
    given = {"model": "bicubic", "grain": "keep", "resume": True, "segment": 2}
    options = with_fields(UpscaleOptions(), given)
    upscale(film, whole := tmp_path / "whole.mkv", options=options)
    assert len(measurings) == 1
    output = tmp_path / "out.mkv"
    with pytest.raises(StoppedError):
        upscale(film, output, options=options, on_progress=stop_at(5))
    (known,) = ledger_path(output).glob("*.json")
    with UpscaleRun(film, output, options, access=LedgerAccess(read=False)) as other:
        assert other.plan.grain is not None
    upscale(film, output, options=options)
    assert len(measurings) == 2
    assert output.read_bytes() == whole.read_bytes()
    assert not known.parent.exists()


@pytest.mark.parametrize("kept", ["", "{}", '{"fingerprint": {}, "known": {"grain": {}}}'])
def test_what_another_run_measured_is_not_taken(film: Path, tmp_path: Path, kept: str) -> None:
    """Of other options, or cut off by a full disk."""
    output = tmp_path / "out.mkv"
    ledger_path(output).mkdir()
    (ledger_path(output) / KNOWN).write_text(kept)
    given = {"model": "bicubic", "grain": "keep", "resume": True, "frames": 3}
    summary = upscale(film, output, options=with_fields(UpscaleOptions(), given))
    assert summary.grain is not None
    assert summary.grain.added > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mkv"]


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

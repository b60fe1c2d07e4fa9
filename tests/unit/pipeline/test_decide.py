"""What a plan promises before the run, and what is held against it where a pipe is involved."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from ciaovideo.cli.upscale import describe_plan
from ciaovideo.color import Siting
from ciaovideo.errors import VerificationError
from ciaovideo.findings import Kind
from ciaovideo.media.selection import EVERYTHING
from ciaovideo.options import ModelOptions, SizeOptions, UpscaleOptions
from ciaovideo.pipeline.plan import UpscalePlan
from ciaovideo.pipeline.session import UpscaleRun
from ciaovideo.pipeline.verification.contract import Verification
from ciaovideo.pipeline.verification.result import check_result
from tests.media import make_clip

OPTIONS = UpscaleOptions(
    size=SizeOptions(scale=2), model=ModelOptions(model="bicubic"), overwrite=True
)
FRAMES = 12


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "in.mp4"
    make_clip(path, width=64, height=48, seconds=0.5)
    return path


@pytest.fixture
def job(source: Path, tmp_path: Path) -> Iterator[UpscaleRun]:
    with UpscaleRun(source, tmp_path / "out.mkv", OPTIONS) as run:
        yield run


def test_the_time_of_a_frame_is_shared_by_those_that_are_computed_at_once(
    job: UpscaleRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(perf_counter=iter((10.0, 16.0)).__next__)
    monkeypatch.setattr("ciaovideo.pipeline.session.time", clock)
    job.plan = replace(job.plan, workers=3)
    plan = job.estimate()
    assert plan.seconds_per_frame == 2
    assert "about 2 s a frame, 24 s for 12 frames" in describe_plan(plan)


@pytest.mark.parametrize(("room", "workers"), [(1.5, 1), (2.5, 2), (9.0, 4)])
def test_as_many_frames_at_once_as_there_is_memory_for(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: float, workers: int
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    output = tmp_path / "out.mkv"
    with UpscaleRun(source, output, OPTIONS) as job:
        one = job.plan.memory.bytes / 0.6
    monkeypatch.setattr("ciaovideo.engine.engine.free_memory", lambda _: int(room * one))
    with UpscaleRun(source, output, OPTIONS) as job:
        assert (job.plan.workers, job.engine.workers) == (workers, workers)
        assert job.plan.memory.tiles == 1


def checked(job: UpscaleRun, plan: UpscalePlan, counts: tuple[int, int | None]) -> Verification:
    """The check of a whole run's output."""
    return check_result(plan.output, plan, job.target, EVERYTHING, counts)


def test_frames_that_went_into_a_pipe_are_counted(job: UpscaleRun) -> None:
    plan = replace(job.plan, destination=replace(job.plan.destination, kind="pipe"))
    result = checked(job, plan, (FRAMES, None))
    assert (result.frames, result.wrong) == (FRAMES, ())
    assert [finding.kind for finding in result.findings] == [Kind.FELL_BACK]
    wrong = replace(plan, frames=FRAMES - 1)  # a plan may be wrong, then the source decides
    assert checked(job, wrong, (FRAMES, None)).frames == FRAMES
    with pytest.raises(VerificationError, match=r"\b11\b.*\b12\b"):
        checked(job, plan, (FRAMES - 1, None))


def test_frames_that_came_out_of_a_pipe_are_counted(job: UpscaleRun) -> None:
    job.run()
    info = replace(job.plan.info, time_base=Fraction(1, 24))
    plan = replace(job.plan, info=info)  # a pipe's clock has a tick for each frame
    assert checked(job, plan, (FRAMES, FRAMES)).pictures == 0
    with pytest.raises(VerificationError, match=r"\b13\b.*\b12\b"):
        checked(job, plan, (FRAMES, FRAMES + 1))


def test_the_header_of_a_bare_video_says_where_chroma_was_taken_to_sit(tmp_path: Path) -> None:
    source = tmp_path / "in.mkv"
    drawn = {"codec": "ffv1", "options": {}, "color": (1, 1, 1, 1, 0)}
    make_clip(source, width=64, height=48, seconds=0.25, **drawn)
    with UpscaleRun(source, tmp_path / "out.y4m", OPTIONS) as job:
        assert job.plan.info.color.siting == Siting.UNSPECIFIED
        assert job.target.color.siting == Siting.LEFT

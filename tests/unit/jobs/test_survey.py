"""A look at all files before the first is made."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from ciaovideo.errors import EncodeError, OpenError
from ciaovideo.findings import Kind
from ciaovideo.jobs.inputs import find_sources, make_jobs
from ciaovideo.jobs.survey import Sample, Survey, jobs_by_size, sample, survey, survey_file
from ciaovideo.options import SizeOptions
from ciaovideo.pipeline.keywords import with_fields
from ciaovideo.pipeline.session import UpscaleRun
from tests.batches import PLAIN, SEGMENT, SHORT_GROUPS, SMALL, DirectWorkers, make_sources
from tests.media import make_clip


def survey_of(source: Path, output: Path, scale: float = 2.0) -> Survey:
    given = replace(PLAIN, size=SizeOptions(scale=scale))
    jobs = make_jobs(find_sources([str(source)], output).found, output, given)
    workers = DirectWorkers(2)
    try:
        return survey(jobs, workers, output)
    finally:
        workers.stop()


def test_files_are_counted_and_tried_and_nothing_is_written(tmp_path: Path) -> None:
    source = make_sources(tmp_path / "in", a=48, b=2)
    (source / "c.mkv").write_bytes(b"no video" * 99)
    found = survey_of(source, tmp_path / "out")
    assert (found.files, found.frames) == (2, 50)
    assert found.pixels == 50 * 96 * 64
    assert found.duration_s == pytest.approx(50 / 24)
    assert isinstance(found.problems["c.mkv"], OpenError)
    assert found.losses[Kind.CHOSEN, "codec"] == 2
    ((cost_class, tried),) = found.samples.items()
    assert cost_class == ("bicubic", (32, 48), (64, 96), "libx264")
    assert tried.join_s > 0
    forecast = found.forecast(made=7)
    assert forecast.frames == 57
    files = [(name, file.frames, file.length) for name, file in forecast.files.items()]
    assert files == [("a.mkv", 48, SEGMENT), ("b.mkv", 2, SEGMENT)]
    pixels = 48 * 96 * 64
    making = forecast.seconds("make", cost_class, 48)
    assert making == pytest.approx(pixels * tried.seconds)
    joining = forecast.seconds("join", cost_class, 48)
    assert joining == pytest.approx(forecast.plan_s + pixels * tried.join_s)
    assert 0 < forecast.plan_s < found.seconds
    # Two workers share the segments of the longer file, and one joins it.
    assert making / 2 + joining < found.seconds < making + joining + 2 * forecast.plan_s
    coded = found.pixels * tried.bytes
    assert found.disk == pytest.approx(2 * coded, abs=4)  # with the segments of both at work
    assert found.memory > psutil.Process().memory_info().rss / 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_finished_files_take_neither_time_nor_disk(tmp_path: Path) -> None:
    source = make_sources(tmp_path / "in", a=48, b=2)
    found = find_sources([str(source)], output := tmp_path / "out").found
    jobs = make_jobs(found, output, PLAIN)
    workers = DirectWorkers()
    some = survey(jobs, workers, output, finished={"a.mkv"})
    every = survey(jobs, workers, output, finished={"a.mkv", "b.mkv"})
    workers.stop()
    assert (some.files, some.finished, some.frames, [*some.expected]) == (2, 1, 50, ["b.mkv"])
    (tried,) = some.samples.values()
    assert some.disk == pytest.approx(2 * 2 * 96 * 64 * tried.bytes, abs=4)
    assert (every.finished, every.samples, every.seconds, every.disk) == (2, {}, 0.0, 0)


CODINGS: dict[str, dict[str, Any]] = {
    ".avi": {"codec": "mpeg4"},
    ".mxf": {"codec": "mpeg2video", "width": 64, "height": 48},
}
CUTS: dict[str, tuple[dict[str, Any], int]] = {
    "whole": ({}, 48),
    "end": ({"end": "1"}, 24),
    "frames": ({"frames": 3}, 3),
    "start": ({"start": "1.5"}, 12),
    "part": ({"start": "0.1", "end": "1.1"}, 24),
    "fields": ({"start": "1.5", "deinterlace": "field"}, 24),
}


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("group", ["6", "99"])  # decoding begins at a key frame, or at the first
def test_a_look_opens_a_file_once(
    cut: str, group: str, tmp_path: Path, openings: Callable[[Path], int]
) -> None:
    extras: dict[str, Any] = {"sound": True, "subtitle": "Hello", "chapters": 2, "cover": True}
    extras |= {"options": {**SHORT_GROUPS, "g": group}, "interlaced": cut == "fields"}
    make_clip(source := tmp_path / "in.mp4", **SMALL, seconds=2, **extras)
    fields, frames = CUTS[cut]
    found = find_sources([str(source)], tmp_path / "out").found
    (job,) = make_jobs(found, tmp_path / "out", with_fields(PLAIN, fields))
    look = survey_file(job)
    assert openings(source) == 1
    job.output.parent.mkdir()
    with UpscaleRun(source, job.output, job.options) as run:
        assert look.findings == run.plan.findings
        assert (look.frames, look.in_size) == (frames, (run.plan.info.height, run.plan.info.width))


def test_names_have_the_sizes_of_outputs_after_one_look(
    tmp_path: Path, openings: Callable[[Path], int]
) -> None:
    """Cropped, padded, and of files that cannot be made."""
    source = make_sources(tmp_path / "in", a=2, b=2)
    (source / "c.mkv").write_bytes(b"no video" * 99)
    found = find_sources([str(source)], output := tmp_path / "out").found
    given = with_fields(PLAIN, {"crop": "32x16+0+0", "scale": 2, "pad": "80x64"})
    workers = DirectWorkers(2)
    jobs, known = jobs_by_size(found, output, given, "{stem}-{width}x{height}.mkv", workers)
    assert [job.name for job in jobs] == ["a-80x64.mkv", "b-80x64.mkv", "c-0x0.mkv"]
    before = openings(source / "a.mkv"), openings(source / "b.mkv")
    assert before == (1, 1)
    looks: dict[str, Any] = {}
    told = survey(
        jobs[1:], workers, output, lambda job, look: looks.update({job.name: look}), known
    )
    workers.stop()
    assert (told.files, [*told.problems]) == (1, ["c-0x0.mkv"])
    assert looks["b-80x64.mkv"].out_size == (32, 64)
    assert openings(source / "a.mkv") == 1


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".avi", ".mxf"])
def test_frames_are_timed_whatever_the_container_and_the_workers(
    suffix: str, tmp_path: Path, one_thread: None
) -> None:
    """One thread warms up with a segment of one frame, which has no reordered pictures."""
    shape = {**SMALL, "seconds": 2, **CODINGS.get(suffix, {})}
    make_clip(source := tmp_path / f"in{suffix}", **shape)
    (job,) = make_jobs(find_sources([str(source)], tmp_path).found, tmp_path / "out", PLAIN)
    tried = sample(job, 2.0)
    assert 0 < tried.join_s < 100 * tried.seconds
    assert tried.bytes > 0


def test_what_could_not_be_timed_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(*_: Any) -> Any:
        raise EncodeError("full", "free some")

    monkeypatch.setattr("ciaovideo.jobs.survey.sample", failing)
    found = survey_of(make_sources(tmp_path / "in", a=2), tmp_path / "out")
    assert (found.files, found.seconds, found.forecast().rates) == (1, 0.0, {})
    assert "a.mkv could be timed: full" in caplog.text


def test_more_than_a_disk_holds_is_refused(tmp_path: Path) -> None:
    found = Survey(disk=2 * 10**9, disk_free=10**9)
    with pytest.raises(EncodeError, match=r"2\.0 GB .*1\.0 GB"):
        found.check_disk(tmp_path)
    Survey(disk=10**8, disk_free=10**9).check_disk(tmp_path)


def test_sorts_without_a_sample_cost_what_the_dearest_does(tmp_path: Path) -> None:
    source = make_sources(tmp_path / "in", a=2)
    one = survey_of(source, tmp_path / "out")
    assert math.isfinite(one.seconds)
    (cost_class,) = one.samples
    other = ("bicubic", (1, 1), (2, 2), "ffv1")
    one.cost_classes[other] = one.cost_classes[cost_class]
    forecast = one.forecast()
    assert forecast.rates[other] == forecast.rates[cost_class]


def test_sorts_without_a_sample_cost_what_those_of_their_encoder_do() -> None:
    sizes = (1, 1), (2, 2)
    samples = {
        ("net", *sizes, "ffv1"): Sample(seconds=9, bytes=9, memory=1),
        ("net", *sizes, "libx264"): Sample(seconds=2, bytes=1, memory=1),
    }
    found = Survey(samples=samples)
    assert found.sample_of(("net", (3, 3), (9, 9), "libx264")).seconds == 2
    assert found.sample_of(("net", (3, 3), (9, 9), "libx265")).seconds == 9

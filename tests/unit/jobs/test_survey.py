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
from ciaovideo.jobs.survey import Sample, Survey, jobs_by_size, survey, survey_file
from ciaovideo.options import SizeOptions
from ciaovideo.pipeline.keywords import with_fields
from tests.batches import PLAIN, SMALL, DirectWorkers, make_sources
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
    assert found.seconds == pytest.approx(found.pixels * tried.seconds / 2)
    forecast = found.forecast(2)
    assert (forecast.frames, forecast.seconds) == (50, 2 * found.seconds)
    assert 50 * forecast.seconds_per_frame(cost_class) == pytest.approx(2 * found.seconds)
    coded = found.pixels * tried.bytes
    assert found.disk == pytest.approx(2 * coded, abs=4)  # with the segments of both at work
    assert found.memory > psutil.Process().memory_info().rss / 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


@pytest.mark.parametrize("cut", [{}, {"end": "1"}, {"frames": 3}], ids=["whole", "end", "frames"])
def test_a_look_opens_a_file_once(
    cut: dict[str, Any], tmp_path: Path, openings: Callable[[Path], int]
) -> None:
    extras: dict[str, Any] = {"sound": True, "subtitle": "Hello", "chapters": 2, "cover": True}
    make_clip(source := tmp_path / "in.mp4", **SMALL, seconds=2, **extras)
    found = find_sources([str(source)], tmp_path / "out").found
    (job,) = make_jobs(found, tmp_path / "out", with_fields(PLAIN, cut))
    look = survey_file(job)
    assert openings(source) == 1
    assert look.frames == {"end": 24, "frames": 3}.get(next(iter(cut), ""), 48)


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
    before = one.seconds
    one.seconds, one.disk = 0.0, 0
    one.estimate(tmp_path, 2)
    assert one.seconds == pytest.approx(2 * before)


def test_sorts_without_a_sample_cost_what_those_of_their_encoder_do() -> None:
    sizes = (1, 1), (2, 2)
    samples = {
        ("net", *sizes, "ffv1"): Sample(seconds=9, bytes=9, memory=1),
        ("net", *sizes, "libx264"): Sample(seconds=2, bytes=1, memory=1),
    }
    found = Survey(samples=samples)
    assert found.sample_of(("net", (3, 3), (9, 9), "libx264")).seconds == 2
    assert found.sample_of(("net", (3, 3), (9, 9), "libx265")).seconds == 9

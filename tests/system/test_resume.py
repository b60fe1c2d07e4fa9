"""Runs that are stopped and gone on with: what comes out has the bits of a run that never was."""

import os
import resource
import signal
import subprocess
import sys
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
import torch

from ciaovideo import upscale
from ciaovideo.cli.main import run
from ciaovideo.errors import EncodeError, OptionError, StaleLedgerError
from ciaovideo.findings import Kind
from ciaovideo.media.read.reader import VideoReader
from ciaovideo.media.write.segment_writer import SegmentWriter
from ciaovideo.media.write.writer import VideoWriter
from ciaovideo.options import (
    EncodeOptions,
    EngineOptions,
    InputOptions,
    ModelOptions,
    SizeOptions,
    UpscaleOptions,
)
from ciaovideo.pipeline.session import Progress, UpscaleRun
from ciaovideo.storage.claims import ledger_path
from tests.found import by_kind
from tests.media import make_clip

FINISHED = (Kind.CHOSEN, "finished frames")
SEGMENT = 8
FRAMES = 29  # three segments and a piece
KILLED = """
import os, signal, sys
import torch
import ciaovideo.storage.segments
from ciaovideo import upscale
from ciaovideo.options import ModelOptions, UpscaleOptions

ciaovideo.storage.segments.SEGMENT = int(sys.argv[3])
torch.set_num_threads(int(sys.argv[4]))
def die(progress):
    if progress.frames == 19:
        os.kill(os.getpid(), signal.SIGKILL)
upscale(
    sys.argv[1],
    sys.argv[2],
    options=UpscaleOptions(model=ModelOptions(model="bicubic"), resume=True),
    on_progress=die,
)
"""


class StoppedError(Exception):
    """In the middle of a run."""


@pytest.fixture(autouse=True)
def _short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ciaovideo.storage.segments.SEGMENT", SEGMENT)


def options(**changes: Any) -> UpscaleOptions:
    given: dict[str, Any] = {"model": ModelOptions(model="bicubic"), "resume": True}
    return UpscaleOptions(**(given | changes))


def stop_at(count: int) -> Any:
    def stop(progress: Progress) -> None:
        if progress.frames == count:
            raise StoppedError

    return stop


def in_one_go_and_not(
    clip: Path, suffix: str, given: UpscaleOptions, stops: tuple[int, ...] = (19,)
) -> tuple[Path, Path]:
    """An output of an undisturbed run, and one of a run that was stopped after so many frames."""
    whole, parts = clip.with_name(f"whole{suffix}"), clip.with_name(f"parts{suffix}")
    assert upscale(clip, whole, options=given).frames == FRAMES
    for count in stops:
        with pytest.raises(StoppedError):
            upscale(clip, parts, options=given, on_progress=stop_at(count))
        assert not parts.exists()
        assert ledger_path(parts).exists()
    done = stops[-1] // SEGMENT * SEGMENT
    seen: list[int] = []
    with UpscaleRun(clip, parts, given) as job:
        assert job.finished == done
        assert FINISHED in by_kind(job.plan.findings)
        summary = job.run(lambda progress: seen.append(progress.frames))
    assert seen == list(range(done, FRAMES + 1))
    assert summary.frames == FRAMES
    assert not list(clip.parent.glob(".*"))
    return whole, parts


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        (".mp4", "libx264"),
        (".mp4", "libx265"),
        (".mp4", "libsvtav1"),
        (".mov", "prores_ks"),
        (".mkv", "libx264"),
        (".mkv", "ffv1"),
        (".webm", "libsvtav1"),
        (".avi", "utvideo"),
    ],
)
def test_a_stopped_run_goes_on_to_the_same_bits(suffix: str, codec: str, tmp_path: Path) -> None:
    clip = tmp_path / "in.mp4"
    sound = suffix in (".mp4", ".mov", ".mkv")
    make_clip(clip, width=96, height=64, seconds=FRAMES / 24, sound=sound)
    given = options(encode=EncodeOptions(codec=codec))
    whole, parts = in_one_go_and_not(clip, suffix, given)
    assert whole.read_bytes() == parts.read_bytes()


def test_stopped_in_the_first_segment_nothing_is_kept(tmp_path: Path) -> None:
    make_clip(clip := tmp_path / "in.mkv", width=96, height=64, seconds=1)
    output = tmp_path / "out.mp4"
    with pytest.raises(StoppedError):
        upscale(clip, output, options=options(), on_progress=stop_at(SEGMENT))
    assert list(tmp_path.iterdir()) == [clip]


def test_stopped_again_and_again(tmp_path: Path) -> None:
    make_clip(clip := tmp_path / "in.mkv", width=96, height=64, seconds=FRAMES / 24, sound=True)
    whole, parts = in_one_go_and_not(clip, ".mp4", options(), stops=(9, 20, 25))
    assert whole.read_bytes() == parts.read_bytes()


def test_stopped_before_it_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_clip(clip := tmp_path / "in.mkv", width=96, height=64, seconds=FRAMES / 24, sound=True)
    whole, parts = tmp_path / "whole.mp4", tmp_path / "parts.mp4"
    upscale(clip, whole, options=options())

    def stopped(*_: object) -> None:
        raise StoppedError

    with monkeypatch.context() as patch:
        patch.setattr("ciaovideo.pipeline.session.check_result", stopped)
        with pytest.raises(StoppedError):
            upscale(clip, parts, options=options())
    with UpscaleRun(clip, parts, options()) as job:
        assert job.finished == FRAMES
    assert upscale(clip, parts, options=options()).frames == FRAMES
    assert whole.read_bytes() == parts.read_bytes()


def test_two_frames_have_the_times_that_they_have_in_any_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of so few, x265 hands out decoding times that were never written: here, wild ones."""
    made = SegmentWriter._new_encoder

    def wild(self: SegmentWriter) -> Any:
        encoder = made(self)

        def encode(picture: av.VideoFrame | None) -> Any:
            packets = encoder.encode(picture)
            for packet in packets:
                packet.dts = -99_999
            return packets

        return SimpleNamespace(encode=encode)

    monkeypatch.setattr(SegmentWriter, "_new_encoder", wild)
    make_clip(clip := tmp_path / "in.mkv", width=96, height=64, seconds=0.2)
    tables = []
    for resume in (False, True):
        encode = EncodeOptions(codec="libx265", preset="ultrafast")
        given = options(encode=encode, frames=2, resume=resume)
        upscale(clip, output := tmp_path / f"{resume}.mp4", options=given)
        with av.open(output) as file:
            tables.append([(p.pts, p.dts, p.duration) for p in file.demux(video=0) if p.size])
    assert len(tables[0]) == 2
    assert tables[0] == tables[1]


@pytest.mark.parametrize("kind", ["still", "vfr", "fields", "part", "dither", "network", "batched"])
def test_other_kinds_of_runs(kind: str, tmp_path: Path) -> None:
    """What is computed from more than one frame, or in groups, begins anew with each segment."""
    shape: dict[str, Any] = {"width": 96, "height": 64, "seconds": FRAMES / 24, "sound": True}
    given = options()
    match kind:
        case "still":
            shape["pix_fmt"] = "yuv444p"
            given = options(model=ModelOptions(model="lanczos"))
        case "vfr":
            steps = [1, 7, 2, 30, 1, 1, 12] * 5
            shape |= {"time_base": Fraction(1, 90), "pts": tuple(accumulate(steps))[:FRAMES]}
        case "fields":
            shape |= {"interlaced": True, "seconds": 15 / 24}
            given = options(input=InputOptions(deinterlace="field"), frames=FRAMES)
        case "part":
            shape["seconds"] = 3
            given = options(input=InputOptions(start="0.5"), frames=FRAMES)
        case "dither":
            given = options(encode=EncodeOptions(dither="ordered"))
        case "network":
            given = options(model=ModelOptions(model="ciaosr-fast"), size=SizeOptions(scale=1.5))
        case "batched":
            given = options(engine=EngineOptions(batch=3))
    make_clip(clip := tmp_path / "in.mkv", **shape)
    whole, parts = in_one_go_and_not(clip, ".mp4", given)
    assert whole.read_bytes() == parts.read_bytes()


def test_a_ledger_that_was_cut_or_damaged_counts_up_to_there(tmp_path: Path) -> None:
    make_clip(clip := tmp_path / "in.mkv", width=96, height=64, seconds=FRAMES / 24)
    whole, parts = tmp_path / "whole.mp4", tmp_path / "parts.mp4"
    upscale(clip, whole, options=options())
    with pytest.raises(StoppedError):
        upscale(clip, parts, options=options(), on_progress=stop_at(25))
    ledger = ledger_path(parts)
    data = ledger.read_bytes()
    facts = data.index(b"\n", data.index(b"\n") + 1) + 1
    counted = []
    for cut in (5, facts - 3, facts, facts + 30, len(data) // 2, len(data) - 1):
        flipped = bytearray(data)
        flipped[cut] ^= 1
        for damaged in (data[:cut], bytes(flipped) if cut >= facts else data + b"P"):
            ledger.write_bytes(damaged)
            with UpscaleRun(clip, parts, options(overwrite=True)) as job:
                counted.append(job.finished)
                job.run()
            assert whole.read_bytes() == parts.read_bytes()
    assert counted == [0, 24, 0, 24, 0, 0, 0, 0, 8, 8, 24, 24]


def test_a_killed_process(tmp_path: Path) -> None:
    make_clip(clip := tmp_path / "in.mkv", width=96, height=64, seconds=FRAMES / 24, sound=True)
    whole, parts = tmp_path / "whole.mkv", tmp_path / "parts.mkv"
    upscale(clip, whole, options=options())
    threads = str(torch.get_num_threads())  # as here, or it would be another machine
    words = [sys.executable, "-c", KILLED, str(clip), str(parts), str(SEGMENT), threads]
    assert subprocess.run(words, check=False).returncode == -signal.SIGKILL
    with UpscaleRun(clip, parts, options()) as job:
        assert job.finished == 16
        assert (Kind.CHOSEN, "temporary file") in by_kind(job.plan.findings)
        job.run()
    assert whole.read_bytes() == parts.read_bytes()


def test_what_is_not_the_same_run_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_clip(clip := tmp_path / "in.mkv", width=96, height=64, seconds=1)
    make_clip(other := tmp_path / "other.mkv", width=96, height=64, seconds=1, tags={"title": "b"})
    output = tmp_path / "out.mp4"
    with pytest.raises(StoppedError):
        upscale(clip, output, options=options(), on_progress=stop_at(12))
    kept = ledger_path(output).read_bytes()
    for source, given, named in (
        (other, options(), "another source:"),
        (clip, options(encode=EncodeOptions(crf=20)), "another set of options:"),
        (clip, options(model=ModelOptions(model="lanczos")), "another network:"),
        (other, options(size=SizeOptions(scale=3)), "source and another set of options:"),
    ):
        with pytest.raises(StaleLedgerError, match=named):
            upscale(source, output, options=given)
    words = [str(other), str(output), "--model", "bicubic", "--resume"]
    assert run(words) == 6
    assert "delete that file to begin anew" in capsys.readouterr().err
    assert ledger_path(output).read_bytes() == kept
    with UpscaleRun(clip, output, options(resume=False)) as job:
        assert FINISHED in by_kind(job.plan.findings)
    assert ledger_path(output).read_bytes() == kept


def test_a_source_or_machine_that_changed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tape's bytes are as many after it was mended, and its ends are the same."""
    make_clip(clip := tmp_path / "in.mkv", width=96, height=64, seconds=1)
    output = tmp_path / "out.mp4"
    with pytest.raises(StoppedError):
        upscale(clip, output, options=options(), on_progress=stop_at(12))
    with monkeypatch.context() as patch:
        patch.setattr("os.sched_getaffinity", lambda _: set(range(99)))
        with pytest.raises(StaleLedgerError, match="another machine:"):
            upscale(clip, output, options=options())
    times = clip.stat()
    os.utime(clip, (times.st_atime, times.st_mtime + 1))
    with pytest.raises(StaleLedgerError, match="another time of the source's last change:"):
        upscale(clip, output, options=options())
    os.utime(clip, (times.st_atime, times.st_mtime))
    upscale(clip, output, options=options())


def test_an_interrupt_need_not_wait_for_what_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread would have to decode all of it before it could be joined."""
    make_clip(clip := tmp_path / "in.mkv", width=96, height=64, seconds=1)
    output = tmp_path / "out.mp4"
    with pytest.raises(StoppedError):
        upscale(clip, output, options=options(), on_progress=stop_at(18))
    decode = VideoReader._decode
    count = 0

    def interrupted(self: VideoReader) -> Any:
        nonlocal count
        count += 1
        if count == 5:
            signal.raise_signal(signal.SIGINT)
        return decode(self)

    monkeypatch.setattr(VideoReader, "_decode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        upscale(clip, output, options=options())
    assert count == 5


def test_what_has_no_segments_to_keep_is_refused(tmp_path: Path) -> None:
    make_clip(clip := tmp_path / "in.mkv", width=96, height=64, seconds=0.2)
    os.mkfifo(pipe := tmp_path / "pipe.y4m")
    for source, output, given in (
        (pipe, tmp_path / "out.mkv", options()),
        (clip, tmp_path / "out.y4m", options()),
        (clip, Path("-"), options()),
        (clip, tmp_path / "out.mkv", options(encode=EncodeOptions(via_ffmpeg="-c:v ffv1"))),
    ):
        with pytest.raises(OptionError, match="resume"):
            upscale(source, output, options=given)


def test_the_command_line_says_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_clip(clip := tmp_path / "in.mkv", width=96, height=64, seconds=1)
    words = [str(clip), str(tmp_path / "out.mp4"), "--model", "bicubic", "--resume"]
    written = VideoWriter._count

    def interrupted(self: VideoWriter, pts: int, duration: int) -> None:
        written(self, pts, duration)
        if self.frame_count == 20:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(VideoWriter, "_count", interrupted)
        assert run(words) == 130
    assert "16 frames are kept: the same command goes on" in capsys.readouterr().err
    assert run([*words, "--dry-run"]) == 0
    assert "for 8 frames that are missing" in capsys.readouterr().out
    assert run(words) == 0
    assert "16 frames are finished: going on after them" in capsys.readouterr().err


def test_a_full_disk_keeps_what_is_finished(tmp_path: Path) -> None:
    make_clip(clip := tmp_path / "in.mkv", width=96, height=64, seconds=FRAMES / 24)
    whole, parts = tmp_path / "whole.mkv", tmp_path / "parts.mkv"
    given = options(encode=EncodeOptions(codec="ffv1"))
    upscale(clip, whole, options=given)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (whole.stat().st_size * 3 // 4, limit[1]))
    try:
        with pytest.raises(EncodeError, match="disk"):
            upscale(clip, parts, options=given)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert not parts.exists()
    with UpscaleRun(clip, parts, given) as job:
        assert job.finished == 16
        job.run()
    assert whole.read_bytes() == parts.read_bytes()


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_deterministic_runs_give_the_same_file(suffix: str, tmp_path: Path) -> None:
    """Other memory is free in each: an encoder that reads what it never wrote would show it."""
    make_clip(clip := tmp_path / "in.mkv", width=96, height=64, seconds=1, sound=True)
    given = options(resume=False, engine=EngineOptions(deterministic=True))
    files = [tmp_path / f"{number}{suffix}" for number in range(4)]
    for number, output in enumerate(files):
        upscale(clip, output, options=given)
        np.full(1 << 24, 99 + number, np.uint8)
    assert len({output.read_bytes() for output in files}) == 1

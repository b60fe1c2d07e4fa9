"""Runs that are stopped and gone on with: what comes out has the bits of a run that never was."""

import os
import signal
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from ciaovideo import upscale
from ciaovideo.cli.main import run
from ciaovideo.errors import OptionError, StaleLedgerError
from ciaovideo.findings import Kind
from ciaovideo.media.frame import Frame
from ciaovideo.media.read.decoding import PictureSource
from ciaovideo.media.write.encoder import FrameEncoder
from ciaovideo.media.write.writer import SegmentWriter
from ciaovideo.options import (
    EncodeOptions,
    EngineOptions,
    InputOptions,
    ModelOptions,
    SizeOptions,
    UpscaleOptions,
)
from ciaovideo.pipeline.session import UpscaleRun
from ciaovideo.storage.claims import ledger_path
from tests.commands import error_of, found_in, result_in
from tests.found import by_kind
from tests.media import make_clip, write_gray
from tests.needs import needs_ffmpeg
from tests.stopping import FRAMES, SEGMENT, StoppedError, contents, options, stop_at
from tests.telecine import Reel, write_reels

FINISHED = (Kind.CHOSEN, "finished frames")


@pytest.fixture(autouse=True)
def _short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ciaovideo.storage.ledger.LENGTH", SEGMENT)


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
        upscale(clip, output, options=options(), on_progress=stop_at(SEGMENT - 1))
    assert list(tmp_path.iterdir()) == [clip]


def test_stopped_again_and_again(tmp_path: Path) -> None:
    make_clip(clip := tmp_path / "in.mkv", width=96, height=64, seconds=FRAMES / 24, sound=True)
    whole, parts = in_one_go_and_not(clip, ".mp4", options(), stops=(9, 20, 25))
    assert whole.read_bytes() == parts.read_bytes()


def test_a_run_is_carried_out_twice(tmp_path: Path) -> None:
    make_clip(clip := tmp_path / "in.mkv", width=96, height=64, seconds=FRAMES / 24)
    with UpscaleRun(clip, output := tmp_path / "out.mkv", options(overwrite=True)) as job:
        files = []
        for _ in range(2):
            assert job.run().frames == FRAMES
            files.append(output.read_bytes())
            assert job.finished == 0
    assert files[0] == files[1]


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
    """Of so few, x265 hands out decoding times that were never written: here, wild ones.

    No setting of x265 makes them wild, so the encoder that FrameEncoder opens is replaced.
    """
    made = FrameEncoder._open

    def wild(self: FrameEncoder) -> Any:
        encoder = made(self)

        def encode(picture: av.VideoFrame | None) -> Any:
            packets = encoder.encode(picture)
            for packet in packets:
                packet.dts = -99_999
            return packets

        return SimpleNamespace(encode=encode, name="", codec_tag="\0" * 4, extradata=b"")

    monkeypatch.setattr(FrameEncoder, "_open", wild)
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


@pytest.mark.parametrize(
    "kind",
    [
        "still",
        "vfr",
        "fields",
        "film",
        "part",
        "dither",
        "network",
        "batched",
        "consistent",
        "grain",
    ],
)
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
        case "consistent":
            given = options(engine=EngineOptions(consistent=True), size=SizeOptions(scale=1.5))
        case "grain":
            given = options(encode=EncodeOptions(grain=2))
    clip = tmp_path / "in.mkv"
    if kind == "film":
        write_reels(clip, [Reel(first=0, stop=FRAMES + 4)])
        given = options(frames=FRAMES)
    elif kind == "grain":
        random = np.random.default_rng(0)
        planes = [random.normal(120, 4, (80, 96)).round().astype(np.uint8) for _ in range(FRAMES)]
        write_gray(clip, planes)
        with UpscaleRun(clip, tmp_path / "out.mp4", given) as job:
            assert job.plan.grain is not None
            assert job.plan.grain.added > 1
    else:
        make_clip(clip, **shape)
    whole, parts = in_one_go_and_not(clip, ".mp4", given)
    assert whole.read_bytes() == parts.read_bytes()


def test_what_an_earlier_version_kept_is_refused_and_left_alone(tmp_path: Path) -> None:
    make_clip(clip := tmp_path / "in.mkv", width=96, height=64, seconds=0.2)
    output = tmp_path / "out.mp4"
    ledger_path(output).write_bytes(b"ciaovideo ledger 1\n{}\n")
    with pytest.raises(StaleLedgerError, match="version"):
        upscale(clip, output, options=options())
    with UpscaleRun(clip, output, options(resume=False)) as job:
        assert FINISHED in by_kind(job.plan.findings)
    assert ledger_path(output).read_bytes() == b"ciaovideo ledger 1\n{}\n"


def test_what_is_not_the_same_run_is_refused(tmp_path: Path) -> None:
    make_clip(clip := tmp_path / "in.mkv", width=96, height=64, seconds=1)
    make_clip(other := tmp_path / "other.mkv", width=96, height=64, seconds=1, tags={"title": "b"})
    os.utime(other, ns=(clip.stat().st_atime_ns, clip.stat().st_mtime_ns))  # told by its bytes
    output = tmp_path / "out.mp4"
    with pytest.raises(StoppedError):
        upscale(clip, output, options=options(), on_progress=stop_at(12))
    kept = contents(ledger_path(output))
    for source, given, named in (
        (other, options(), "source"),
        (clip, options(encode=EncodeOptions(crf=20)), "options"),
        (clip, options(model=ModelOptions(model="lanczos")), "network"),
        (other, options(size=SizeOptions(scale=3)), "source.*options"),
        (clip, options(engine=EngineOptions(consistent=True)), "options"),
    ):
        with pytest.raises(StaleLedgerError, match=named):
            upscale(source, output, options=given)
    error = error_of(StaleLedgerError, other, output, "--model", "bicubic", "--resume")
    assert "folder" in error.hint
    assert contents(ledger_path(output)) == kept
    with UpscaleRun(clip, output, options(resume=False)) as job:
        assert FINISHED in by_kind(job.plan.findings)
    assert contents(ledger_path(output)) == kept


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
        with pytest.raises(StaleLedgerError, match="machine"):
            upscale(clip, output, options=options())
    times = clip.stat()
    os.utime(clip, (times.st_atime, times.st_mtime + 1))
    with pytest.raises(StaleLedgerError, match="source"):
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
    decode = PictureSource.next
    count = 0

    def interrupted(self: PictureSource) -> Any:
        nonlocal count
        count += 1
        if count == 5:
            signal.raise_signal(signal.SIGINT)
        return decode(self)

    monkeypatch.setattr(PictureSource, "next", interrupted)
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
    write = SegmentWriter.write
    count = 0

    def interrupted(self: SegmentWriter, frame: Frame) -> None:
        nonlocal count
        write(self, frame)
        count += 1
        if count == 20:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SegmentWriter, "write", interrupted)
        assert run(words) == 130
    assert "16 frames" in capsys.readouterr().err
    assert run([*words, "--dry-run"]) == 0
    assert "8 frames" in capsys.readouterr().out
    assert run([*words, "--dry-run", "--json"]) == 0
    assert result_in(capsys.readouterr().out)["finished"] == 16
    assert run([*words, "--json"]) == 0
    assert ("chosen", "finished frames") in found_in(result_in(capsys.readouterr().out))


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


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "9 frames were computed and are dropped: with --resume, finished segments"),
        (["--resume"], "8 frames are kept: the same command resumes after them"),
        (["--segment", "20"], ""),  # none would have been kept
        pytest.param(["--via-ffmpeg", "-c:v ffv1"], "", marks=needs_ffmpeg),
    ],
)
def test_a_run_that_ends_midway_tells_what_is_left(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    told: str,
) -> None:
    make_clip(clip := tmp_path / "in.mkv", width=96, height=64, seconds=1)

    write = UpscaleRun.run

    def stopped(self: UpscaleRun, on_progress: Any, **_: Any) -> Any:
        def tell(at: Any) -> None:
            on_progress(at)
            if at.frames == 9:
                raise KeyboardInterrupt

        return write(self, tell)

    monkeypatch.setattr(UpscaleRun, "run", stopped)
    plain = ["--model", "bicubic", "--scale", "1"]
    command = [str(clip), str(tmp_path / "out.mkv"), *plain, "--segment", "4", *words]
    assert run(command) == 130
    notes = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note:")]
    assert [told in note for note in notes] == [True] * bool(told)

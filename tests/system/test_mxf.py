"""MXF, the container that was added as one row: what it holds comes back, the rest is a finding."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from ciaovideo import ColorSpec, Progress, UpscaleOptions, upscale
from ciaovideo.cli.main import run
from ciaovideo.color import Matrix, Primaries, Range, Siting, Transfer
from ciaovideo.errors import EncodeError, TimestampError
from ciaovideo.findings import Kind
from ciaovideo.media.read.reader import VideoReader
from ciaovideo.options import EncodeOptions, InputOptions, ModelOptions
from ciaovideo.pipeline.verification.verify import contract_between, verify
from tests.found import by_kind, losses_of
from tests.media import make_clip

SMALL = {"width": 192, "height": 108}
BT709 = {"color": (1, 1, 1, 1, 1)}


def options(codec: str = "auto", **changes: Any) -> UpscaleOptions:
    return UpscaleOptions(
        model=ModelOptions(model="bicubic"), encode=EncodeOptions(codec=codec), **changes
    )


@pytest.mark.parametrize("codec", ["prores_ks", "ffv1"])
def test_there_and_back(tmp_path: Path, codec: str) -> None:
    """Into MXF and out of it again: pictures, times, sound, timecode, colours, pixels' shape."""
    source, middle, last = (tmp_path / name for name in ("in.mov", "mid.mxf", "out.mov"))
    tags = {"timecode": "01:02:03:04"}
    sound = {"sound": True, "sound_codec": "pcm_s24le"}
    make_clip(source, seconds=1, sar=Fraction(16, 11), tags=tags, **sound, **BT709, **SMALL)
    summary = upscale(source, middle, options=options(codec))
    assert not losses_of(summary.findings)
    assert [info.becomes for info in summary.kept] == [""]
    for one, other in ((source, middle), (middle, last)):
        if other is last:
            upscale(one, other, scale=1, options=options())
        assert verify(other, contract_between(one, other)).wrong == ()
    for path in (middle, last):
        with VideoReader(path) as reader:
            times = [frame.time for frame in reader.frames()]
            assert reader.info.sar == Fraction(16, 11)
            wanted = ColorSpec(Matrix.BT709, Range.LIMITED, Primaries.BT709, Transfer.BT709)
            assert replace(reader.info.color, siting=Siting.UNSPECIFIED) == wanted
        assert times == [Fraction(n, 24) for n in range(24)]
        with av.open(path) as container:
            clocks = [container.metadata, *(one.metadata for one in container.streams)]
            assert "01:02:03:04" in [clock.get("timecode") for clock in clocks]
            heard = b"".join(bytes(p) for p in container.demux(audio=0))
        with av.open(source) as container:
            sent = b"".join(bytes(p) for p in container.demux(audio=0))
        assert heard[: len(sent)] == sent
        assert not any(heard[len(sent) :])  # silence up to the end of the last frame


def test_what_mxf_cannot_hold_is_a_finding(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, output = tmp_path / "in.mp4", tmp_path / "out.mxf"
    make_clip(
        source,
        seconds=1,
        rotation=90.0,
        sound=True,
        subtitle="Hello",
        chapters=2,
        tags={"title": "Street"},
        **SMALL,
    )
    words = [str(source), str(output), "--model", "bicubic", "--audio", "auto", "--json"]
    assert run([*words, "--strict"]) == 3
    capsys.readouterr()
    assert run(words) == 0
    findings = json.loads(capsys.readouterr().out)["findings"]
    lost = {one["subject"] for one in findings if one["kind"] == "lost"}
    assert {"rotation", "subtitle 2", "chapters", "metadata"} <= lost
    with av.open(output) as container:
        assert [one.type for one in container.streams] == ["video", "audio"]
        assert container.streams.audio[0].codec_context.name == "pcm_s24le"


def test_times_become_numbers_at_one_rate(tmp_path: Path) -> None:
    """Milliseconds of Matroska are taken for the rate they were rounded from; others refused."""
    steady, varying = tmp_path / "steady.mkv", tmp_path / "varying.mkv"
    make_clip(steady, seconds=1, first_pts=12, sound=False, **SMALL)
    make_clip(varying, pts=(0, 40, 90, 120), time_base=Fraction(1, 1000), **SMALL)
    output = tmp_path / "out.mxf"
    summary = upscale(steady, output, options=options())
    assert (Kind.CHANGED, "times") in by_kind(summary.findings)
    with VideoReader(output) as reader:
        assert [frame.time for frame in reader.frames()] == [Fraction(n, 24) for n in range(24)]
    with pytest.raises(TimestampError, match="vary"):
        upscale(varying, tmp_path / "varying.mxf", options=options())
    forced = options(input=InputOptions(force=True))
    summary = upscale(varying, tmp_path / "varying.mxf", options=forced)
    assert losses_of(summary.findings) == ["frame times"]


def test_sound_that_does_not_begin_with_the_video_is_an_error(tmp_path: Path) -> None:
    source = tmp_path / "in.mov"
    make_clip(source, seconds=1, first_pts=6, sound=True, sound_codec="pcm_s16le", **SMALL)
    with pytest.raises(EncodeError, match="from the video"):
        upscale(source, tmp_path / "out.mxf", options=options())


def test_a_run_is_resumed(tmp_path: Path) -> None:
    """The same bytes as of a run that was never stopped."""
    source, whole, parts = (tmp_path / name for name in ("in.mp4", "whole.mxf", "parts.mxf"))
    make_clip(source, seconds=1, **SMALL)
    given = options(resume=True)
    upscale(source, whole, options=given)

    def stop(progress: Progress) -> None:
        if progress.frames == 20:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ciaovideo.storage.segments.SEGMENT", 8)
        with pytest.raises(KeyboardInterrupt):
            upscale(source, parts, options=given, on_progress=stop)
        summary = upscale(source, parts, options=given)
    assert (Kind.CHOSEN, "finished frames") in by_kind(summary.findings)
    assert whole.read_bytes() == parts.read_bytes()

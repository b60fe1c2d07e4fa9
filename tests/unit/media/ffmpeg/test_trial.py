"""What a system ffmpeg holds of the streams that go along, known before the run."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import pytest

from ciaovideo.errors import EncodeError
from ciaovideo.findings import Kind
from ciaovideo.media.ffmpeg.program import ExternalEncoder, find_encoder
from ciaovideo.media.ffmpeg.trial import held_by
from ciaovideo.media.read.probe import probe
from ciaovideo.media.streams.plan import plan_streams
from ciaovideo.pipeline.session import upscale
from tests.media import make_clip
from tests.needs import needs_ffmpeg
from tests.places import container_of

SMALL = {"width": 64, "height": 48, "seconds": 0.5}


def old(folder: Path) -> ExternalEncoder:
    """The ffmpeg of this system, or one that refuses PCM in mp4 as FFmpeg 5.1 does."""
    program = folder / "old" / "ffmpeg"
    program.parent.mkdir()
    real = shutil.which("ffmpeg")
    refuse = 'case "$*" in *"copy"*"-f mp4"*) exit 1;; esac'
    program.write_text(f'#!/bin/sh\n{refuse}\nexec {real} "$@"\n')
    program.chmod(0o755)
    return ExternalEncoder(program=str(program), version=(57, 28), options=())


@needs_ffmpeg
def test_sound_that_this_ffmpeg_does_not_hold_is_known_before(tmp_path: Path) -> None:
    source = tmp_path / "in.mov"
    make_clip(source, sound=True, sound_codec="pcm_s16le", **SMALL)
    facts, encoder = probe(source), old(tmp_path)
    plan = plan_streams(facts, container_of(".mp4"))
    with pytest.raises(EncodeError, match=r"audio 1: pcm_s16le .*audio auto"):
        held_by(encoder, plan, "copy")
    made = held_by(encoder, plan, "auto")
    assert [info.becomes for info in made.kept] == ["alac"]
    assert [f.kind for f in made.findings if f.subject == "audio 1"] == [Kind.CHANGED]
    whole = plan_streams(facts, container_of(".mkv"))
    assert held_by(encoder, whole, "copy") == whole


@needs_ffmpeg
def test_a_stream_that_is_no_sound_is_left_out_with_a_finding(tmp_path: Path) -> None:
    source = tmp_path / "in.mkv"
    make_clip(source, subtitle="Hello", **SMALL)
    plan = plan_streams(probe(source), container_of(".mkv"))
    refusing = replace(find_encoder("-c:v ffv1"), program="false")
    made = held_by(refusing, plan, "auto")
    assert made.kept == ()
    assert [f.kind for f in made.findings if f.subject == "subtitle 1"] == [Kind.LOST]


@needs_ffmpeg
@pytest.mark.parametrize(
    ("codec", "suffix"), [("pcm_s24le", ".mp4"), ("libopus", ".mp4"), ("libopus", ".mkv")]
)
@pytest.mark.heavy
def test_the_run_ends_as_the_plan_says(tmp_path: Path, codec: str, suffix: str) -> None:
    """Of Opus, whose last packet is shorter, FFmpeg 5.1 leaves that out in mp4.

    In Matroska it lets all of it begin too early.
    """
    source = tmp_path / f"in.{'mov' if codec != 'libopus' else 'mp4'}"
    output = tmp_path / f"out{suffix}"
    make_clip(source, sound=True, sound_codec=codec, **SMALL)
    given: dict[str, Any] = {"model": "bicubic", "scale": 1, "audio": "auto"}
    summary = upscale(source, output, via_ffmpeg="-c:v libx264 -preset ultrafast", **given)
    assert not summary.verification.wrong
    with av.open(source) as one, av.open(output) as other:
        lengths = [sum(f.samples for f in c.decode(audio=0)) for c in (one, other)]
    assert abs(lengths[0] - lengths[1]) < 1024


@needs_ffmpeg
def test_a_copied_video_keeps_what_comes_before_its_first_key_frame(tmp_path: Path) -> None:
    """A part begins anywhere, and ffmpeg leaves these packets out if nobody tells it not to."""
    source, output = tmp_path / "in.mkv", tmp_path / "out.mkv"
    with av.open(source, "w") as made:
        for _ in range(2):
            video: Any = made.add_stream("mpeg4", rate=25, options={"g": "100"})
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for number in range(20):
            for track in made.streams.video:
                frame = av.VideoFrame(64, 48, "yuv420p")
                frame.pts = number
                made.mux(track.encode(frame))
        for track in made.streams.video:
            made.mux(track.encode(None))
    part: dict[str, Any] = {"start": "0.2", "end": "0.6", "model": "bicubic", "scale": 1}
    upscale(source, output, via_ffmpeg="-c:v libx264 -preset ultrafast", **part)
    with av.open(output) as found:
        assert sum(packet.size > 0 for packet in found.demux(video=1)) == 10

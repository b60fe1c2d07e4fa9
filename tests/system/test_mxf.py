"""MXF, the container that was added as one row: what it holds comes back, the rest is a finding."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from ciaovideo import ColorSpec, Progress, UpscaleOptions, upscale
from ciaovideo.cli.main import run
from ciaovideo.color import Matrix, Primaries, Range, Siting, Transfer
from ciaovideo.errors import LossError, TimestampError
from ciaovideo.findings import Kind
from ciaovideo.media.read.reader import VideoReader
from ciaovideo.options import (
    EncodeOptions,
    InputOptions,
    ModelOptions,
    SizeOptions,
    StreamOptions,
)
from ciaovideo.pipeline.verification.verify import contract_between, verify_contract
from tests.found import by_kind, losses_of
from tests.media import make_clip

SMALL = {"width": 192, "height": 108}
BT709 = {"color": (1, 1, 1, 1, 1)}
STRICT = StreamOptions(strict=True)


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
        assert verify_contract(other, contract_between(one, other)).wrong == ()
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


def tones(path: Path, *spans: tuple[float, float]) -> None:
    """A second of video from 2 s on, and a sound of ones in these spans, counted from there."""
    with av.open(path, "w") as made:
        video: Any = made.add_stream("ffv1", rate=25)
        video.width, video.height, video.pix_fmt = 192, 108, "yuv420p"
        sound: Any = made.add_stream("pcm_s16le", rate=48000)
        sound.layout = "mono"
        for number in range(25):
            frame = av.VideoFrame(192, 108, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([128]) * plane.buffer_size)
            frame.pts, frame.time_base = 50 + number, Fraction(1, 25)
            made.mux(video.encode(frame))
        made.mux(video.encode(None))
        for begin, end in spans:
            for at in range(round((2 + begin) * 48000), round((2 + end) * 48000), 480):
                tone = av.AudioFrame.from_ndarray(np.ones((1, 480), np.int16), "s16", "mono")
                tone.sample_rate, tone.pts, tone.time_base = 48000, at, Fraction(1, 48000)
                made.mux(sound.encode(tone))


@pytest.mark.parametrize(
    ("spans", "kind", "says", "heard"),
    [
        ([(0, 1)], None, "", [(0, 1)]),
        ([(0, 0.5)], Kind.CHANGED, "0.500 s", [(0, 0.5)]),
        ([(0.25, 1)], Kind.CHANGED, "0.250 s", [(0.25, 1)]),
        ([(-0.25, 1)], Kind.LOST, "0.250 s before the first frame", [(0, 1)]),
        ([(0, 2)], Kind.LOST, "1.000 s after the last frame", [(0, 1)]),
        (
            [(0, 0.25), (0.5, 1)],
            Kind.CHANGED,
            "first 0.250 s at 0.250 s",
            [(0, 0.25), (0.5, 1)],
        ),
    ],
)
def test_sound_lasts_as_long_as_the_video(
    tmp_path: Path,
    spans: list[tuple[float, float]],
    kind: Kind | None,
    says: str,
    heard: list[tuple[float, float]],
) -> None:
    """Sample by sample; FFmpeg's muxer drops all frames after the end of the sound."""
    source, output = tmp_path / "in.mkv", tmp_path / "out.mxf"
    tones(source, *spans)
    summary = upscale(source, output, options=options(size=SizeOptions(scale=1)))
    told = [found for found in summary.findings if found.subject == "audio 1"]
    assert [found.kind for found in told] == [kind] * bool(kind)
    assert says in "".join(map(str, told))
    with av.open(output) as container:
        samples = b"".join(bytes(packet) for packet in container.demux(audio=0))
        assert container.streams.video[0].duration == 25
    wanted = np.zeros(48000, np.int16)
    for begin, end in heard:
        wanted[round(48000 * begin) : round(48000 * end)] = 1
    assert np.array_equal(np.frombuffer(samples, np.int16), wanted)
    if kind is Kind.LOST:
        with pytest.raises(LossError, match=r"last frame|first frame"):
            upscale(source, tmp_path / "strict.mxf", options=options(streams=STRICT))


def test_a_part_without_any_sound_is_silent(tmp_path: Path) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / "out.mxf"
    tones(source, (0, 0.25))
    given = options(input=InputOptions(start=Fraction(1, 2)))
    summary = upscale(source, output, options=given)
    assert "it is silent" in "".join(map(str, summary.findings))
    with av.open(output) as container:
        samples = b"".join(bytes(packet) for packet in container.demux(audio=0))
    assert len(samples) > 2 * 23000
    assert not any(samples)


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
        patch.setattr("ciaovideo.storage.ledger.LENGTH", 8)
        with pytest.raises(KeyboardInterrupt):
            upscale(source, parts, options=given, on_progress=stop)
        summary = upscale(source, parts, options=given)
    assert (Kind.CHOSEN, "finished frames") in by_kind(summary.findings)
    assert whole.read_bytes() == parts.read_bytes()


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "given"),
    [
        ("mpeg2video", "yuv422p", {"bf": "2", "b": "8M"}),
        ("dnxhd", "yuv422p", {"profile": "dnxhr_hq"}),
        ("jpeg2000", "yuv420p", {}),
    ],
)
def test_what_others_write_is_read(
    tmp_path: Path, codec: str, pix_fmt: str, given: dict[str, str]
) -> None:
    source, output = tmp_path / "in.mxf", tmp_path / "out.mkv"
    sound = {"sound": True, "sound_codec": "pcm_s16le"}
    clip = {"width": 256, "height": 144, "fps": Fraction(25), "seconds": 1, **BT709}
    make_clip(source, codec=codec, pix_fmt=pix_fmt, options=given, **clip, **sound)
    summary = upscale(source, output, options=options())
    assert summary.frames == 25
    assert Kind.LOST not in {finding.kind for finding in summary.findings}
    with VideoReader(output) as reader:
        assert [frame.time for frame in reader.frames()] == [Fraction(n, 25) for n in range(25)]

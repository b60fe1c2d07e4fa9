"""Clocks that begin again or jump, sizes and sound that change: known before the work starts.

Where a hint is a command, it is run.
"""

import re
import shlex
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from ciaovideo.cli.main import run
from ciaovideo.errors import EncodeError, TimestampError
from ciaovideo.findings import Finding, Kind
from ciaovideo.media.containers import CONTAINERS
from ciaovideo.media.formats import ebml, places
from ciaovideo.media.formats.elementary import look_inside
from ciaovideo.media.formats.tape import rate_change
from ciaovideo.media.inspect.jumps import WRAP, ClockWatch
from ciaovideo.media.inspect.late import LateStreams
from ciaovideo.media.read.head import TrialPacket
from ciaovideo.media.read.probe import probe
from ciaovideo.media.streams.trial import takes
from ciaovideo.options import ModelOptions, UpscaleOptions
from ciaovideo.pipeline.keywords import with_fields
from ciaovideo.pipeline.session import Summary, UpscaleRun, upscale
from tests.commands import PLAIN
from tests.late_sound import write_late_sound
from tests.media import make_clip, make_offset_clip

BICUBIC = UpscaleOptions(model=ModelOptions(model="bicubic"))
SMALL = {"width": 64, "height": 48, "seconds": 0.25}
DV_FRAME, DV_SOURCE_PACK = 144_000, 80 * 54 + 3  # of 50 Hz; where IEC 61834-2 has the audio source


def enlarge(source: Path, output: Path, **options: Any) -> Summary:
    given = {"model": "bicubic", "scale": 1, "preset": "ultrafast", **options}
    return upscale(source, output, **given)


def joined(path: Path, *offsets: float, **options: Any) -> Path:
    """Recordings of a second, one after another in a file, which begin at these times."""
    data = b""
    for number, offset in enumerate(offsets):
        part = path.with_name(f"{number}.ts")
        clock = {"output_ts_offset": str(offset)}
        write_late_sound(part, "mpegts", begin=0, seconds=1, options=clock, **options)
        data += part.read_bytes()
    path.write_bytes(data)
    return path


def heard_until(path: Path) -> float:
    """Seconds from the first frame to the end of the sound."""
    with av.open(path) as container:
        packets: list[Any] = [packet for packet in container.demux() if packet.size]
        shown = [p.pts * p.time_base for p in packets if p.stream.type == "video"]
        heard = [(p.pts + p.duration) * p.time_base for p in packets if p.stream.type == "audio"]
    return float(max(heard) - min(shown))


def command_in(hint: str, folder: Path) -> Path:
    """The ffmpeg command of a hint, run in a folder; what it made."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("needs ffmpeg")
    found = re.search(r"ffmpeg .*?\.mkv(?=$|[,;) ])(?!.* -map)|ffmpeg .* \S+-fixed\.mkv", hint)
    assert found is not None, hint
    words = shlex.split(found[0])
    done = subprocess.run([*words, "-v", "error"], cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / words[-1]


def test_times_that_begin_again_are_refused_with_two_ways_on(tmp_path: Path) -> None:
    source = joined(tmp_path / "in.ts", 0, 0)
    with pytest.raises(TimestampError, match=r"in\.ts") as caught:
        enlarge(source, tmp_path / "out.mkv")
    hint = str(caught.value.hint)
    found = re.search(r"the first (\d+) frames", hint)
    assert found is not None
    assert enlarge(source, tmp_path / "first.mkv", frames=int(found[1])).frames == int(found[1])
    with pytest.raises(TimestampError, match=r"in\.ts"):
        UpscaleRun(source, tmp_path / "more.mkv", with_fields(BICUBIC, {"frames": 40}))
    fixed = command_in(hint, tmp_path)
    assert enlarge(fixed, tmp_path / "whole.mkv", strict=False).frames in (49, 50)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mxf"])
def test_a_part_of_the_first_of_two_recordings(tmp_path: Path, suffix: str) -> None:
    """The second one's pictures and sound have times that lie in the part, too."""
    source = joined(tmp_path / "in.ts", 0, 0, longer=True)
    output = tmp_path / f"out{suffix}"
    given: dict[str, Any] = {"overwrite": True, "audio": "auto", "preset": None}
    for end, frames in (("1", 25), ("0.99", 25), ("0.5", 13)):
        summary = enlarge(source, output, end=end, **given)
        assert summary.frames == frames
        assert Kind.DAMAGED not in {found.kind for found in summary.findings}
        assert abs(heard_until(output) - frames / 25) < 1 / 25
    assert enlarge(source, output, end="1", resume=True, **given).frames == 25
    with pytest.raises(TimestampError, match=r"\b1 s\b"):
        UpscaleRun(source, output, with_fields(BICUBIC, {"end": "1.2", **given}))


def test_each_field_of_the_first_of_two_recordings(tmp_path: Path) -> None:
    data = b"".join(noted(tmp_path / f"{n}.ts", 0, count=25).read_bytes() for n in range(2))
    (source := tmp_path / "in.ts").write_bytes(data)
    summary = enlarge(source, tmp_path / "out.mkv", end="1", deinterlace="field")
    assert summary.frames == 50


def noted(path: Path, *offsets: float, count: int = 160) -> Path:
    """A video of as many pictures from each of these times on, with a key frame every twelve."""
    return make_offset_clip(
        path, "libx264", *offsets, count=count, coding={"preset": "ultrafast", "g": "12"}
    )


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov", ".flv"])
def test_a_hole_far_from_the_beginning_is_known_before(tmp_path: Path, suffix: str) -> None:
    """Further than the packets go that are read: an index tells, or the lengths of tags."""
    source = noted(tmp_path / f"in{suffix}", 0, 5000)
    with UpscaleRun(source, tmp_path / "out.mkv", BICUBIC) as run:
        (found,) = [f for f in run.plan.findings if f.subject == "times"]
    assert found.kind is Kind.DAMAGED
    assert (found.at, round(float(found.at or 0), 2)) == (found.at, 6.36)
    assert all(word in found.text for word in ("4994 s", "6.360 s"))
    fixed = command_in(found.text, tmp_path)
    assert not [f for f in probe(noted(source, 0)).findings if f.subject == "times"]
    assert fixed.exists()


def test_matroska_whose_times_begin_again_is_refused_with_two_ways_on(tmp_path: Path) -> None:
    """Its clusters tell it, where it has no index."""
    one, two = (noted(tmp_path / name, 0) for name in ("1.mkv", "2.mkv"))
    cluster, cues = b"\x1f\x43\xb6\x75", b"\x1c\x53\xbb\x6b"
    first, second = one.read_bytes(), two.read_bytes()
    source = tmp_path / "in.mkv"
    source.write_bytes(
        first[: first.rindex(cues)] + second[second.index(cluster) : second.rindex(cues)]
    )
    with pytest.raises(TimestampError, match=r"6\.400 s") as caught:
        UpscaleRun(source, tmp_path / "out.mkv", BICUBIC)
    assert "the first 160 frames" in str(caught.value.hint)
    assert enlarge(source, tmp_path / "first.mkv", frames=160).frames == 160
    assert enlarge(source, tmp_path / "part.mkv", end="6.4").frames == 160
    fixed = command_in(str(caught.value.hint), tmp_path)
    assert enlarge(fixed, tmp_path / "whole.mkv").frames >= 319


@pytest.mark.parametrize("size", [0x83, 0xFF])
def test_the_clock_along_an_index(tmp_path: Path, size: int) -> None:
    """Cues in the order of the file; without any, clusters, also such as state no size."""

    def element(ident: int, body: bytes) -> bytes:
        return ident.to_bytes((ident.bit_length() + 7) // 8) + bytes([0x80 | len(body)]) + body

    def cue(time: int, at: int) -> bytes:
        place = element(ebml.CUE_PLACES, element(ebml.CUE_PLACE, bytes([at])))
        return element(ebml.CUE, element(ebml.CUE_TIME, bytes([time])) + place)

    info = element(ebml.INFO, element(ebml.TIMESTAMP_SCALE, (2_000_000).to_bytes(3)))
    head = element(ebml.EBML, b"") + element(ebml.SEGMENT, b"")[:4] + b"\xff" + info
    path = tmp_path / "in.mkv"
    path.write_bytes(head + element(ebml.CUES, cue(9, 2) + cue(5, 1)))
    assert ebml.clock_along(path) == [(1, 0.01), (2, 0.018)]
    heads = [element(ebml.CLUSTER_TIME, bytes([ticks])) for ticks in (7, 3)]
    path.write_bytes(head + b"".join(ebml.CLUSTER.to_bytes(4) + bytes([size]) + h for h in heads))
    assert [time for _, time in ebml.clock_along(path)] == [0.014, 0.006]
    path.write_bytes(bytes(99))
    assert ebml.clock_along(path) == []


def test_a_hole_that_a_container_does_not_hold_is_refused(tmp_path: Path) -> None:
    source = joined(tmp_path / "in.ts", 0, 36000)
    for suffix in (".mp4", ".mov"):
        with pytest.raises(EncodeError, match=r"\b3\d+ s") as caught:
            enlarge(source, tmp_path / f"out{suffix}")
    fixed = command_in(str(caught.value.hint), tmp_path)
    assert enlarge(fixed, tmp_path / "fixed.mp4").frames == 50
    summary = enlarge(source, tmp_path / "out.mkv")
    assert (Kind.DAMAGED, "times") in {(f.kind, f.subject) for f in summary.findings}


def test_a_hole_that_comes_later_ends_the_run_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a file with a header, of which nobody reads the whole before a run."""
    source = joined(tmp_path / "in.ts", 0, 36000)
    monkeypatch.setattr("ciaovideo.media.inspect.jumps.Jumps.refuse", lambda *_: None)
    with pytest.raises(EncodeError, match=r"\b3\d+ s") as caught:
        enlarge(source, tmp_path / "out.mp4")
    assert caught.value.hint == "end the output's name in .mkv"


@pytest.mark.parametrize(
    ("values", "again", "hole"),
    [
        ([(0, 0.0), (1000, 1.0), (2000, 2.0)], None, None),
        ([(0, 0.0), (1000, 2.0), (2000, 0.0)], 2, None),
        ([(0, 0.0), (1000, 1.0), (2000, 3601.0)], None, 1),
        ([(0, WRAP - 1), (1000, WRAP - 0.5), (2000, 0.5)], None, None),
        ([(0, 0.0), (1000, 100.0), (100_000, 10_000.0)], None, None),  # places far apart
    ],
)
def test_jumps_of_a_clock(
    values: list[tuple[int, float]], again: float | None, hole: float | None
) -> None:
    clock = ClockWatch()
    for at, time in values:
        clock.take([time], at)
    for found, after in ((clock.again, again), (clock.hole, hole)):
        assert (found is None) == (after is None)
        assert found is None or found.after == pytest.approx(after)


@pytest.mark.parametrize("name", ["mpegts", "mpeg"])
def test_a_large_file_is_looked_at_in_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for name_of, value in (("WHOLE", 4000), ("HEAD", 8192), ("TAIL", 8192), ("PLACE", 4096)):
        monkeypatch.setattr(places, name_of, value)
    write_late_sound(source := tmp_path / "in", name, begin=2, seconds=4)
    inside, whole = (look_inside(source, name, whole=one) for one in (False, True))
    assert inside is not None
    assert whole is not None
    assert not inside.whole
    assert inside.first.keys() == whole.first.keys()
    assert inside.clock.again is inside.clock.hole is None


def test_a_stream_between_the_places_ends_the_run_at_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # FFmpeg looks at 5 MB at the beginning, and for the duration at some at the end.
    source = tmp_path / "in.vob"
    write_late_sound(source, "mpeg", begin=23, until=24, seconds=32)
    size = source.stat().st_size
    ends = [(0, size // 100), (size - 400, size)]
    monkeypatch.setattr("ciaovideo.media.formats.elementary.spans_of", lambda _: ends)
    assert probe(source).partly
    with pytest.raises(EncodeError, match=r"\(number 0x1c0\) begins \d+ bytes") as caught:
        enlarge(source, tmp_path / "out.mkv")
    assert not (tmp_path / "out.mkv").exists()
    assert enlarge(source, tmp_path / "out.mkv", end=2).frames == 50
    fixed = command_in(str(caught.value.hint), tmp_path)
    summary = enlarge(fixed, tmp_path / "fixed.mkv")
    assert [info.codec for info in summary.kept] == ["mp2"]


def test_a_file_that_is_gone_holds_no_late_streams(tmp_path: Path) -> None:
    LateStreams(tmp_path / "gone", "mpegts", frozenset()).require_none(wait=True)


def test_both_parts_of_a_video_that_changes_its_size(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = tmp_path / "one.h264", tmp_path / "two.h264"
    for path, width in ((one, 64), (two, 96)):
        make_clip(clip := path.with_suffix(".mp4"), **SMALL | {"width": width})
        with av.open(clip) as given, av.open(path, "w") as made:
            av_stream = made.add_stream_from_template(given.streams.video[0])
            for packet in given.demux(video=0):
                if packet.size:
                    packet.stream = av_stream
                    made.mux(packet)
    source = tmp_path / "in.ts"
    data = b""
    for number, path in enumerate((one, two)):
        clock = {"output_ts_offset": str(number)}
        part = tmp_path / f"{number}.ts"
        with (
            av.open(path.with_suffix(".mp4")) as given,
            av.open(part, "w", options=clock) as made,
        ):
            av_stream = made.add_stream_from_template(given.streams.video[0])
            for packet in given.demux(video=0):
                if packet.size:
                    packet.stream = av_stream
                    made.mux(packet)
        data += part.read_bytes()
    source.write_bytes(data)
    assert run([str(source), str(tmp_path / "out.mkv"), *PLAIN, "-q"]) == 3
    said = capsys.readouterr().err
    told = re.search(r" at ([0-9.]+) s: .* from 64x48", said)
    assert told is not None, said
    assert enlarge(source, tmp_path / "one.mkv", end=told[1]).out_size == (48, 64)
    after = f"{float(told[1]) + 1e-6:.6f}"
    for options in ({}, {"resume": True}, {"deinterlace": "field"}):
        summary = enlarge(source, tmp_path / "two.mkv", start=after, overwrite=True, **options)
        assert summary.out_size == (48, 96)
    words = ["verify", str(tmp_path / "two.mkv"), "--against", str(source), "--start", after]
    assert run([*words, "--every-field"]) == 0


def dv(path: Path, rates: list[int]) -> Path:
    """A tape of one picture whose frames state these sampling frequencies."""
    with av.open(path, "w", format="dv") as made:
        video: Any = made.add_stream("dvvideo", rate=25)
        video.width, video.height, video.pix_fmt = 720, 576, "yuv420p"
        sound: Any = made.add_stream("pcm_s16le", rate=48000)
        sound.layout = "stereo"
        for number in range(len(rates)):
            frame = av.VideoFrame(720, 576, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([128]) * plane.buffer_size)
            frame.pts = number
            made.mux(video.encode(frame))
            silent = av.AudioFrame("s16", "stereo", 1920)
            silent.planes[0].update(bytes(silent.planes[0].buffer_size))
            silent.sample_rate, silent.pts = 48000, 1920 * number
            silent.time_base = Fraction(1, 48000)
            made.mux(sound.encode(silent))
    data = bytearray(path.read_bytes())
    assert len(data) == DV_FRAME * len(rates)
    for number, rate in enumerate(rates):
        code = {48000: 0, 44100: 1, 32000: 2}[rate]
        at = number * DV_FRAME + DV_SOURCE_PACK + 4
        data[at] = data[at] & ~(7 << 3) | code << 3
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("rates", "frame"),
    [([48000] * 4, None), ([48000] * 3 + [32000] * 2, 3), ([32000, 48000], 1)],
)
def test_a_tape_whose_sound_changes_is_known_before(
    tmp_path: Path, rates: list[int], frame: int | None
) -> None:
    source = dv(tmp_path / "in.dv", rates)
    found = rate_change(source)
    assert (found and found.frame) == frame
    if found is None:
        source.write_bytes(b"")
        assert rate_change(source) is None
        return
    assert found.byte == found.frame * DV_FRAME
    with pytest.raises(EncodeError, match=r"in\.dv"):
        upscale(source, tmp_path / "out.mkv", model="bicubic", scale=1)


def about(summary: Summary, subject: str) -> list[Finding]:
    return [found for found in summary.findings if found.subject == subject]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_stream_without_packets_in_a_part_is_told(tmp_path: Path, suffix: str) -> None:
    source = tmp_path / "in.mkv"
    make_clip(source, **SMALL | {"seconds": 1.5}, subtitle="gone after a second")
    summary = enlarge(source, tmp_path / f"out{suffix}", start="1.2")
    kinds = [found.kind for found in about(summary, "subtitle 1")]
    assert Kind.CHANGED in kinds


def test_overlapping_sound_is_heard_once(tmp_path: Path) -> None:
    """Of two recordings, whose sound is longer than their pictures, in another coding."""
    source = joined(tmp_path / "in.ts", 0, 1.04, longer=True)
    summary = enlarge(source, tmp_path / "out.webm", audio="auto", preset="12")
    assert not summary.verification.wrong
    assert Kind.LOST in {f.kind for f in about(summary, "audio 1")}


def test_a_muxer_is_tried_with_the_first_packets(tmp_path: Path) -> None:
    """Matroska stores WavPack without its blocks' heads, so that it looks into each packet."""
    make_clip(source := tmp_path / "in.mkv", sound=True, sound_codec="wavpack", **SMALL)
    facts = probe(source)
    (index,) = facts.packets.samples
    container = CONTAINERS["matroska"]
    broken = TrialPacket(b"no block" * 25, 1, True)
    with av.open(source) as given:
        sound = given.streams[index]
        assert takes(container, sound, {}, samples=facts.packets.samples[index])
        assert not takes(container, sound, {}, samples=(broken,))

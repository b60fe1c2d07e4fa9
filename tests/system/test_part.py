"""A part of a file, by time: as a user asks for it, checked against the whole."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from ciaovideo.cli.main import run
from ciaovideo.errors import OptionError
from tests.commands import error_of
from tests.fields import read_field_counter
from tests.media import ASS_HEADER, make_clip
from tests.needs import needs_ffmpeg
from tests.outputs import counters, field_counters, left_behind, packets, seconds, ticks, times

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL: dict[str, Any] = {"width": 64, "height": 48}
KEYS = {"crf": "12", "preset": "ultrafast", "g": "8", "bf": "2"}
SAMPLE = Fraction(1, 48000)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of 25 frames, sound, three chapters, a subtitle in the first second."""
    path = tmp_path_factory.mktemp("clip") / "in.mp4"
    make_clip(
        path,
        **SMALL,
        seconds=4,
        fps=Fraction(25),
        options=KEYS,
        counter=True,
        sound=True,
        subtitle="A word.",
        chapters=3,
    )
    return path


def cut(source: Path, output: Path, *words: str) -> int:
    return run([str(source), str(output), "--scale", "1", "--model", "bicubic", "-q", *words])


def chapters(path: Path) -> list[tuple[float, float, str]]:
    with av.open(path) as container:
        return [
            (
                round(chapter["start"] * float(chapter["time_base"]), 3),
                round(chapter["end"] * float(chapter["time_base"]), 3),
                chapter["metadata"]["title"],
            )
            for chapter in container.chapters()
        ]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_everything_is_cut_alike(clip: Path, tmp_path: Path, suffix: str) -> None:
    output = tmp_path / f"out{suffix}"
    part = ["--start", "0:00.5", "--end", "0:02.41"]
    assert cut(clip, output, *part) == 0
    assert counters(output) == list(range(13, 61))  # 0.52 s to 2.4 s
    shown, sound = times(output), packets(output, "audio")
    assert [time - shown[0] for time in shown] == [Fraction(n, 25) for n in range(48)]
    # Sound: the packets around the frames, all moved as the frames are, to the nearest tick.
    moved = Fraction(13, 25) - shown[0]
    tick = Fraction(1, 1000) if suffix == ".mkv" else SAMPLE
    given = packets(clip, "audio")
    first = next(n for n, packet in enumerate(given) if packet[1] == sound[0][1])
    assert [data for _, data in sound] == [data for _, data in given[first : first + len(sound)]]
    for (time, _), (before, _) in zip(sound, given[first:], strict=False):
        assert abs(time - (before - moved)) <= tick / 2
    priming = Fraction(1024, 48000)
    assert given[first][0] <= Fraction(13, 25) < given[first + 1][0] + priming
    assert given[first + len(sound) - 1][0] < Fraction(61, 25) <= given[first + len(sound)][0]
    if suffix != ".mkv":
        assert shown[0] == 0
    assert min(time for time, _ in packets(output, "subtitle")) == shown[0]
    begin = float(shown[0])
    found = chapters(output)
    assert [title for *_, title in found] == ["Part 1", "Part 2"]
    ends = [0, round(1.333 - 0.52 + begin, 3), round(1.92 + begin, 3)]
    assert [end for _, end, _ in found] == pytest.approx(ends[1:], abs=0.0021)
    check = ["verify", str(output), "--against", str(clip)]
    assert run([*check, *part]) == 0
    assert run([*check, "--start", "0.56", "--end", "2.41"]) == 3
    assert run([*check, "--start", "0.5", "--end", "2.45"]) == 3
    assert run(check) == 3


@needs_ffmpeg
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_an_ffmpeg_of_the_system_cuts_alike(clip: Path, tmp_path: Path, suffix: str) -> None:
    ours, theirs = (tmp_path / f"{name}{suffix}" for name in ("ours", "theirs"))
    part = ["--start", "0:00.5", "--end", "0:02.41"]
    assert cut(clip, ours, *part) == 0
    assert cut(clip, theirs, *part, "--via-ffmpeg=-c:v libx264 -crf 9") == 0
    assert counters(theirs) == list(range(13, 61))
    assert times(theirs) == times(ours)
    for kind in ("audio", "subtitle"):
        assert packets(theirs, kind) == packets(ours, kind)
    assert chapters(theirs) == chapters(ours)
    assert left_behind(tmp_path, ours.name, theirs.name) == []


@needs_ffmpeg
def test_an_ffmpeg_of_the_system_and_a_part_without_other_streams(tmp_path: Path) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / "out.mkv"
    make_clip(source, **SMALL, seconds=2, fps=Fraction(25), counter=True, chapters=4)
    words = ["--start", "0.6", "--frames", "8", "--via-ffmpeg=-c:v ffv1"]
    assert cut(source, output, *words) == 0
    assert counters(output) == list(range(15, 23))
    assert [title for *_, title in chapters(output)] == ["Part 2"]


def test_a_part_and_a_number_of_frames(clip: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    part = ["--start", "1", "--end", "2", "--frames", "7"]
    assert cut(clip, output, *part) == 0
    assert counters(output) == list(range(25, 32))
    assert packets(output, "audio")[-1][0] - times(output)[0] < Fraction(7, 25)
    assert run(["verify", str(output), "--against", str(clip), *part]) == 0
    assert cut(clip, output, "--end", "0.1", "--overwrite") == 0
    assert counters(output) == [0, 1, 2]
    assert times(output) == [0, Fraction(1, 25), Fraction(2, 25)]


def test_a_cut_file_keeps_attachments(tmp_path: Path) -> None:
    plain, source, output = tmp_path / "plain.mkv", tmp_path / "in.mkv", tmp_path / "out.mkv"
    make_clip(plain, seconds=1, **SMALL)
    with av.open(plain) as before, av.open(source, "w") as after:
        video = after.add_stream_from_template(before.streams.video[0], opaque=True)
        after.add_attachment("street.ttf", "font/ttf", bytes(range(99)))
        for packet in before.demux(video=0):
            if packet.pts is not None:
                packet.stream = video
                after.mux(packet)
    assert cut(source, output, "--start", "0.5") == 0
    with av.open(output) as container:
        assert container.streams.attachments[0].data == bytes(range(99))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_subtitles_that_say_nothing_in_the_part(tmp_path: Path, suffix: str) -> None:
    """Three tracks: one is over before the part, one begins in it, one is shown when it begins."""
    plain, source, output = (tmp_path / n for n in ("plain.mkv", "in.mkv", f"out{suffix}"))
    make_clip(plain, seconds=4, options=KEYS, **SMALL)
    with av.open(plain) as before, av.open(source, "w") as after:
        video = after.add_stream_from_template(before.streams.video[0], opaque=True)
        tracks = [after.add_stream("srt") for _ in range(3)]
        for track in tracks:
            track.codec_context.subtitle_header = ASS_HEADER
        after.start_encoding()
        lines = ((0, 900), (2500, 600), (1500, 1500))
        for number, (track, (start, lasts)) in enumerate(zip(tracks, lines, strict=True)):
            text = f"0,0,Default,,0,0,0,,line {number}".encode()
            shown = av.subtitles.subtitle.SubtitleSet.create(text, 0, lasts)
            packet = track.codec_context.encode_subtitle(shown)
            packet.stream, packet.time_base = track, Fraction(1, 1000)
            packet.pts = packet.dts = start
            packet.duration = lasts
            after.mux(packet)
        for packet in before.demux(video=0):
            if packet.pts is not None:
                packet.stream = video
                after.mux(packet)
    assert cut(source, output, "--start", "2", "--end", "3") == 0
    with av.open(output) as container:
        found = {
            bytes(packet)[-6:]: (
                ticks(packet.pts) * seconds(packet.time_base),
                ticks(packet.duration) * seconds(packet.time_base),
            )
            for packet in container.demux()
            if packet.stream.type == "subtitle" and packet.size > 2
        }
    assert found == {b"line 1": (Fraction(1, 2), Fraction(1, 2)), b"line 2": (0, 1)}


def test_sound_that_is_coded_anew(tmp_path: Path) -> None:
    """The packets that WavPack makes last half a second, longer than a part may be."""
    source, output = tmp_path / "in.mkv", tmp_path / "out.mp4"
    make_clip(source, seconds=2, sound=True, sound_codec="wavpack", **SMALL)
    part = ["--start", "1.2", "--end", "1.3"]
    assert cut(source, output, *part, "--audio", "auto") == 0
    assert run(["verify", str(output), "--against", str(source), *part]) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("mkv/bbb_960x540_60fps_vp8.webm", ".mp4"),  # Vorbis
        ("mp4/sample_with_color_info.mp4", ".mov"),  # timed metadata
        ("ts/sd-hls0000000000.ts", ".mp4"),
        ("webm/roadtrip-vp92-10bit.webm", ".mp4"),
    ],
)
def test_parts_of_real_files(tmp_path: Path, shared: Path, name: str, suffix: str) -> None:
    source, output = shared / "data" / "media" / name, tmp_path / f"out{suffix}"
    part = ["--start", "0.13", "--end", "0.3"]
    assert cut(source, output, *part, "--preset", "ultrafast") == 0
    shown = times(source)
    inside = [t for t in shown if Fraction(13, 100) <= t - shown[0] < Fraction(3, 10)]
    slack = Fraction(1, 1000) if suffix == ".mkv" else 0
    begin = times(output)[0]
    assert len(inside) == len(times(output))
    for should, is_at in zip(inside, times(output), strict=True):
        assert abs((should - inside[0]) - (is_at - begin)) <= slack
    assert run(["verify", str(output), "--against", str(source), *part]) == 0


def test_a_part_of_interlaced_video(tmp_path: Path) -> None:
    source, whole, part = (tmp_path / f"{name}.mp4" for name in ("in", "whole", "part"))
    settings = {"width": 96, "height": 72, "seconds": 2, "fps": Fraction(25), "options": KEYS}
    make_clip(source, interlaced=True, counter=True, **settings)
    assert cut(source, whole, "--deinterlace", "field") == 0
    words = ["--start", "1.02", "--end", "1.1", "--deinterlace", "field"]
    assert cut(source, part, *words) == 0
    assert field_counters(part) == [51, 52, 53, 54]
    assert times(part) == [Fraction(n, 50) for n in range(4)]
    with av.open(whole) as one, av.open(part) as other:
        pictures = list(one.decode(video=0))[51:55]
        for wanted, found in zip(pictures, other.decode(video=0), strict=True):
            numbers = {read_field_counter(f.to_ndarray(format="gray")) for f in (wanted, found)}
            assert len(numbers) == 1
    check = ["verify", str(part), "--against", str(source), "--every-field"]
    assert run([*check, "--start", "1.02", "--end", "1.1"]) == 0


def test_a_dry_run_counts_the_part(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(clip), str(tmp_path / "out.mp4"), "--dry-run", "--start", "1", "--end", "1.5"]
    assert run(words) == 0
    assert "13 frames" in capsys.readouterr().out
    assert run([*words, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["frames"], plan["streams"]["offset"]) == (13, "-1")
    part = plan["streams"]["selection"]
    assert (part["start"], part["end"], part["tick"]) == ("1", "38/25", "1/12800")


def test_parts_that_cannot_be(clip: Path, tmp_path: Path) -> None:
    cases = [
        (["--start", "4"], "4 s"),
        (["--start", "1:00:00"], "3600 s"),
        (["--start", "0.001", "--end", "0.039"], "0.001 s and 0.039 s"),
        (["--start", "2", "--end", "2"], "end 2"),
        (["--end", "0"], "end 0"),
        (["--start", "noon"], "'noon'"),
        (["--start", "1:75"], "'1:75'"),
    ]
    for words, named in cases:
        for command in ((clip, tmp_path / "out.mp4"), ("verify", clip, "--against", clip)):
            error = error_of(OptionError, *command, *words)
            assert named in error.problem
            assert "\n" not in str(error)
    assert left_behind(tmp_path) == []


def test_a_raw_stream_is_cut_by_its_nominal_times(tmp_path: Path) -> None:
    source, output = tmp_path / "in.h264", tmp_path / "out.mp4"
    make_clip(source, seconds=2, fps=Fraction(25), counter=True, **SMALL)
    assert cut(source, output, "--start", "0.5", "--end", "1") == 0
    assert counters(output) == list(range(13, 25))
    assert times(output)[0] == 0
    assert cut(source, output, "--start", "2", "--overwrite") == 2

"""What is lost, guessed or changed: listed, refused, or tagged, as the user wishes."""

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from ciaovideo import UpscaleOptions, UpscaleRun, upscale
from ciaovideo.cli.main import run
from ciaovideo.errors import EncodeError, LossError, TimestampError, UnknownNameError
from ciaovideo.findings import Kind
from ciaovideo.media.read.reader import VideoReader
from ciaovideo.pipeline.keywords import with_fields
from tests.commands import error_of, found_in, result_in
from tests.media import make_clip

SMALL = {"width": 64, "height": 48, "seconds": 0.125}
UNTAGGED = (2, 0, 2, 2, 0)


def tags(path: Path) -> tuple[int, int, int, int, int]:
    """Matrix, range, primaries, transfer and siting of the first frame."""
    with av.open(path) as container:
        frame = next(container.decode(video=0))
    return (
        frame.colorspace,
        frame.color_range,
        frame.color_primaries,
        frame.color_trc,
        frame.chroma_location,
    )


def codings(path: Path) -> list[str]:
    with av.open(path) as container:
        return [s.codec_context.codec.canonical_name for s in container.streams]


def test_strict_names_every_guess_and_loss(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / "out.webm"
    make_clip(source, color=UNTAGGED, sound=True, sound_codec="libopus", cover=True, **SMALL)
    error = error_of(LossError, source, output, "--strict")
    assert "strict" in error.problem
    assert not output.exists()
    assert run([str(source), str(output), "--json"]) == 0
    found = found_in(result_in(capsys.readouterr().out))
    assert {("guessed", "color matrix"), ("lost", "video 2")} <= found


def test_strict_lets_pass_what_keeps_everything(tmp_path: Path) -> None:
    source, output = tmp_path / "in.mp4", tmp_path / "out.mp4"
    make_clip(source, sound=True, subtitle="Hello", chapters=2, **SMALL)
    assert run([str(source), str(output), "--strict", "-q"]) == 0


def test_guessed_tags_are_written_if_asked_for(tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    make_clip(source, color=UNTAGGED, **SMALL)
    plain, tagged = tmp_path / "plain.mp4", tmp_path / "tagged.mp4"
    assert run([str(source), str(plain), "-q"]) == 0
    assert tags(plain)[0] == 2
    assert run([str(source), str(tagged), "--tag-guessed", "-q"]) == 0
    assert tags(tagged) == (6, 1, 2, 2, 1)  # primaries and transfer were not guessed


def test_sound_and_text_that_webm_does_not_hold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, output = tmp_path / "in.mp4", tmp_path / "out.webm"
    make_clip(source, sound=True, subtitle="Hello", **SMALL)
    assert "audio" in error_of(EncodeError, source, output).hint
    assert run([str(source), str(output), "--audio", "auto", "--json"]) == 0
    summary = result_in(capsys.readouterr().out)
    assert ("changed", "audio 1") in found_in(summary)
    assert [one["becomes"] for one in summary["kept"] if one["kind"] == "audio"] == ["libopus"]
    assert codings(output) == ["av1", "opus", "webvtt"]


def test_sound_that_decodes_to_nothing_is_none_to_be_missed(tmp_path: Path, shared: Path) -> None:
    # Of its first packet, all that there is of the sound beside one frame, no sample comes.
    source = shared / "data" / "media" / "mp4" / "sample_shorter_audio.mp4"
    output = tmp_path / "out.webm"
    words = ["--scale", "1", "--frames", "1", "--audio", "auto", "--model", "bicubic", "-q"]
    assert run([str(source), str(output), *words, "--preset", "12"]) == 0
    assert codings(output) == ["av1", "opus"]


def test_avi_holds_pictures_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, output = tmp_path / "in.mp4", tmp_path / "out.avi"
    make_clip(source, subtitle="Hello", chapters=2, **SMALL)
    assert run([str(source), str(output), "--json"]) == 0
    lost = {("lost", subject) for subject in ("color primaries", "chapters", "subtitle 1")}
    assert lost <= found_in(result_in(capsys.readouterr().out))
    assert codings(output) == ["utvideo"]
    sounding = tmp_path / "sound.mp4"
    make_clip(sounding, sound=True, **SMALL)
    assert ".avi" in error_of(EncodeError, sounding, output, "--overwrite").problem


def test_avi_counts_frames_from_zero(tmp_path: Path) -> None:
    """Where they begin is a finding; a rotation, a shape or other times are known at the start."""
    pictures = {"codec": "ffv1", "options": {}, **SMALL}
    late, odd, varying = (tmp_path / f"{name}.mkv" for name in "abc")
    turned, wide = (tmp_path / f"{name}.mp4" for name in "de")
    make_clip(late, first_pts=31, fps=Fraction(30000, 1001), **pictures)
    make_clip(varying, pts=(0, 40, 90, 120), time_base=Fraction(1, 1000), **pictures)
    make_clip(turned, rotation=90.0, **SMALL)
    make_clip(wide, sar=Fraction(16, 11), **SMALL)
    make_clip(odd, first_pts=7, fps=Fraction(24000, 1001), **pictures)
    plain: dict[str, Any] = {"model": "bicubic", "scale": 1}
    for source in (late, odd):
        summary = upscale(source, output := tmp_path / f"{source.stem}.avi", **plain)
        assert [f.kind for f in summary.findings if f.subject == "times"] == [Kind.CHANGED]
        with av.open(source) as given, av.open(output) as made:
            rate = given.streams.video[0].average_rate
            assert rate is not None
            assert made.streams.video[0].average_rate == rate
            stamps = [frame.pts for frame in made.decode(video=0)]
            assert stamps == list(range(sum(1 for _ in given.decode(video=0))))
        part = upscale(source, tmp_path / f"{source.stem}.part.avi", start="0.05", **plain)
        assert part.frames == len(stamps) - 2
    for source, error, named in (
        (varying, TimestampError, re.escape(str(varying))),
        (turned, EncodeError, "rotation"),
        (wide, EncodeError, "16/11"),
    ):
        with pytest.raises(error, match=named) as caught:
            UpscaleRun(source, tmp_path / "out.avi", with_fields(UpscaleOptions(), plain))
        assert ".mkv" in str(caught.value.hint)
    forced = upscale(varying, tmp_path / "out.avi", force=True, **plain)
    assert [f.kind for f in forced.findings if f.subject == "frame times"] == [Kind.LOST]


def test_a_matrix_that_is_stored_anyhow_is_the_right_one(tmp_path: Path) -> None:
    source, output = tmp_path / "in.mp4", tmp_path / "out.avi"
    make_clip(source, width=1280, height=32, seconds=0.125, color=UNTAGGED)
    assert run([str(source), str(output), "--scale", "1", "-q"]) == 0
    assert tags(output)[0] == 1


def test_chroma_made_coarser_sits_left_and_says_so(tmp_path: Path) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / "out.mp4"
    color = (1, 1, 1, 1, 0)
    make_clip(source, codec="ffv1", options={}, pix_fmt="yuv444p10le", color=color, **SMALL)
    words = ["--chroma", "420", "--bit-depth", "8", "-q"]
    assert run([str(source), str(output), *words]) == 0
    assert tags(output) == (1, 1, 1, 1, 1)
    with av.open(output) as container:
        assert container.streams.video[0].pix_fmt == "yuv420p"


def test_options_of_the_encoder(tmp_path: Path) -> None:
    source, output = tmp_path / "in.mp4", tmp_path / "out.mkv"
    make_clip(source, **{**SMALL, "seconds": 0.5})
    words = [str(source), str(output), "--codec-option", "g=3", "--codec-option"]
    assert "libx264" in error_of(EncodeError, *words, "tune=films").problem
    assert "'tune'" in error_of(UnknownNameError, *words, "tuen=film").hint
    assert run([*words, "tune=film", "-q"]) == 0
    with av.open(output) as container:
        keys = [packet.is_keyframe for packet in container.demux(video=0) if packet.size]
    assert keys.count(True) == 4


def test_hdr10_comes_along_or_is_said_to_be_lost(tmp_path: Path) -> None:
    source, output = tmp_path / "in.mp4", tmp_path / "out.mp4"
    display = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    params = f"log-level=none:hdr10=1:master-display={display}:max-cll=1000,400"
    make_clip(
        source,
        codec="libx265",
        pix_fmt="yuv420p10le",
        options={"x265-params": params},
        color=(9, 1, 9, 16, 1),
        **SMALL,
    )
    with VideoReader(source) as reader:
        given = reader.info.hdr10
    assert given is not None
    assert run([str(source), str(output), "--strict", "-q"]) == 0
    with VideoReader(output) as reader:
        assert reader.info.hdr10 == given
        assert tags(output) == (9, 1, 9, 16, 1)
    error = error_of(LossError, source, tmp_path / "out.mkv", "--codec", "ffv1", "--strict")
    assert all(word in str(error) for word in ("HDR10", "ffv1"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "codec", "transfer"),
    [("hdr10-av1.mp4", "libsvtav1", 16), ("hlg10-color-test.mp4", "libx265", 18)],
)
def test_real_hdr(tmp_path: Path, shared: Path, name: str, codec: str, transfer: int) -> None:
    source, output = shared / "data" / "media" / "mp4" / name, tmp_path / "out.mp4"
    words = ["--scale", "1", "--frames", "1", "--codec", codec, "-q", "--preset"]
    fast = "12" if codec == "libsvtav1" else "ultrafast"
    assert run([str(source), str(output), *words, fast]) == 0
    assert tags(output)[:4] == (9, 1, 9, transfer) == tags(source)[:4]
    with av.open(output) as container:
        assert container.streams.video[0].pix_fmt == "yuv420p10le"


@pytest.mark.parametrize("kinds", [".mov .mov", ".mov .mp4", ".mp4 .mkv", ".mkv .mp4"])
def test_a_timecode_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str], kinds: str) -> None:
    """In mp4 and mov it is a stream of its own, elsewhere a tag."""
    source, output = (tmp_path / f"clip{n}{kind}" for n, kind in enumerate(kinds.split()))
    make_clip(source, sound=True, tags={"timecode": "01:02:03:04"}, **SMALL)
    assert run([str(source), str(output), "--strict", "--json"]) == 0
    assert result_in(capsys.readouterr().out)["dropped"] == []
    with av.open(output) as container:
        tags = {**container.metadata, **container.streams.video[0].metadata}
    assert {key.lower(): text for key, text in tags.items()}["timecode"] == "01:02:03:04"


def test_of_two_timecodes_the_file_s_own_goes_on(tmp_path: Path) -> None:
    plain, source, output = (tmp_path / name for name in ("plain.mkv", "in.mkv", "out.mp4"))
    make_clip(plain, **SMALL)
    with av.open(plain) as given, av.open(source, "w") as made:
        video = made.add_stream_from_template(given.streams.video[0])
        video.metadata["timecode"] = "01:00:00:00"
        made.metadata["timecode"] = "01:02:03:04"
        for packet in given.demux(video=0):
            if packet.size:
                packet.stream = video
                made.mux(packet)
    assert run([str(source), str(output), "-q"]) == 0
    with av.open(output) as container:
        assert container.streams.video[0].metadata["timecode"] == "01:02:03:04"


def test_a_small_untagged_video_goes_into_avi(tmp_path: Path) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / "out.avi"
    make_clip(source, color=UNTAGGED, codec="ffv1", options={}, fps=Fraction(25), **SMALL)
    assert run([str(source), str(output), "-q"]) == 0
    assert tags(output)[0] == 5  # BT.601, by the name that utvideo's decoder has for it


def test_a_part_keeps_the_timecode_of_the_whole_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, output = tmp_path / "in.mov", tmp_path / "out.mov"
    make_clip(source, tags={"timecode": "01:02:03:04"}, **SMALL)
    words = [str(source), str(output), "--start", "0.05"]
    assert "01:02:03:04" in str(error_of(LossError, *words, "--strict"))
    assert run([*words, "--json"]) == 0
    assert ("lost", "timecode") in found_in(result_in(capsys.readouterr().out))


def test_what_mov_would_leave_out_or_not_describe_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A cover is not in the file that FFmpeg makes; other data has an empty description there."""
    covered, camera = tmp_path / "cover.mp4", tmp_path / "camera.mov"
    make_clip(covered, cover=True, **SMALL)
    make_clip(camera, tags={"timecode": "01:02:03:04"}, **SMALL)
    camera.write_bytes(camera.read_bytes().replace(b"tmcd", b"mebx"))
    for source, lost in ((covered, "video 1"), (camera, "data 1")):
        output = tmp_path / f"{source.stem}-out.mov"
        assert run([str(source), str(output), "--json"]) == 0
        assert ("lost", lost) in found_in(result_in(capsys.readouterr().out))
        with av.open(output) as container:
            assert len(container.streams) == 1

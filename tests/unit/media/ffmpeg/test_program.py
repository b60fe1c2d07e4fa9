"""What is put together for a system ffmpeg, and what of the user's words is refused."""

import os
import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from ciaovideo.color import ColorSpec, Matrix, Primaries, Range, Siting, Transfer
from ciaovideo.errors import EncodeError, OptionError
from ciaovideo.findings import Kind
from ciaovideo.media.codecs.choice import Encoding
from ciaovideo.media.codecs.table import VIA_FFMPEG
from ciaovideo.media.containers import MATROSKA
from ciaovideo.media.ffmpeg.program import ExternalEncoder, command, find_encoder
from ciaovideo.media.ffmpeg.streams import carried, other_streams
from ciaovideo.media.ffmpeg.writer import ExternalWriter, try_out
from ciaovideo.media.read.probe import probe
from ciaovideo.media.streams.plan import plan_streams
from ciaovideo.media.write.writer import VideoTarget
from tests.found import by_kind, losses_of
from tests.media import make_clip
from tests.needs import needs_ffmpeg
from tests.places import container_of
from tests.waiting import wait_until

HDR = ColorSpec(
    Matrix.BT2020_NCL, Range.LIMITED, Primaries.BT2020, Transfer.SMPTE2084, Siting.TOPLEFT
)


def target(pix_fmt: str = "yuv420p10le", **changes: Any) -> VideoTarget:
    plain = VideoTarget(
        height=48,
        width=64,
        encoding=Encoding(VIA_FFMPEG, MATROSKA, pix_fmt, {}),
        color=HDR,
        time_base=Fraction(1, 90000),
        sar=Fraction(4, 3),
    )
    return replace(plain, **changes)


def encoder(version: tuple[int, int] = (61, 0), **changes: Any) -> ExternalEncoder:
    plain = ExternalEncoder(program="ffmpeg", version=version, options=(("c:v", "libx264"),))
    return replace(plain, **changes)


def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Another program in the place of ffmpeg."""
    program = tmp_path / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("-c:v libx264 out.mkv", "'out.mkv' is not an option"),
        ("libx264", "'libx264' is not an option"),
        ("-c:v 'libx264", "No closing quotation"),
        ("-map 0:1", "option -map "),
        ("-i other.mkv", "option -i "),
        ("-c copy", "option -c "),
        ("-c:a aac", "option -c:a "),
        ("-filter:a volume=2", "option -filter:a "),
        ("-frames:v 3", "option -frames:v "),
        ("-r 25", "option -r "),
    ],
)
def test_words_that_cannot_be_meant_are_refused(words: str, says: str) -> None:
    with pytest.raises(OptionError, match=says):
        find_encoder(words)


@needs_ffmpeg
def test_words_are_options_with_values_and_filters() -> None:
    found = find_encoder("-c:v libx264 -crf 20 -strict -2 -an_option -vf 'scale=1:2, null'")
    assert found.options == (
        ("c:v", "libx264"),
        ("crf", "20"),
        ("strict", "-2"),
        ("an_option", None),
    )
    assert found.filters == "scale=1:2, null"


def test_an_ffmpeg_that_is_missing_or_too_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(OptionError, match="install ffmpeg 5"):
        find_encoder("-c:v libx264")
    monkeypatch.undo()
    fake(tmp_path, monkeypatch, "echo 'ffmpeg version 4.4.2'; echo 'libavutil      56. 70.100'")
    with pytest.raises(OptionError, match=r"4\.4\.2"):
        find_encoder("-c:v libx264")


def test_the_package_that_builds_the_command_may_be_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ffmpeg", None)
    with pytest.raises(OptionError, match=r"pip install 'ciaovideo\[ffmpeg\]'"):
        find_encoder("-c:v libx264")


def test_names_that_are_no_utf8_go_into_the_command_as_they_are(tmp_path: Path) -> None:
    source, output = tmp_path / "caf\udce9.mkv", tmp_path / "caf\udce9.mp4"
    make_clip(plain := tmp_path / "plain.mkv", width=64, height=48, seconds=0.5, sound=True)
    plan = plan_streams(
        replace(probe(plain), path=source), container_of(output), opened=av.open(plain)
    )
    with other_streams(replace(plan, source=plain), tmp_path) as others:
        words = command(encoder(), target(), output, replace(others, source=f"file:{source}"))
    assert f"file:{source}" in words
    assert words[-1] == f"file:{output}"


def test_the_command_keeps_times_and_tags_and_names_every_stream(tmp_path: Path) -> None:
    source, output = tmp_path / "in put.mkv", tmp_path / "out.mp4"
    make_clip(source, width=64, height=48, seconds=0.5, sound=True, subtitle="A word.", chapters=2)
    plan = plan_streams(probe(source), container_of(output))
    with other_streams(plan, tmp_path) as others:
        words = command(encoder(filters="null"), target(), output, others)
        old = command(encoder(version=(57, 20)), target(), output, others)
    line = "\n".join(words)
    assert words[:6] == ["ffmpeg", "-v", "error", "-nostdin", "-y", "-copyts"]
    assert words[-1] == f"file:{output}"
    for pair in (
        "-f nut",
        "-color_trc smpte2084",
        "-chroma_sample_location topleft",
        "-map 0:0",
        "-map 1:1",
        "-map 1:2",
        "-map_chapters 1",
        "-enc_time_base:0 1:90000",
        "-fps_mode:0 passthrough",
        "-filter:0 setsar=sar=4/3:max=65535,null",
        "-c:1 copy",
        "-c:2 mov_text",
        "-metadata:s:2 language=eng",
    ):
        assert pair.replace(" ", "\n", 1) in line, pair
    assert old[old.index("-vsync") + 1] == "passthrough"
    assert "-vsync" not in words


def test_a_cover_that_ffmpeg_would_make_a_video_of_is_listed(tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    make_clip(source, width=64, height=48, seconds=0.25, cover=True)
    whole = plan_streams(probe(source), container_of(".mkv"))
    plan = carried(whole)
    assert len(plan.kept) == len(whole.kept) - 1
    assert losses_of(plan.findings)[-1] == plan.dropped[-1].name
    into_mp4 = plan_streams(probe(source), container_of(".mp4"))
    assert carried(into_mp4) == into_mp4


@needs_ffmpeg
@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("-c:v libx265nd", "Unknown encoder 'libx265nd'"),
        ("-c:v libx264 -vf scale=32:24", "64x48.*32x24"),
        ("-c:v libx264 -s 32x24", "64x48.*32x24"),
        ("-c:v libx264 -vf setsar=1", "aspect ratio 1, not 4/3"),
        ("-c:v mpeg4", "yuv420p10le.*yuv420p"),
    ],
)
@pytest.mark.heavy
def test_the_trial_finds_what_would_fail_verification(
    tmp_path: Path, words: str, says: str
) -> None:
    with pytest.raises((OptionError, EncodeError), match=says):
        try_out(find_encoder(words), target(time_base=Fraction(1, 1000)))
    assert not list(tmp_path.iterdir())


@needs_ffmpeg
def test_what_the_words_change_on_purpose_is_expected(tmp_path: Path) -> None:
    words = "-c:v libx264 -pix_fmt yuv420p -color_trc bt709"
    made = try_out(find_encoder(words), target())
    assert made.pix_fmt == "yuv420p"
    wanted = [(Kind.CHANGED, "pixel format"), (Kind.LOST, "color transfer")]
    assert by_kind(made.findings) == wanted
    assert made.color == replace(HDR, transfer=Transfer.BT709)


@needs_ffmpeg
@pytest.mark.parametrize("pix_fmt", ["gray", "gray10le", "yuv422p16le", "gbrp12le", "yuv440p"])
@pytest.mark.heavy
def test_layouts_arrive(tmp_path: Path, pix_fmt: str) -> None:
    color = ColorSpec(color_range=Range.FULL)
    goal = target(pix_fmt, color=color, sar=None)
    made = try_out(find_encoder("-c:v ffv1 -level 3"), goal)
    assert made.pix_fmt == pix_fmt
    assert made.color.color_range == Range.FULL


def test_an_ffmpeg_that_dies_is_an_error_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(tmp_path, monkeypatch, "echo one >&2; echo boom >&2; exit 9")
    with pytest.raises(EncodeError, match=r"exit code 9.*: one / boom"):
        try_out(encoder(), target())
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


def test_leaving_by_an_error_ends_ffmpeg_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "process"
    fake(tmp_path, monkeypatch, f"echo $$ > {told}; exec sleep 1000")
    writer = ExternalWriter(tmp_path / "out.mkv", target(), encoder())
    wait_until(lambda: told.exists() and told.read_text().endswith("\n"))
    with pytest.raises(KeyboardInterrupt), writer:
        raise KeyboardInterrupt
    with pytest.raises(ProcessLookupError):
        os.kill(int(told.read_text()), 0)

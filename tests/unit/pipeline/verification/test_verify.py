"""A right file passes; every way of being wrong is found, each one by what is wrong with it."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ciaovideo.color import Matrix, Primaries, Range
from ciaovideo.errors import VerificationError
from ciaovideo.media.frame import Frame
from ciaovideo.media.selection import Selection
from ciaovideo.media.streams.plan import StreamPlan
from ciaovideo.media.write.writer import VideoTarget
from ciaovideo.pipeline.verification.contract import Verification, wrong
from ciaovideo.pipeline.verification.verify import (
    contract_between,
    require,
    verify_contract,
)
from tests.doubled import Change, enlarge, findings, remux
from tests.media import make_clip

SUFFIXES = (".mp4", ".mov", ".mkv")
FULL: dict[str, Any] = {
    "width": 64,
    "height": 48,
    "seconds": 1.5,
    "sound": True,
    "subtitle": "Hello",
    "chapters": 2,
    "sar": Fraction(4, 3),
    "counter": True,
    "options": {"crf": "12", "preset": "ultrafast", "g": "8"},
}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "in.mp4"
    make_clip(path, **FULL)
    return path


@pytest.mark.parametrize("frames", [None, 1, 2, 20])
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.heavy
def test_what_is_right_passes(clip: Path, tmp_path: Path, suffix: str, frames: int | None) -> None:
    output = tmp_path / f"out{suffix}"
    contract = enlarge(clip, output, frames=frames)
    result = verify_contract(output, contract)
    assert result.findings == ()
    assert result.frames == (frames or 36)
    assert result.pictures == min(result.frames, 5)
    assert result.streams == 3  # in Matroska, mov_text becomes another kind of text
    assert result.packets > (frames or 36)
    assert (
        verify_contract(output, contract_between(clip, output, Selection(count=frames))).findings
        == ()
    )


@settings(max_examples=25)
@given(
    steps=st.lists(st.integers(1, 4000), min_size=1, max_size=12),
    first=st.integers(0, 90000),
    tick=st.sampled_from([Fraction(1, 90000), Fraction(1, 1000), Fraction(1001, 30000)]),
    suffix=st.sampled_from(SUFFIXES),
    limited=st.booleans(),
)
@pytest.mark.heavy
def test_any_times_come_through(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[int],
    first: int,
    tick: Fraction,
    suffix: str,
    limited: bool,
) -> None:
    folder = tmp_path_factory.mktemp("times")
    if tick == Fraction(1, 90000):
        steps = [step + 100 for step in steps]  # Matroska holds one frame a millisecond
    pts = [first]
    for step in steps:
        pts.append(pts[-1] + step)
    source, output = folder / "in.mov", folder / f"out{suffix}"
    make_clip(source, width=32, height=32, pts=tuple(pts), time_base=tick)
    frames = len(steps) if limited else None
    assert findings(output, enlarge(source, output, frames=frames)) == ""


@pytest.mark.parametrize("pix_fmt", ["gray", "gray10le", "yuv422p10le", "yuv444p", "gbrp10le"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.heavy
def test_layouts_that_come_through_pass(tmp_path: Path, suffix: str, pix_fmt: str) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / f"out{suffix}"
    color = (0, 2, 1, 1, 0) if pix_fmt == "gbrp10le" else (1, 1, 1, 1, 1)
    drawn = {"codec": "ffv1", "options": {}, "pix_fmt": pix_fmt, "color": color}
    make_clip(source, width=64, height=48, seconds=0.25, **drawn)
    contract = enlarge(source, output)
    assert findings(output, contract) == ""
    assert findings(output, contract_between(source, output)) == ""


def without(number: int) -> Change:
    return lambda made: (frame for place, frame in enumerate(made) if place != number)


def moved(number: int, ticks: int) -> Change:
    return lambda made: (
        replace(frame, pts=frame.pts + ticks * (place == number))
        for place, frame in enumerate(made)
    )


def twice(made: Iterable[Frame]) -> Iterator[Frame]:
    for frame in made:
        yield replace(frame, duration=max(frame.duration // 2, 1))
        if frame.pts == 0:
            yield replace(frame, pts=frame.pts + frame.duration // 2)


def black(made: Iterable[Frame]) -> Iterator[Frame]:
    for frame in made:
        luma, *chroma = frame.planes
        planes = (torch.full_like(luma, 16), *(torch.full_like(plane, 128) for plane in chroma))
        yield replace(frame, planes=planes)


def dim(brightest: int) -> Change:
    """Luma a step above black, and in the upper half of the picture this bright."""

    def change(made: Iterable[Frame]) -> Iterator[Frame]:
        for frame in black(made):
            luma, *chroma = frame.planes
            luma[:] = 17
            luma[: luma.shape[0] // 2] = brightest
            yield replace(frame, planes=(luma, *chroma))

    return change


def frozen(made: Iterable[Frame]) -> Iterator[Frame]:
    first = None
    for frame in made:
        first = first or frame
        yield replace(frame, planes=first.planes)


def shuffled(made: Iterable[Frame]) -> Iterator[Frame]:
    frames = list(made)
    for frame, other in zip(frames, frames[::-1], strict=True):
        yield replace(frame, planes=tuple(plane.clone() for plane in other.planes))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (without(0), "frame 0 "),
        (without(17), "frame 17 "),
        (without(35), "36 expected, 35 found"),
        (moved(17, 13), "frame 17 "),  # 13 ticks are a millisecond
        (twice, "36 expected, 37 found"),
        (black, "frame 0 is black"),
        (shuffled, "differs from the source's"),
    ],
    ids=["first", "middle", "last", "moved", "doubled", "black", "shuffled"],
)
@pytest.mark.heavy
def test_wrong_frames_are_found(
    tmp_path: Path, clip: Path, suffix: str, change: Change, says: str
) -> None:
    output = tmp_path / f"out{suffix}"
    assert says in findings(output, enlarge(clip, output, change=change))


def test_a_frame_that_is_one_tick_late_is_found(tmp_path: Path, clip: Path) -> None:
    output = tmp_path / "out.mp4"
    contract = enlarge(clip, output, change=moved(17, 1))
    found = findings(output, contract)
    assert all(word in found for word in ("frame 17 ", "0.708333 s", "0.708415 s"))


def test_a_picture_that_stands_still_is_found(tmp_path: Path) -> None:
    source, output = tmp_path / "in.mp4", tmp_path / "out.mp4"
    make_clip(source, width=64, height=48, seconds=1.5)  # moves too little to be another picture
    assert "are equal" in findings(output, enlarge(source, output, change=frozen))


def test_a_picture_that_stands_still_in_the_source_too_is_right(tmp_path: Path) -> None:
    source, still, output = (tmp_path / name for name in ("in.mp4", "still.mp4", "out.mp4"))
    make_clip(source, width=64, height=48, seconds=1)
    enlarge(source, still, change=frozen)
    assert findings(output, enlarge(still, output)) == ""


def test_a_black_source_is_right(tmp_path: Path) -> None:
    source, dark, output = (tmp_path / name for name in ("in.mp4", "dark.mp4", "out.mp4"))
    make_clip(source, width=64, height=48, seconds=1)
    enlarge(source, dark, change=black)
    assert findings(output, enlarge(dark, output)) == ""


def test_a_source_that_is_next_to_black(tmp_path: Path) -> None:
    """As in the first frames of a fade: coding may cost a step of 8 bits, blackness costs more."""
    source, dark, output = (tmp_path / name for name in ("in.mp4", "dark.mp4", "out.mp4"))
    make_clip(source, width=64, height=48, seconds=0.5)
    enlarge(source, dark, change=dim(18))
    assert findings(output, enlarge(dark, output, change=dim(17))) == ""
    assert "is black" in findings(output, enlarge(dark, output, change=black))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"color": {"matrix": Matrix.SMPTE170M}}, "its matrix is SMPTE170M instead of BT709"),
        ({"color": {"color_range": Range.FULL}}, "its color_range is FULL instead of LIMITED"),
        ({"color": {"primaries": Primaries.BT2020}}, "its primaries is BT2020 instead of BT709"),
        ({"sar": Fraction(1)}, "1.3333:1 instead of 1.7778:1"),
        ({"display_matrix": (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)}, "display matrix"),
    ],
    ids=["matrix", "range", "primaries", "sar", "rotation"],
)
@pytest.mark.heavy
def test_wrong_tags_are_found(
    tmp_path: Path, clip: Path, suffix: str, changes: dict[str, Any], says: str
) -> None:
    output = tmp_path / f"out{suffix}"

    def look(target: VideoTarget) -> VideoTarget:
        fields: dict[str, Any] = {
            name: replace(target.color, **value) if name == "color" else value
            for name, value in changes.items()
        }
        return replace(target, **fields)

    contract = enlarge(clip, output, look=look)
    assert says in findings(output, contract)
    assert says in findings(output, replace(contract, size=None, pix_fmt="", color=None))


def test_a_wrong_size_and_layout_are_found(tmp_path: Path, clip: Path) -> None:
    output = tmp_path / "out.mp4"
    contract = enlarge(clip, output)
    assert "128x96 instead of 130x96" in findings(output, replace(contract, size=(96, 130)))
    assert "instead of yuv444p" in findings(output, replace(contract, pix_fmt="yuv444p"))
    small = tmp_path / "small.mp4"
    make_clip(small, **{**FULL, "width": 32, "height": 24})
    assert "smaller than the source" in findings(small, contract_between(clip, small))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_lost_streams_are_found(tmp_path: Path, clip: Path, suffix: str) -> None:
    output = tmp_path / f"out{suffix}"

    def silent(plan: StreamPlan) -> StreamPlan:
        kept = tuple(info for info in plan.kept if info.kind != "audio")
        return replace(plan, kept=kept)

    contract = enlarge(clip, output, streams=silent)
    assert "audio 1: aac (und) is missing" in findings(output, contract)
    unreported = replace(contract, streams=silent(contract.streams))
    assert "audio 1: aac (und) is neither kept nor reported" in findings(output, unreported)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.heavy
def test_lost_packets_of_sound_are_found(tmp_path: Path, clip: Path, suffix: str) -> None:
    whole, output = tmp_path / f"whole{suffix}", tmp_path / f"out{suffix}"
    contract = enlarge(clip, whole)

    remux(whole, output, lambda packet, _: True)
    assert "audio" not in findings(output, contract)
    remux(whole, output, lambda packet, number: packet.stream.type != "audio" or number != 30)
    assert "audio 1: aac (und): packet 30 should be at" in findings(output, contract)
    remux(whole, output, lambda packet, number: packet.stream.type != "audio" or number < 60)
    assert "packet 60 at" in findings(output, contract)
    remux(whole, output, lambda packet, _: True, moved=("audio", 2))
    assert "audio 1: aac (und): packet" in findings(output, contract)


def test_lost_chapters_are_found(tmp_path: Path, clip: Path) -> None:
    bare, output = tmp_path / "bare.mp4", tmp_path / "out.mp4"
    make_clip(bare, **{**FULL, "chapters": 0})
    contract = enlarge(bare, output)
    contract = replace(contract, streams=replace(contract.streams, source=clip))
    assert findings(output, contract) == "2 chapters expected, 0 found"


def test_a_chapter_at_another_time_or_of_another_name_is_found(tmp_path: Path, clip: Path) -> None:
    whole, output = tmp_path / "whole.mp4", tmp_path / "out.mp4"
    contract = enlarge(clip, whole)

    def late(chapters: list[Any]) -> list[Any]:
        first, second = chapters
        return [first, second | {"start": second["start"] + int(Fraction(1, 20) / exact(second))}]

    def exact(chapter: Any) -> Fraction:
        return Fraction(chapter["time_base"].numerator, chapter["time_base"].denominator)

    def renamed(chapters: list[Any]) -> list[Any]:
        return [chapter | {"metadata": {"title": "Overture"}} for chapter in chapters]

    remux(whole, output)
    assert findings(output, contract) == ""
    remux(whole, output, retold=late)
    assert findings(output, contract).startswith("chapter 1 should be ")
    remux(whole, output, retold=renamed)
    assert "and is 'Overture' at" in findings(output, contract)


def test_a_longer_output_than_asked_for_is_found(tmp_path: Path, clip: Path) -> None:
    output = tmp_path / "out.mp4"
    contract = enlarge(clip, output, frames=12)
    found = findings(output, replace(contract, selection=Selection(count=11)))
    assert "11 expected, 12 found" in found
    assert "audio 1: aac (und): packet" in found


def test_the_source_is_decoded_where_its_packets_do_not_tell(tmp_path: Path) -> None:
    plain, source, output = tmp_path / "in.mp4", tmp_path / "in.h264", tmp_path / "out.mp4"
    make_clip(plain, width=64, height=48, seconds=1, fps=Fraction(25))
    with av.open(plain) as before, av.open(source, "w", format="h264") as after:
        target = after.add_stream_from_template(before.streams.video[0])
        for packet in before.demux(video=0):
            if packet.dts is not None:
                packet.stream = target
                after.mux(packet)
    contract = enlarge(source, output)
    assert findings(output, contract) == ""
    assert "25 expected, 24 found" in findings(output, enlarge(source, output, change=without(11)))


def test_findings_become_one_error_that_names_the_file() -> None:
    result = Verification(frames=1, streams=1, packets=0, pictures=0)
    require(result, Path("out.mp4"), Path(".out.part.mp4"))
    found = tuple(wrong(f"frame {n}", f"frame {n} is black") for n in (3, 4))
    with pytest.raises(VerificationError) as caught:
        require(replace(result, findings=found), Path("out.mp4"), Path(".out.part.mp4"))
    for word in ("out.mp4", "frame 3 is black", "1 more"):
        assert word in caught.value.problem
    assert ".out.part.mp4" in caught.value.hint
    assert caught.value.exit_code == 3

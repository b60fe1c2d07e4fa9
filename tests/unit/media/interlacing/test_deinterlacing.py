"""Interlaced files through the reader: whole frames, or one for each field, at exact times."""

from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from ciaovideo.errors import InterlacedError
from ciaovideo.findings import Kind
from ciaovideo.media.clock import exact
from ciaovideo.media.frame import Frame
from ciaovideo.media.read.reader import VideoReader
from ciaovideo.options import InputOptions
from tests.fields import read_field_counter
from tests.found import by_kind
from tests.media import Clip, coded_frame, make_clip, planes_of

DECIDED = [(Kind.CHOSEN, "interlacing")]


def field_counters(frames: list[Frame]) -> list[int]:
    return [read_field_counter(frame.planes[0].numpy()) for frame in frames]


def plain_times(path: Path) -> list[int]:
    """The time stamps of a file's frames by a plain loop over PyAV."""
    with av.open(path) as container:
        return [frame.pts for frame in container.decode(video=0) if frame.pts is not None]


def decoded(path: Path, count: int) -> list[tuple[Fraction | None, torch.Tensor]]:
    """Times and luma of the first frames, by a plain loop over PyAV."""
    found = []
    with av.open(path) as container:
        tick = exact(container.streams.video[0].time_base) or Fraction(0)
        for picture in islice(container.decode(video=0), count):
            plane = torch.from_dlpack(picture.planes[0])  # type: ignore[attr-defined]
            luma = plane[: picture.height, : picture.width].clone()
            found.append((None if picture.pts is None else picture.pts * tick, luma))
    return found


INTERLACED: dict[str, Any] = {
    "width": 128,
    "height": 96,
    "seconds": 0.5,
    "interlaced": True,
    "counter": True,
}


@pytest.mark.parametrize("flagged", [False, True])
@pytest.mark.parametrize("bottom_first", [False, True])
@pytest.mark.heavy
def test_interlaced_frames_are_made_whole(
    tmp_path: Path, bottom_first: bool, flagged: bool
) -> None:
    path = tmp_path / "clip.mkv"
    make_clip(path, **INTERLACED, bottom_first=bottom_first, flagged=flagged)
    with VideoReader(path) as reader:
        assert not reader.info.interlaced
        assert by_kind(reader.findings) == DECIDED
        assert "12 frames" in reader.findings[0].text
        frames = list(reader.frames())
        assert by_kind(reader.findings) == DECIDED
    assert field_counters(frames) == list(range(0, 24, 2))
    assert [frame.pts for frame in frames] == plain_times(path)


@pytest.mark.parametrize("flagged", [False, True])
@pytest.mark.parametrize("bottom_first", [False, True])
@pytest.mark.heavy
def test_every_field_is_a_frame(tmp_path: Path, bottom_first: bool, flagged: bool) -> None:
    path = tmp_path / "clip.mp4"
    pts = (-3003, 0, 3003, 3004, 9009, 50000, 50001, 90000, 99000, 99999)
    make_clip(
        path,
        **INTERLACED,
        bottom_first=bottom_first,
        flagged=flagged,
        pts=tuple(stamp + 90000 for stamp in pts),
        time_base=Fraction(1, 90000),
        last_duration=1235,
        options={"crf": "8", "bf": "0"},  # with B-pictures, mp4 does not keep the last duration
    )
    before = plain_times(path)
    with VideoReader(path, options=InputOptions(deinterlace="field")) as reader:
        info = reader.info
        frames = list(reader.frames())
        assert by_kind(reader.findings) == DECIDED
    assert field_counters(frames) == list(range(20))
    assert info.time_base == Fraction(1, 180000)
    assert abs(info.frame_count - 20) <= 2
    ends = [*before[1:], before[-1] + 1235]
    expected = [half for a, b in zip(before, ends, strict=True) for half in (2 * a, a + b)]
    assert [frame.pts for frame in frames] == expected
    assert [frame.end for frame in frames[:-1]] == [frame.time for frame in frames[1:]]


def test_fields_of_raw_streams_have_times_too(tmp_path: Path) -> None:
    path = tmp_path / "clip.h264"
    make_clip(path, **INTERLACED, fps=Fraction(24))
    with VideoReader(path, options=InputOptions(deinterlace="field")) as reader:
        assert reader.info.frame_rate == 48
        times = [frame.time for frame in reader.frames()]
    assert times == [Fraction(n, 48) for n in range(24)]


@pytest.mark.parametrize("order", [2, 3, 4, 5])  # tt, bb, tb, bt
def test_packed_fields_keep_the_order_of_the_file(tmp_path: Path, order: int) -> None:
    """Repacking loses the flags, and the clip is too short for its content to say."""
    path = tmp_path / "clip.mov"
    clip = Clip(
        width=128,
        height=96,
        pix_fmt="yuv422p",
        interlaced=True,
        bottom_first=order in (3, 5),
        counter=True,
    )
    with av.open(path, "w") as container:
        video = container.add_stream("rawvideo", rate=25)
        video.width, video.height, video.pix_fmt = clip.width, clip.height, "uyvy422"
        video.codec_context.codec_tag = "2vuy"
        video.codec_context.field_order = order
        for number in range(6):
            packed = coded_frame(clip, number, number, 1).reformat(format="uyvy422", threads=1)
            packed.pts, packed.time_base = number, Fraction(1, 25)
            container.mux(video.encode(packed))
    with VideoReader(path, options=InputOptions(deinterlace="field")) as reader:
        assert reader.info.coded_pix_fmt == "uyvy422"
        assert field_counters(list(reader.frames())) == list(range(12))


def test_without_deinterlacing_they_are_refused_or_forced(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    clip = make_clip(path, **INTERLACED, codec="ffv1", options={})
    with pytest.raises(InterlacedError, match="12 frames"):
        VideoReader(path, options=InputOptions(deinterlace="off"))
    with VideoReader(path, options=InputOptions(deinterlace="off", force=True)) as reader:
        assert reader.info.interlaced
        for number, frame in enumerate(reader.frames()):
            assert np.array_equal(frame.planes[0].numpy(), planes_of(clip, number)[0])


@pytest.mark.heavy
def test_a_progressive_video_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    clip = make_clip(path, seconds=1, flagged=True, codec="ffv1", options={})
    with VideoReader(path) as reader:
        assert "as progressive" in reader.findings[0].text
        for number, frame in enumerate(reader.frames()):
            assert np.array_equal(frame.planes[0].numpy(), planes_of(clip, number)[0])


@pytest.mark.parametrize("mode", ["auto", "off"])
def test_interlaced_frames_after_the_sample(tmp_path: Path, mode: Any) -> None:
    first, second, both = (tmp_path / f"{name}.h264" for name in ("first", "second", "both"))
    make_clip(first, width=128, height=96, seconds=2)
    make_clip(second, **INTERLACED)
    both.write_bytes(first.read_bytes() + second.read_bytes())
    with VideoReader(both, options=InputOptions(deinterlace=mode)) as reader:
        assert by_kind(reader.findings) == [(Kind.GUESSED, "frame rate")]
        if mode == "off":
            with pytest.raises(InterlacedError, match="frame 48"):
                list(reader.frames())
            return
        frames = list(reader.frames())
        assert by_kind(reader.findings)[-1:] == DECIDED
        assert "from number 48 on" in reader.findings[-1].text
    assert len(frames) == 60
    assert field_counters(frames[48:]) == list(range(0, 24, 2))


FIELDS = [
    "broadcast/dv-dvchd-ntsc-interlaced.mov",
    "broadcast/dv-pal-interlaced.mov",
    "broadcast/hdv-1080i50.mov",
    "broadcast/xdcam-hd-1080i60.mov",
    "h264/HCAFF1_HHI.264",
    "h264/PPH10I6_Panasonic_A.264",
]


def combing(luma: torch.Tensor) -> float:
    """Differences of nearest rows over those two apart."""
    y = luma.to(torch.int32)
    near = (2 * y[2:-2] - y[1:-3] - y[3:-1]).abs().sum()
    return float(near) / float((2 * y[2:-2] - y[:-4] - y[4:]).abs().sum())


@pytest.mark.parametrize("mode", ["auto", "field"])
@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.heavy
def test_real_interlaced_files(shared: Path, name: str, mode: Any) -> None:
    path = shared / "data/media" / name
    reference = decoded(path, 5)
    with VideoReader(path, options=InputOptions(deinterlace=mode)) as reader:
        twice = 2 if mode == "field" else 1
        frames = list(reader.frames(5 * twice))
        step = 1 / (reader.info.frame_rate or Fraction(1))
    for number, (time, luma) in enumerate(reference):
        for field, frame in enumerate(frames[twice * number : twice * (number + 1)]):
            start = twice * number * step if time is None else time
            assert frame.time == start + field * step
            assert combing(frame.planes[0]) < max(0.75, 1.05 * combing(luma))
            if "HCAFF1" in name:
                assert combing(frame.planes[0]) < 0.75 < combing(luma)

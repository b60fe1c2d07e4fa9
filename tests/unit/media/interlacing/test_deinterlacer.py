"""The deinterlacer: what goes in comes out at its time, whole."""

from fractions import Fraction
from itertools import accumulate, pairwise
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciaovideo.color import ColorSpec, PixelLayout
from ciaovideo.errors import DecodeError, InterlacedError, TimestampError
from ciaovideo.media.frame import VideoInfo
from ciaovideo.media.interlacing.deinterlacer import TAKEN, FieldFilter, Shown

TICK = Fraction(1, 1001)
FULL = {"yuvj411p", "yuvj420p", "yuvj422p", "yuvj440p", "yuvj444p"}


def info(pix_fmt: str = "gray", height: int = 16, width: int = 16, coded: str = "") -> VideoInfo:
    return VideoInfo(
        path="clip.mkv",
        height=height,
        width=width,
        pix_fmt=pix_fmt,
        color=ColorSpec(),
        codec="ffv1",
        time_base=TICK,
        coded_pix_fmt=coded or pix_fmt,
    )


def picture(pix_fmt: str = "gray", height: int = 16, width: int = 16, value: int = 0) -> Any:
    made = av.VideoFrame(width, height, pix_fmt)
    for plane in made.planes:
        plane.update(bytes([value]) * plane.buffer_size)
    return made


def through(fields: FieldFilter, frames: list[Shown]) -> list[Shown]:
    return [shown for frame in frames for shown in fields.push(frame)] + list(fields.flush())


starts = st.integers(-(10**12), 10**12)
steps = st.lists(st.integers(1, 10**9), min_size=0, max_size=8)


@given(first=starts, gaps=steps, last=st.integers(0, 5000))
def test_one_for_each_frame_keeps_every_time(first: int, gaps: list[int], last: int) -> None:
    pts = list(accumulate(gaps, initial=first))
    durations = [*gaps, last]
    frames = [Shown(picture(), *both) for both in zip(pts, durations, strict=True)]
    made = through(FieldFilter(info(), TICK), frames)
    assert [(shown.pts, shown.duration) for shown in made] == list(zip(pts, durations, strict=True))
    assert all(shown.progressive for shown in made)


@given(first=starts, gaps=steps, last=st.integers(0, 5000))
def test_fields_stand_at_the_frame_and_in_the_middle(
    first: int, gaps: list[int], last: int
) -> None:
    pts = list(accumulate(gaps, initial=first))
    frames = [Shown(picture(), *both) for both in zip(pts, [*gaps, last], strict=True)]
    made = through(FieldFilter(info(), TICK, every_field=True), frames)
    end = pts[-1] + (last or (gaps[-1] if gaps else 1))
    expected = [half for a, b in pairwise([*pts, end]) for half in (2 * a, a + b)]
    assert [shown.pts for shown in made] == expected
    assert [shown.pts + shown.duration for shown in made] == [*expected[1:], 2 * end]


@pytest.mark.parametrize("pix_fmt", sorted(TAKEN | FULL))
def test_a_still_picture_stays_what_it_is(pix_fmt: str) -> None:
    """In every layout taken: no conversion on the way."""
    planar = pix_fmt.replace("yuvj", "yuv")
    made = av.VideoFrame(32, 32, pix_fmt)
    layout = PixelLayout.of(planar)
    rng = np.random.default_rng(3)
    kind = np.uint8 if layout.bit_depth == 8 else np.uint16
    for plane in made.planes:
        samples = rng.integers(0, layout.peak + 1, plane.buffer_size // kind().itemsize, kind)
        plane.update(samples.tobytes())
    fields = FieldFilter(info(planar, 32, 32, pix_fmt), TICK)
    for shown in through(fields, [Shown(made, n, 1) for n in range(5)])[1:-1]:
        assert shown.picture.format.name == pix_fmt
        for plane, before in zip(shown.picture.planes, made.planes, strict=True):
            rows = [
                np.frombuffer(bytes(p), kind).reshape(p.height, -1)[:, : p.width]
                for p in (plane, before)
            ]
            assert np.array_equal(rows[0], rows[1])


def test_semi_planar_pictures_are_repacked_first() -> None:
    fields = FieldFilter(info("yuv420p", coded="nv12"), TICK)
    made = through(fields, [Shown(picture("nv12", value=77), n, 1) for n in range(3)])
    assert [shown.picture.format.name for shown in made] == ["yuv420p"] * 3
    assert {value for shown in made for value in bytes(shown.picture.planes[2])[:8]} == {77}


def test_progressive_frames_come_out_as_they_went_in() -> None:
    rng = np.random.default_rng(1)
    noise = [rng.integers(0, 256, (16, 16), np.uint8) for _ in range(4)]
    frames = [
        Shown(av.VideoFrame.from_ndarray(samples, format="gray"), number, 1, number % 2 == 0)
        for number, samples in enumerate(noise)
    ]
    made = [shown.picture.to_ndarray() for shown in through(FieldFilter(info(), TICK), frames)]
    same = [np.array_equal(*both) for both in zip(made, noise, strict=True)]
    assert same == [True, False, True, False]


@pytest.mark.parametrize("order", ["tff", "bff"])
def test_the_rows_of_the_field_shown_are_kept(order: str) -> None:
    rng = np.random.default_rng(1)
    noise = [rng.integers(0, 256, (16, 16), np.uint8) for _ in range(4)]
    frames = [
        Shown(av.VideoFrame.from_ndarray(samples, format="gray"), number, 1)
        for number, samples in enumerate(noise)
    ]
    made = through(FieldFilter(info(), TICK, order=order, every_field=True), frames)
    for number, shown in enumerate(made):
        rows = slice((number + (order == "bff")) % 2, None, 2)
        assert np.array_equal(shown.picture.to_ndarray()[rows], noise[number // 2][rows])


@pytest.mark.parametrize(
    ("given_info", "words"),
    [
        (info("gray10le"), "gray10le cannot be deinterlaced"),
        (info("yuv440p12le"), "yuv440p12le cannot be deinterlaced"),
        (info("yuv420p", height=6), "16x6 is too small"),
        (info("yuv410p", width=8), "8x16 is too small"),
        (info("gray", height=3), "16x3 is too small"),
    ],
)
def test_what_cannot_be_deinterlaced_is_refused(given_info: VideoInfo, words: str) -> None:
    with pytest.raises(InterlacedError, match=words):
        FieldFilter(given_info, TICK)


class Moved:
    """Stands for a graph whose filter moves pictures or keeps them back."""

    def __init__(self, *stamps: int) -> None:
        self.stamps = list(stamps)

    def add_buffer(self, **_: object) -> None: ...

    def add(self, *_: object) -> None: ...

    def link_nodes(self, *_: object) -> "Moved":
        return self

    def configure(self) -> None: ...

    def push(self, _: object) -> None: ...

    def pull(self) -> av.VideoFrame:
        if not self.stamps:
            raise av.error.EOFError(0, "")
        made = picture()
        made.pts = self.stamps.pop(0)
        assert isinstance(made, av.VideoFrame)
        return made


@pytest.mark.parametrize("every_field", [False, True])
@pytest.mark.parametrize(
    ("stamps", "words"),
    [((), "1 frames"), ((11,), "from 10 to 11"), ((10, 15, 20), "from nowhere to 20")],
)
def test_a_filter_that_moves_frames_is_caught(
    every_field: bool, stamps: tuple[int, ...], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if len(stamps) > 1 and not every_field:
        stamps = stamps[::2]
    monkeypatch.setattr(av.filter, "Graph", lambda: Moved(*stamps))
    fields = FieldFilter(info(), TICK, every_field=every_field)
    with pytest.raises(TimestampError, match=words):
        through(fields, [Shown(picture(), 5, 5)])


def test_an_error_of_the_filter_is_ours() -> None:
    fields = FieldFilter(info(), TICK)
    list(fields.flush())
    with pytest.raises(DecodeError, match=r"deinterlacing clip\.mkv"):
        list(fields.push(Shown(picture(), 0, 1)))

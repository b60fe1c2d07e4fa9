"""Film at video's rate: times of its pictures, what tells it, and what is taken out of it."""

import re
from fractions import Fraction
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciaovideo.errors import LossError
from ciaovideo.findings import Kind
from ciaovideo.media.frame import Frame
from ciaovideo.media.interlacing.pulldown import (
    Pulldown,
    film_times,
    frames_for,
    joined,
    pulldown_in,
)
from ciaovideo.media.read.probe import probe
from ciaovideo.media.read.reader import VideoReader
from ciaovideo.media.selection import Selection
from ciaovideo.options import InputOptions
from ciaovideo.pipeline.verification.times import spread
from tests.media import read_counter
from tests.telecine import FILM, VIDEO, Reel, write_reels

STEPS = st.sampled_from([Fraction(1001, 30000), Fraction(33, 1000), Fraction(34, 1000)])
ODD_STEPS = st.sampled_from([Fraction(1001, 24000), Fraction(1, 60), Fraction(2)])


def read(path: Path, **options: Any) -> list[Frame]:
    with VideoReader(path, options=InputOptions(**options)) as reader:
        return list(reader.frames())


def numbers(frames: list[Frame]) -> list[int]:
    return [read_counter(frame.planes[0].numpy()) for frame in frames]


@pytest.mark.parametrize("count", [0, 1, 4, 5, 9, 30, 61])
def test_pictures_of_film_are_a_film_frame_apart(count: int) -> None:
    times = film_times([Fraction(n) / VIDEO for n in range(count)])
    assert times == [Fraction(n) / FILM for n in range(count // 5 * 4 + count % 5)]


@given(st.lists(st.one_of(STEPS, STEPS, STEPS, ODD_STEPS), max_size=80))
def test_verification_knows_the_same_times(steps: list[Fraction]) -> None:
    times = list(accumulate(steps, initial=Fraction(1, 7)))
    made = film_times(times)
    assert made == spread(times, Selection(film=True))
    assert all(before < after for before, after in pairwise(made))
    assert times[0] == made[0]
    assert made[-1] <= times[-1] + Fraction(1, 25)  # before the last frame ends
    for count in range(0, len(made), 7):  # what is read of a file tells as many, and the next
        known = film_times(times[: frames_for(count)])
        assert known[: count + 1][: len(made)] == made[: count + 1] or len(times) < frames_for(
            count
        )


def test_frames_at_another_pace_stay() -> None:
    soft = [Fraction(n, 1) / FILM for n in range(7)]
    hard = [soft[-1] + Fraction(2, 24) + n / VIDEO for n in range(5)]
    assert film_times(soft + hard)[:7] == soft
    assert len(film_times(soft + hard)) == 11


def changes(pattern: str, count: int) -> list[float]:
    """How much fields differ from the frame before: r repeats, all others move."""
    return [0.5 if pattern[n % len(pattern)] == "r" else 5.0 + n % 3 for n in range(count)]


@pytest.mark.parametrize("order", ["tff", "bff"])
@pytest.mark.parametrize("phase", range(5))
def test_repeated_fields_tell_film_and_its_order(phase: int, order: str) -> None:
    one, other = ("..r..", "....r") if order == "tff" else ("....r", "..r..")
    top, bottom = (changes(side[phase:] + side[:phase], 36) for side in (one, other))
    found = pulldown_in(top, bottom, 3.0, moves=True)
    assert (found.film, found.video, found.order, found.misses) == ((3.0,), (), order, 0)
    assert joined([found]).certain
    assert not joined(
        [found, pulldown_in(changes(".", 36), changes(".", 36), 9.0, moves=True)]
    ).certain


@pytest.mark.parametrize(
    ("top", "bottom"),
    [(".", "."), ("..r..", "..r.."), (".r", ".r"), ("..r..", "."), ("r.....", "...r..")],
)
def test_what_repeats_otherwise_is_no_film(top: str, bottom: str) -> None:
    assert not pulldown_in(changes(top, 72), changes(bottom, 72), 0.0, moves=True).film


def test_a_part_of_a_mixed_video_is_what_its_places_are() -> None:
    mixed = Pulldown(40, 40, 0, "tff", film=(0.0, 10.0), video=(20.0,))
    assert mixed.mixed
    assert mixed.within(Fraction(0), Fraction(15)).certain
    assert not mixed.within(Fraction(11), None).certain


@pytest.mark.parametrize("field", ["top", "bottom"])
@pytest.mark.parametrize("skip", [0, 1, 2, 4])
@pytest.mark.heavy
def test_every_picture_of_film_comes_once(field: str, skip: int, tmp_path: Path) -> None:
    count = write_reels(
        clip := tmp_path / "a.mp4", [Reel(first=0, stop=48, field=field, skip=skip)]
    )
    found = numbers(frames := read(clip))
    assert found[-1] == 47
    assert len(found) == count // 5 * 4 + count % 5
    assert found[0] == {0: 0, 1: 1, 2: 2, 4: 3}[skip]
    steps = [after - before for before, after in pairwise(found)]
    assert set(steps[:-4]) == {1}
    assert set(steps) <= {0, 1}  # what is left at the end may hold a frame twice
    assert [frame.time - frames[0].time for frame in frames] == [
        n / FILM for n in range(len(found))
    ]


@pytest.mark.parametrize(
    "settings",
    [
        {"noise": 4.0},
        {"pix_fmt": "yuv422p10le"},
        {"codec": "mpeg2video", "options": {"qscale": "4"}},
    ],
)
@pytest.mark.heavy
def test_noise_depth_and_coding_change_nothing(settings: dict[str, Any], tmp_path: Path) -> None:
    write_reels(clip := tmp_path / "a.mp4", [Reel(first=0, stop=48)], **settings)
    frames = read(clip)
    assert numbers(frames) == list(range(48))
    assert [frame.time - frames[0].time for frame in frames] == [n / FILM for n in range(48)]


@pytest.mark.heavy
def test_after_a_cut_the_phase_may_be_another(tmp_path: Path) -> None:
    reels = [Reel(first=0, stop=24, until=27), Reel(first=100, stop=124, skip=2)]
    write_reels(clip := tmp_path / "a.mp4", reels)
    assert numbers(read(clip)) == [*range(22), *range(102, 124)]


@pytest.mark.heavy
def test_a_picture_made_of_ten_bits_keeps_them(tmp_path: Path) -> None:
    write_reels(clip := tmp_path / "a.mp4", [Reel(first=0, stop=48)], pix_fmt="yuv422p10le")
    write_reels(
        given := tmp_path / "b.mp4", [Reel(first=0, stop=48, kind="video")], pix_fmt="yuv422p10le"
    )
    for made, whole in zip(read(clip), read(given, deinterlace="off"), strict=True):
        for one, other in zip(made.planes, whole.planes, strict=True):
            np.testing.assert_array_equal(one.numpy(), other.numpy())


@pytest.mark.parametrize(
    ("kind", "rate"),
    [
        ("video", VIDEO),
        ("fields", VIDEO),
        ("fields", Fraction(25)),
        ("film", Fraction(25)),
        ("video", FILM),
    ],
)
@pytest.mark.heavy
def test_other_video_is_not_taken_for_film(kind: str, rate: Fraction, tmp_path: Path) -> None:
    count = write_reels(clip := tmp_path / "a.mp4", [Reel(first=0, stop=100, kind=kind)], rate=rate)
    assert not probe(clip).fields.pulldown.film
    assert len(read(clip)) == count


@pytest.mark.heavy
def test_film_can_be_left_as_it_is(tmp_path: Path) -> None:
    count = write_reels(clip := tmp_path / "a.mp4", [Reel(first=0, stop=48)])
    assert len(read(clip, telecine="off")) == count
    assert len(read(clip, deinterlace="field")) == 2 * count


@pytest.mark.heavy
def test_mixed_video_is_said_with_its_times_and_parts_of_it_are_film(tmp_path: Path) -> None:
    reels = [
        Reel(first=0, stop=80),
        Reel(first=200, stop=240, kind="video"),
        Reel(first=300, stop=348),
    ]
    count = write_reels(clip := tmp_path / "a.mp4", reels)
    with VideoReader(clip) as reader:
        assert len(list(reader.frames())) == count
        told = next(found for found in reader.findings if found.subject == "telecine")
    assert re.search("film at 0 s, 1 s, 2 s, 5 s, .*video at (3 s, )?4 s", told.text)
    assert numbers(read(clip, end="2.4")) == list(range(58))
    part = numbers(read(clip, start="5.1"))
    assert part == list(range(part[0], 348))


@pytest.mark.heavy
def test_a_section_that_is_no_film_is_lost_of_and_told(tmp_path: Path) -> None:
    reels = [Reel(first=0, stop=56), Reel(first=200, stop=219, kind="video")]
    write_reels(clip := tmp_path / "a.mp4", reels)
    with VideoReader(clip) as reader:
        found = numbers(list(reader.frames()))
        lost = [one for one in reader.findings if one.kind == Kind.LOST]
    assert found[:56] == list(range(56))
    assert len(found) == 56 + 12 + 4
    assert [one.at for one in lost] == [70 / VIDEO]
    assert all(word in lost[0].text for word in ("2.336 s", "2.803 s"))
    with (
        VideoReader(clip, strict=True) as reader,
        pytest.raises(LossError, match=re.escape("2.336 s")),
    ):
        list(reader.frames())


@pytest.mark.heavy
def test_a_part_of_film_holds_the_pictures_of_the_whole(tmp_path: Path) -> None:
    options = {"g": "12", "bf": "0", "crf": "4", "preset": "ultrafast"}
    write_reels(
        clip := tmp_path / "a.mp4", [Reel(first=0, stop=96)], codec="libx264", options=options
    )
    whole = read(clip)
    for start in ("0.3", "2.01", "3.6"):
        part = read(clip, start=start)
        assert part[0].time >= whole[0].time + Fraction(start)
        for one, other in zip(part, whole[-len(part) :], strict=True):
            assert one.time == other.time
            np.testing.assert_array_equal(one.planes[0].numpy(), other.planes[0].numpy())


def test_a_selection_counts_pictures_of_film() -> None:
    times = [n / VIDEO for n in range(60)]
    wanted = Selection(count=10, film=True)
    assert wanted.times(times) == [n / FILM for n in range(10)]
    assert wanted.ended(times).end == 10 / FILM
    assert Selection(start=Fraction(1), film=True).total(times) == 24

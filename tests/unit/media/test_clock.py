from fractions import Fraction
from pathlib import Path

import pytest
from av.rational import AVRational
from hypothesis import given
from hypothesis import strategies as st

from ciaovideo.media.clock import (
    common_tick,
    exact,
    first_frame_times,
    frame_rate,
    with_fields,
)
from ciaovideo.media.selection import first_times
from tests.media import make_clip

ticks = st.builds(Fraction, st.integers(1, 2000), st.integers(1, 10**6))


def test_unset_rationals_are_none() -> None:
    assert exact(AVRational(0, 1)) is None
    assert exact(None) is None
    assert exact(AVRational(1001, 30000)) == Fraction(1001, 30000)


@given(st.lists(ticks, min_size=1, max_size=4))
def test_common_tick_is_whole_in_every_clock(clocks: list[Fraction]) -> None:
    shared = common_tick(clocks)
    assert shared > 0
    for tick in clocks:
        assert (shared / tick).denominator == 1


def test_common_tick_is_the_shortest() -> None:
    assert common_tick([Fraction(1, 12800), Fraction(1, 48000)]) == Fraction(1, 3200)
    assert common_tick([Fraction(1001, 30000), Fraction(1, 1000)]) == Fraction(1001, 1000)


@pytest.mark.parametrize(
    ("claimed", "step", "rate"),
    [
        (Fraction(30000, 1001), Fraction(33, 1000), Fraction(30000, 1001)),
        (Fraction(1000), Fraction(33, 1000), Fraction(1000, 33)),
        (Fraction(600), Fraction(1, 25), Fraction(25)),
        (None, Fraction(1, 50), Fraction(50)),
        (Fraction(24), Fraction(10), Fraction(1)),
        (Fraction(24), Fraction(1, 90000), Fraction(1000)),
    ],
)
def test_frame_rate_trusts_times(claimed: Fraction | None, step: Fraction, rate: Fraction) -> None:
    assert frame_rate(claimed, [n * step for n in range(9)]) == rate


def test_frame_rate_without_times() -> None:
    assert frame_rate(Fraction(24), []) == 24
    assert frame_rate(Fraction(1200000), []) is None
    assert frame_rate(None, [Fraction(3)]) is None


def test_times_are_read_in_display_order(tmp_path: Path) -> None:
    path = tmp_path / "vfr.mp4"
    pts = (0, 500, 1100, 1300, 2500, 2600, 4000)
    make_clip(path, width=64, height=48, pts=pts, time_base=Fraction(1, 12800))
    times = [Fraction(stamp, 12800) for stamp in pts]
    assert first_frame_times(path, 0, 99) == times
    assert first_frame_times(path, 0, 4) == times[:4]


def test_priming_does_not_count_as_a_start(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    make_clip(path, width=64, height=48, seconds=0.5, sound=True)
    assert first_times(path, 0, [1]) == {0: 0, 1: 0}


def test_second_fields_stand_in_the_middle_between_frames() -> None:
    times = [Fraction(0), Fraction(1, 25), Fraction(3, 25)]
    assert with_fields(times) == [0, Fraction(1, 50), Fraction(1, 25), Fraction(2, 25), times[2]]
    assert with_fields(times[:1]) == times[:1]

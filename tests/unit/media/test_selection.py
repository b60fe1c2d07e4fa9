"""One noun for "which frames": its bounds, two clocks, fields, packets and chapters."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciaovideo.media.selection import EVERYTHING, PacketHead, Selection
from ciaovideo.options import InputOptions

SECONDS = [Fraction(n) for n in range(10)]
HEAD = PacketHead(
    index=1,
    kind="audio",
    begin=Fraction(1),
    end=Fraction(3),
    lasts=True,
    cover=False,
    hidden=False,
)


def test_nothing_asked_for_is_everything() -> None:
    assert Selection.asked(InputOptions()) == EVERYTHING
    assert Selection.asked(InputOptions(start="0")) == EVERYTHING
    assert EVERYTHING.times(SECONDS) == SECONDS
    assert not EVERYTHING.cut


def test_options_become_exact_seconds_on_either_clock() -> None:
    asked = Selection.asked(InputOptions(start="0:02", end="5.5", deinterlace="field"), 3)
    wanted = Selection(start=Fraction(2), end=Fraction(11, 2), count=3, every_field=True)
    assert asked == wanted
    assert asked.after(Fraction(10)) == replace(wanted, start=Fraction(12), end=Fraction(31, 2))


@given(
    start=st.none() | st.integers(0, 12),
    end=st.none() | st.integers(0, 12),
    count=st.none() | st.integers(1, 12),
    every_field=st.booleans(),
)
def test_its_end_is_where_its_last_frame_ends(
    start: int | None, end: int | None, count: int | None, every_field: bool
) -> None:
    part = Selection(
        start=None if start is None else Fraction(start),
        end=None if end is None else Fraction(end),
        count=count,
        every_field=every_field,
    )
    times = part.times(SECONDS)
    ended = replace(part.ended(SECONDS), count=None)
    assert ended.times(SECONDS) == times
    assert part.total(SECONDS) - len(times) in (0, int(every_field))  # the last second field


@pytest.mark.parametrize(
    ("changes", "held"),
    [
        ({}, True),  # it is still heard
        ({"lasts": False}, False),  # a picture, and Vorbis
        ({"end": Fraction(2)}, False),
        ({"begin": Fraction(2), "lasts": False}, True),
        ({"lasts": False, "cover": True}, True),
    ],
)
def test_packets_that_last_into_it_belong_to_it(changes: dict[str, Any], held: bool) -> None:
    assert Selection(start=Fraction(2)).holds(replace(HEAD, **changes)) == held


@pytest.mark.parametrize(("kind", "begin"), [("audio", 1), ("subtitle", 2), ("data", 2)])
def test_what_is_shown_for_a_time_is_cut(kind: str, begin: int) -> None:
    assert Selection(start=Fraction(2)).begin_of(replace(HEAD, kind=kind)) == begin
    assert EVERYTHING.begin_of(replace(HEAD, kind=kind)) == 1

"""Which segment is made next, by whom, and when a file is tried again."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciaovideo.errors import (
    CiaoVideoError,
    LostWorkerError,
    MediaError,
    StaleLedgerError,
    VerificationError,
)
from ciaovideo.jobs.job import Job
from ciaovideo.jobs.work import FileWork
from ciaovideo.options import UpscaleOptions
from ciaovideo.pipeline.segmenting import SegmentPlan

LENGTH = 8


def work_of(
    *, total: int | None = None, frames: int | None = None, planned: bool = False
) -> FileWork:
    options = UpscaleOptions(frames=frames)
    job = Job(name="a", source=Path("a"), output=Path("b"), options=options)
    work = FileWork(job, stage="making", length=LENGTH, expected=40)
    if planned and total:
        starts = range(0, total, LENGTH)
        work.split(tuple(SegmentPlan(start=s, stop=min(s + LENGTH, total), pts=s) for s in starts))
    return work


def test_in_order_one_worker_makes_all() -> None:
    work = work_of()
    for start in (0, 8, 16):
        segment = work.next_segment()
        assert segment == SegmentPlan(start=start, stop=start + LENGTH)
        work.taken.add(start)
        assert work.next_segment() is None
        work.made(start, start + LENGTH, ended=False)
    work.made(24, 24, ended=True)
    assert work.total == 24
    assert work.complete
    assert work.next_segment() is None


def test_the_number_of_frames_that_is_asked_for_ends_it() -> None:
    work = work_of(frames=11)
    work.made(0, 8, ended=False)
    assert work.next_segment() == SegmentPlan(start=8, stop=11)
    work.made(8, 11, ended=True)
    assert work.complete


@given(
    total=st.integers(1, 90),
    there=st.sets(st.integers(0, 11)),
    order=st.randoms(use_true_random=False),
    workers=st.integers(1, 5),
)
def test_every_segment_is_made_once_whoever_comes(
    total: int, there: set[int], order: object, workers: int
) -> None:
    work = work_of(total=total, planned=True)
    starts = list(range(0, total, LENGTH))
    for place in there:
        if place < len(starts):
            work.made(starts[place], min(starts[place] + LENGTH, total), ended=False)
    made: list[int] = []
    at: dict[int, int | None] = dict.fromkeys(range(workers))
    busy: dict[int, SegmentPlan] = {}
    while not work.complete:
        for worker in range(workers):
            if worker not in busy and (segment := work.next_segment(at[worker])):
                assert segment.start not in work.taken
                work.taken.add(segment.start)
                busy[worker] = segment
        worker = order.choice(sorted(busy))  # type: ignore[attr-defined]
        segment = busy.pop(worker)
        made.append(segment.start)
        work.made(segment.start, segment.stop, ended=False)
        at[worker] = segment.stop
    missing = [start for place, start in enumerate(starts) if place not in there]
    assert sorted(made) == missing


def test_a_second_worker_begins_in_the_middle() -> None:
    work = work_of(total=80, planned=True)
    work.taken.add(0)
    segment = work.next_segment()
    assert segment
    assert segment.start == 40  # of the nine that are left, the fifth


def test_what_was_made_from_wrong_places_is_forgotten() -> None:
    work = work_of(total=80, planned=True)
    for start in (0, 8, 24, 40):
        work.made(start, start + LENGTH, ended=False)
    work.distrust()
    assert work.next_segment() is None
    assert not work.complete
    assert work.untrue_from == 16
    work.forget()
    assert work.segments == {0: 8, 8: 16}
    assert work.next_segment() == SegmentPlan(start=16, stop=24)
    assert not work.worth_splitting


@pytest.mark.parametrize(("left", "worth"), [(40, True), (16, True), (8, False)])
def test_a_few_frames_are_left_to_one_worker(left: int, worth: bool) -> None:
    work = work_of()
    work.expected = left
    assert work.worth_splitting is worth


@pytest.mark.parametrize(
    ("task", "error", "waits"),
    [
        ("make", MediaError("gone"), [1, 10, 60, None]),  # a disk may come back
        ("make", LostWorkerError("died"), [0, 0, 0, None]),  # another worker is there
        ("join", StaleLedgerError("another machine"), [1, 10, 60, None]),
        ("make", StaleLedgerError("another machine"), [None]),
        ("join", VerificationError("a frame is missing"), [None]),
        ("plan", MediaError("no video"), [1, None]),  # the file itself, if it says the same twice
    ],
)
def test_a_failure_is_tried_again_where_that_may_help(
    task: str, error: CiaoVideoError, waits: list[float | None]
) -> None:
    work = work_of()
    assert [work.failed(task, error, retries=3, away=False) for _ in waits] == waits


def test_a_folder_that_is_away_costs_no_attempt() -> None:
    work = work_of()
    for _ in range(9):
        assert work.failed("plan", MediaError("no folder"), retries=0, away=True) == 1
    assert work.stage == "waiting"
    assert work.failed("plan", MediaError("no video"), retries=0, away=False) is None

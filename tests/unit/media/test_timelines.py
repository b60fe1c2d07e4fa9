"""Made-up timelines: the frames that a file shows, each at its time, are those that come out.

What a file shows is known from how it was made, not from reading it.
"""

import tempfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciaovideo.media.codecs.choice import choose_codec
from ciaovideo.media.read.probe import probe
from ciaovideo.media.read.reader import VideoReader
from ciaovideo.media.selection import Selection
from ciaovideo.media.streams.copier import StreamCopier
from ciaovideo.media.streams.plan import StreamPlan, plan_streams
from ciaovideo.media.write.writer import VideoTarget, VideoWriter
from ciaovideo.options import EncodeOptions, InputOptions
from ciaovideo.pipeline.verification.contract import Contract
from ciaovideo.pipeline.verification.verify import contract_between, verify_contract
from tests.media import make_clip, read_counter
from tests.places import container_of

TICK = Fraction(1, 1000)
LAST = 40  # ticks that the last frame is shown
Shown = list[tuple[int, Fraction]]  # number and time of each frame


@dataclass(frozen=True)
class Timeline:
    """Times in milliseconds; an edit list hides so many frames of each end."""

    suffix: str
    first: int
    steps: tuple[int, ...]
    reordered: bool
    hidden: tuple[int, int] = (0, 0)

    @property
    def pts(self) -> list[int]:
        times = [self.first]
        for step in self.steps:
            times.append(times[-1] + step)
        return times

    def make(self, path: Path) -> Shown:
        """Write it; what it shows."""
        options = {"preset": "ultrafast", "g": "5", "bf": "2" if self.reordered else "0"}
        make_clip(
            path,
            width=64,
            height=48,
            counter=True,
            pts=tuple(self.pts),
            time_base=TICK,
            last_duration=LAST,
            options=options,
        )
        front, back = self.hidden
        count = len(self.pts)
        if front or back:
            ends = [*self.pts, self.pts[-1] + LAST]
            edit(path, ends[front] - ends[0], ends[count] - ends[count - back])
        moved = self.pts[front] - self.first
        return [
            (number, (self.pts[number] - moved) * TICK) for number in range(front, count - back)
        ]


def edit(path: Path, front: int, back: int) -> None:
    """Let the last entry of a file's edit list begin later and end earlier, in milliseconds."""
    data = bytearray(path.read_bytes())
    box = data.index(b"elst")
    assert data[box + 4] == 0, "times of 32 bits"
    entry = box + 12 + 12 * (int.from_bytes(data[box + 8 : box + 12]) - 1)
    clock = data.index(b"mdhd")
    rate = int.from_bytes(data[clock + 16 : clock + 20])
    for place, change in ((entry, -front - back), (entry + 4, front * rate // 1000)):
        value = int.from_bytes(data[place : place + 4]) + change
        data[place : place + 4] = value.to_bytes(4)
    path.write_bytes(data)


@st.composite
def timelines(draw: st.DrawFn) -> Timeline:
    suffix = draw(st.sampled_from([".mp4", ".mkv", ".mov"]))
    steps = tuple(draw(st.lists(st.integers(1, 400), min_size=3, max_size=11)))
    hidden = (0, 0)
    if suffix != ".mkv" and draw(st.booleans()):
        hidden = draw(st.integers(0, 2)), draw(st.integers(0, 1))
    return Timeline(suffix, draw(st.integers(0, 900)), steps, draw(st.booleans()), hidden)


def through(source: Path, output: Path, options: InputOptions) -> tuple[StreamPlan, Contract]:
    """Code the part asked for again at its own size."""
    facts = probe(source, Selection.asked(options), options)
    with VideoReader(facts, options=options) as reader:
        info, size = reader.info, (reader.info.height, reader.info.width)
        choice = choose_codec(
            EncodeOptions(preset="ultrafast"), container_of(output), info.pix_fmt, *size
        )
        plan = plan_streams(facts, container_of(output), reader.selection)
        with (
            StreamCopier(plan) as copier,
            VideoWriter(output, VideoTarget.of(info, choice, size), copier) as writer,
        ):
            for frame in reader.frames():
                writer.write(frame)
    return plan, Contract(streams=plan, selection=Selection.asked(options))


def shown_by(path: Path) -> Shown:
    with VideoReader(path) as reader:
        return [(read_counter(f.planes[0].numpy()), f.time) for f in reader.frames()]


@given(timeline=timelines(), go=st.sampled_from([".mp4", ".mkv", ".mov"]))
@settings(max_examples=25)
@pytest.mark.heavy
def test_every_frame_at_its_time(timeline: Timeline, go: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source, output = Path(folder, f"in{timeline.suffix}"), Path(folder, f"out{go}")
        shown = timeline.make(source)
        assert shown_by(source) == shown
        plan, contract = through(source, output, InputOptions())
        assert plan.offset == 0
        assert shown_by(output) == shown
        told = verify_contract(output, contract)
        assert told.wrong == ()
        assert [one.subject for one in told.findings] == ["video"] * any(timeline.hidden)


@given(
    timeline=timelines(),
    go=st.sampled_from([".mp4", ".mkv", ".mov"]),
    places=st.tuples(st.integers(0, 10), st.integers(1, 11), st.integers(-1, 1)),
)
@settings(max_examples=35)
@pytest.mark.heavy
def test_the_frames_of_a_part(timeline: Timeline, go: str, places: tuple[int, int, int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source, output = Path(folder, f"in{timeline.suffix}"), Path(folder, f"out{go}")
        shown = timeline.make(source)
        origin = shown[0][1]
        since = [*(time - origin for _, time in shown), shown[-1][1] - origin + 1]
        first = min(places[0], len(shown) - 1)
        stop = min(first + places[1], len(shown))
        start, end = (max(since[p] + places[2] * TICK, Fraction(0)) for p in (first, stop))
        wanted = [(n, time) for n, time in shown if start <= time - origin < end]
        if end <= start or not wanted:
            return
        options = InputOptions(start=f"{float(start):.3f}", end=f"{float(end):.3f}")
        plan, contract = through(source, output, options)
        assert plan.offset == (-wanted[0][1] if start else 0)
        assert shown_by(output) == [(n, time + plan.offset) for n, time in wanted]
        assert verify_contract(output, contract).findings == ()


@pytest.mark.parametrize("part", [{}, {"start": "0.04"}, {"start": "0.04", "end": "9"}], ids=str)
def test_hidden_frames_are_not_promised(tmp_path: Path, part: dict[str, Any]) -> None:
    source = tmp_path / "in.mp4"
    shown = Timeline(".mp4", 0, (40,) * 9, False, hidden=(2, 1)).make(source)
    with VideoReader(source, options=InputOptions(**part)) as reader:
        assert reader.info.frame_count == len(shown) - bool(part)
        assert len(list(reader.frames())) == len(shown) - bool(part)


def test_hidden_frames_are_neither_timed_nor_taken_for_shown(tmp_path: Path) -> None:
    whole, hiding = tmp_path / "whole.mp4", tmp_path / "hiding.mp4"
    Timeline(".mp4", 0, (40,) * 9, False).make(whole)
    shown = Timeline(".mp4", 0, (40,) * 9, False, hidden=(2, 1)).make(hiding)
    assert probe(hiding).packets.frame_times == tuple(time for _, time in shown)
    told = verify_contract(hiding, contract_between(hiding, hiding)).findings
    assert "the file's edit list hides 3 pictures, which are left out as in players" in map(
        str, told
    )
    wrong = verify_contract(hiding, contract_between(whole, hiding)).wrong
    assert "video: an edit list hides 3 frames" in map(str, wrong)

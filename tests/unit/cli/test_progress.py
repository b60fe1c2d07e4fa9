"""What is said between the start and the summary where there is no terminal."""

import fcntl
import os
import pty
import struct
import sys
import termios
from dataclasses import dataclass
from io import TextIOWrapper
from select import select

import pytest

from ciaovideo.cli.progress import LINE_EVERY_S, frame_bar


@dataclass
class Count:
    frames: int
    total: int


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def lines_of(
    capsys: pytest.CaptureFixture[str], frame_s: float, frames: int, total: int, quiet: bool = False
) -> list[str]:
    """What a run prints whose frames take as long as that."""
    clock = Clock()
    with frame_bar(total, quiet=quiet, clock=clock) as on_progress:
        for number in range(1, frames + 1):
            clock.now += frame_s
            on_progress(Count(number, total))
    printed = capsys.readouterr()
    assert not printed.out
    return printed.err.splitlines()


def test_a_log_gets_a_line_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    assert lines_of(capsys, 4, 40, 200) == [
        "7.5%, 15 of 200 frames, 0.25 frames/s, 0:12:20 left",
        "15.0%, 30 of 200 frames, 0.25 frames/s, 0:11:20 left",
    ]


def test_slow_frames_have_a_line_each_and_no_arrears(capsys: pytest.CaptureFixture[str]) -> None:
    assert lines_of(capsys, 2.5 * LINE_EVERY_S, 3, 4000) == [
        "0.0%, 1 of 4000 frames, 0.01 frames/s, 6 days, 22:37:30 left",
        "0.1%, 2 of 4000 frames, 0.01 frames/s, 6 days, 22:35:00 left",
        "0.1%, 3 of 4000 frames, 0.01 frames/s, 6 days, 22:32:30 left",
    ]


def test_an_unknown_number_of_frames_has_no_share(capsys: pytest.CaptureFixture[str]) -> None:
    assert lines_of(capsys, 0.5, 121, 0) == ["120 frames, 2.00 frames/s"]


def test_more_frames_than_the_file_claims(capsys: pytest.CaptureFixture[str]) -> None:
    assert lines_of(capsys, 30, 3, 1)[0].endswith("2 of 1 frames, 0.03 frames/s, 0:00:00 left")


def test_short_runs_and_quiet_ones_have_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert lines_of(capsys, LINE_EVERY_S / 11, 10, 10) == []
    assert lines_of(capsys, LINE_EVERY_S, 10, 10, quiet=True) == []


def test_frames_that_were_there_before_count_for_no_rate(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nor does the time that it takes to come to the first one that was not."""
    clock = Clock()
    with frame_bar(200, done=100, quiet=False, clock=clock) as on_progress:
        clock.now += 10 * LINE_EVERY_S
        for number in range(100, 117):
            on_progress(Count(number, 200))
            clock.now += 4
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "50.5%, 101 of 200 frames, 0.25 frames/s, 0:06:36 left"
    assert lines[1].startswith("57.5%, 115 of 200 frames, 0.25 frames/s")


def test_a_bar_begins_to_count_where_the_run_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    clock = Clock()
    monkeypatch.setattr("tqdm.std.time", clock)
    with TextIOWrapper(os.fdopen(theirs, "wb", 0), write_through=True) as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with frame_bar(200, done=100, quiet=False) as on_progress:
            clock.now += 600
            on_progress(Count(100, 200))
            clock.now += 4
            on_progress(Count(101, 200))
        shown = b""
        while select([ours], [], [], 0)[0]:
            shown += os.read(ours, 4096)
        monkeypatch.undo()
    os.close(ours)
    assert b"101/200 [00:04<06:36" in shown


@pytest.mark.parametrize(("columns", "drawn"), [(0, False), (20, True)])
def test_a_bar_is_drawn_within_the_width_if_there_is_one(
    monkeypatch: pytest.MonkeyPatch, columns: int, drawn: bool
) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    clock = Clock()
    with TextIOWrapper(os.fdopen(theirs, "wb", 0), write_through=True) as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with frame_bar(2, quiet=False, clock=clock) as on_progress:
            clock.now += LINE_EVERY_S
            on_progress(Count(1, 2))
        shown = b""
        while select([ours], [], [], 0)[0]:
            shown += os.read(ours, 4096)
        monkeypatch.undo()
    os.close(ours)
    assert (b"1 of 2 frames" in shown) != drawn
    if drawn:
        assert b"1/2" in shown
        assert max(map(len, shown.decode().replace("\n", "\r").split("\r"))) <= columns

"""A segment's file gives back exactly what was put into it, or counts for nothing."""

import errno
import os
import random
import stat
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from ciaovideo.errors import EncodeError, OpenError, StaleLedgerError
from ciaovideo.storage.segments import (
    HEAD,
    KIND,
    MAGIC,
    CodedFrame,
    CodedPacket,
    Entry,
    NewSegment,
    Segment,
    Tally,
    joined,
)

FACTS = {"source": "a file", "network": "a network"}
MEGABYTE = 1 << 20


def entries(start: int, stop: int, *, late: int = 0) -> list[Entry]:
    """Frames with packets that come as they do without reordering, ``late`` ticks early."""
    made: list[Entry] = []
    for number in range(start, stop):
        made.append(CodedFrame(10 * number, 10))
        dts = 10 * (number - start) - late
        made.append(CodedPacket(bytes([number]) * 9, 10 * number, dts, 10, number == start))
    return made


def written(path: Path, start: int = 0, stop: int = 4, *, late: int = 0) -> Segment:
    with NewSegment(path, start, "config", FACTS) as segment:
        segment.add(*entries(start, stop, late=late))
        return segment.finish(Tally(stop - start, 100))


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    segment = written(path := tmp_path / "one.segment", 120, 124)
    assert Segment.read(path) == segment
    assert (segment.start, segment.stop, segment.frames) == (120, 124, 4)
    assert segment.tally == Tally(4, 100)
    assert segment.fingerprint == FACTS
    assert list(segment.entries()) == entries(120, 124)
    assert list(tmp_path.iterdir()) == [path]


def test_damage_anywhere_never_counts(tmp_path: Path) -> None:
    segment = written(path := tmp_path / "one.segment")
    data = path.read_bytes()
    chance = random.Random(0)
    for at in (*range(len(data)), *[-1] * 200):
        damaged = bytearray(data)
        if at >= 0:
            damaged[at] ^= 1 << chance.randrange(8)
        else:
            del damaged[chance.randrange(len(data)) :]
            damaged += chance.choice((b"", b"\0" * 99, b"\xff" * 3))
        path.write_bytes(damaged)
        try:
            assert Segment.read(path) is None, at
        except StaleLedgerError:
            assert at == len(KIND)  # which is the number of its version
        with pytest.raises(StaleLedgerError):
            list(segment.entries())
    path.write_bytes(data + b"P")
    assert Segment.read(path) is None


def test_it_has_its_name_once_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "one.segment"
    steps: list[tuple[bool, bool]] = []  # whether a folder was synced, and the name was there
    fsync = os.fsync

    def noted(handle: int) -> None:
        steps.append((folder := stat.S_ISDIR(os.fstat(handle).st_mode), path.exists()))
        if folder:
            raise OSError(errno.EINVAL, "as some file systems have it")
        fsync(handle)

    monkeypatch.setattr("os.fsync", noted)
    with NewSegment(path, 0, "config", FACTS) as segment:
        segment.add(*entries(0, 4))
        assert not path.exists()
        segment.finish(Tally())
    assert steps == [(False, False), (True, True)]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_what_is_not_finished_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "one.segment"

    def stopped() -> None:
        with NewSegment(path, 0, "config", FACTS) as segment:
            segment.add(*entries(0, 4))
            raise error

    with pytest.raises(error):
        stopped()
    assert list(tmp_path.iterdir()) == []


def test_two_may_make_the_same_segment(tmp_path: Path) -> None:
    path = tmp_path / "one.segment"
    with (
        NewSegment(path, 0, "config", FACTS) as first,
        NewSegment(path, 0, "config", FACTS) as other,
    ):
        for number, entry in enumerate(entries(0, 4)):
            first.add(entry)
            if number < 4:
                other.add(entry)
        finished = first.finish(Tally(4, 4))
    assert Segment.read(path) == finished
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_is_full_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(EncodeError, match="check the disk's space"):
        written(tmp_path / "one.segment")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(EncodeError, match="No such file or directory"):
        written(tmp_path / "folder" / "one.segment")


def test_memory_is_bounded_by_a_packet(tmp_path: Path) -> None:
    def many() -> Iterator[Entry]:
        for number in range(64):
            yield CodedFrame(number, 1)
            yield CodedPacket(bytes(MEGABYTE), number, number, 1, True)

    path = tmp_path / "one.segment"
    tracemalloc.start()
    try:
        with NewSegment(path, 0, "config", FACTS) as segment:
            for entry in many():
                segment.add(entry)
            finished = segment.finish(Tally())
        assert Segment.read(path) == finished
        assert sum(1 for _ in joined([finished])) == 128
        assert tracemalloc.get_traced_memory()[1] < 8 * MEGABYTE
    finally:
        tracemalloc.stop()


def test_a_damaged_size_asks_for_no_memory(tmp_path: Path) -> None:
    written(path := tmp_path / "one.segment")
    data = bytearray(path.read_bytes())
    first = data.index(b"\n", len(MAGIC)) + 1
    data[first + HEAD.size - 4 : first + HEAD.size] = b"\xff" * 4
    path.write_bytes(data)
    tracemalloc.start()
    try:
        assert Segment.read(path) is None
        assert tracemalloc.get_traced_memory()[1] < 16 * MEGABYTE
    finally:
        tracemalloc.stop()


def test_that_of_another_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "one.segment"
    path.write_bytes(kept := KIND + b"99\n" + b"and more")
    with pytest.raises(StaleLedgerError, match="version"):
        Segment.read(path)
    assert path.read_bytes() == kept


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (path := tmp_path / "one.segment").mkdir()
    with pytest.raises(OpenError, match=f"reading {path}: Is a directory"):
        Segment.read(path)


def test_joining_goes_on_with_decoding_times(tmp_path: Path) -> None:
    """Two ticks early, as the first segment's encoder has it; those of the others do not count."""
    segments = [
        written(tmp_path / "0.segment", 0, 4, late=20),
        written(tmp_path / "4.segment", 4, 8, late=30),
        written(tmp_path / "8.segment", 8, 9, late=999),
    ]
    made = list(joined(segments))
    packets = [entry for entry in made if isinstance(entry, CodedPacket)]
    assert [packet.dts for packet in packets] == [10 * (number - 2) for number in range(9)]
    assert [packet.pts for packet in packets] == [10 * number for number in range(9)]
    assert [packet.data for packet in packets] == [bytes([number]) * 9 for number in range(9)]
    frames = [entry.pts for entry in made if isinstance(entry, CodedFrame)]
    assert frames == [10 * number for number in range(9)]

"""A ledger gives back exactly what was put into it, or less, whatever became of the file."""

import errno
import os
import random
import stat
import tracemalloc
from pathlib import Path

import pytest

from ciaovideo.errors import OpenError, StaleLedgerError
from ciaovideo.storage.segments import (
    HEAD,
    MAGIC,
    CodedFrame,
    CodedPacket,
    Entry,
    Ledger,
    SegmentEnd,
)

FACTS = {"source": "a file", "network": "a network"}


def filled(path: Path, segments: int = 4) -> tuple[list[Entry], list[int]]:
    """Write a ledger: its entries, and how many there are at the end of each segment."""
    entries: list[Entry] = []
    ends = [0]
    with Ledger(path, FACTS).open() as ledger:
        for number in range(segments):
            for frame in (2 * number, 2 * number + 1):
                for entry in (
                    CodedFrame(frame, 1),
                    CodedPacket(bytes([frame]) * 9, frame, frame - 2, 1, frame % 2 == 0),
                ):
                    ledger.add(entry)
                    entries.append(entry)
            ledger.computed, ledger.pixels = 2 * number + 2, 100 * number
            ledger.finish(2 * number + 2)
            entries.append(SegmentEnd(2 * number + 2, 2 * number + 2, 100 * number))
            ends.append(len(entries))
    return entries, ends


def test_damage_anywhere_never_counts(tmp_path: Path) -> None:
    entries, ends = filled(path := tmp_path / "ledger")
    data = path.read_bytes()
    assert list(Ledger(path, FACTS).entries()) == entries
    chance = random.Random(0)
    refused = 0
    for _ in range(600):
        damaged = bytearray(data)
        for _ in range(chance.randint(1, 3)):
            damaged[chance.randrange(len(data))] = chance.randrange(256)
        cut = chance.choice((len(data), chance.randrange(len(data))))
        path.write_bytes(damaged[:cut] + chance.choice((b"", b"\0" * 99)))
        try:
            found = Ledger(path, FACTS)
        except StaleLedgerError:  # the line of facts says something else
            refused += 1
            continue
        read = list(found.entries())
        assert len(read) in ends
        assert read == entries[: len(read)]
        assert found.last.frames == 2 * ends.index(len(read))
    assert refused < 400


def test_a_damaged_size_asks_for_no_memory(tmp_path: Path) -> None:
    filled(path := tmp_path / "ledger")
    data = bytearray(path.read_bytes())
    first = data.index(b"\n", len(MAGIC)) + 1
    data[first + HEAD.size - 4 : first + HEAD.size] = b"\xff" * 4
    path.write_bytes(data)
    tracemalloc.start()
    try:
        assert Ledger(path, FACTS).last.frames == 0
        assert tracemalloc.get_traced_memory()[1] < 1 << 24
    finally:
        tracemalloc.stop()


def test_its_name_is_on_the_disk_with_the_first_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[bool] = []
    fsync = os.fsync

    def noted(handle: int) -> None:
        synced.append(folder := stat.S_ISDIR(os.fstat(handle).st_mode))
        if folder:
            raise OSError(errno.EINVAL, "as some file systems have it")
        fsync(handle)

    monkeypatch.setattr("os.fsync", noted)
    filled(tmp_path / "ledger", segments=2)
    assert synced == [False, True, False]


def test_that_of_another_version_is_left_alone(tmp_path: Path) -> None:
    (path := tmp_path / "ledger").write_bytes(kept := MAGIC.replace(b"1", b"2") + b"and more")
    with pytest.raises(StaleLedgerError, match="another version"):
        Ledger(path, FACTS)
    assert path.read_bytes() == kept


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (path := tmp_path / "ledger").mkdir()
    with pytest.raises(OpenError, match=f"reading {path}: Is a directory"):
        Ledger(path, FACTS)


def test_one_that_shrinks_is_not_taken_for_a_short_one(tmp_path: Path) -> None:
    filled(path := tmp_path / "ledger")
    ledger = Ledger(path, FACTS)
    os.truncate(path, ledger.end - 1)
    with pytest.raises(StaleLedgerError, match="changed while"):
        list(ledger.entries())

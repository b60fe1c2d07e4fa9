"""A folder of segments: what is whole counts, what is missing is known, the rest is refused."""

from pathlib import Path

import pytest

from ciaovideo.errors import EncodeError, OpenError, StaleLedgerError
from ciaovideo.storage.ledger import Fingerprint, Ledger
from ciaovideo.storage.segments import CodedFrame, CodedPacket, Tally

FACTS = {"source": "a file", "network": "a network"}


@pytest.fixture(autouse=True)
def _short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ciaovideo.storage.ledger.LENGTH", 4)


def add(ledger: Ledger, start: int, stop: int) -> None:
    with ledger.begin(start, "config") as segment:
        for number in range(start, stop):
            segment.add(CodedFrame(number, 1), CodedPacket(b"data", number, number, 1, True))
        ledger.keep(segment.finish(Tally(1, 10)))


def filled(path: Path, *starts: int) -> Ledger:
    with Ledger(path, Fingerprint(FACTS)).open() as ledger:
        for start in starts:
            add(ledger, start, start + 4)
    return ledger


@pytest.mark.parametrize(
    ("starts", "missing"),
    [
        ((), [(0, None)]),
        ((0,), [(4, None)]),
        ((0, 4), [(8, None)]),
        ((4,), [(0, 4), (8, None)]),
        ((12, 0), [(4, 12), (16, None)]),
    ],
)
def test_what_is_missing(
    tmp_path: Path, starts: tuple[int, ...], missing: list[tuple[int, int | None]]
) -> None:
    path = tmp_path / "ledger"
    for ledger in (filled(path, *starts), Ledger(path, Fingerprint(FACTS))):
        assert ledger.missing() == missing
        assert ledger.frames == 4 * len(starts)
        assert ledger.tally == Tally(len(starts), 10 * len(starts))
        assert list(ledger.segments) == sorted(starts)


def test_what_is_damaged_is_missing_and_made_anew(tmp_path: Path) -> None:
    filled(path := tmp_path / "ledger", 0, 4, 8)
    file = sorted(path.iterdir())[1]
    file.write_bytes(file.read_bytes()[:-1])
    ledger = Ledger(path, Fingerprint(FACTS))
    assert ledger.missing() == [(4, 8), (12, None)]
    with ledger.open():
        add(ledger, 4, 8)
    assert Ledger(path, Fingerprint(FACTS)).missing() == [(12, None)]


def test_without_a_segment_nothing_stays(tmp_path: Path) -> None:
    with Ledger(path := tmp_path / "ledger", Fingerprint(FACTS)).open() as ledger:
        segment = ledger.begin(0, "config")
        assert len(list(path.iterdir())) == 1
        segment.discard()
    assert not path.exists()


def test_leftovers_of_a_killed_run_go_when_the_next_begins(tmp_path: Path) -> None:
    filled(path := tmp_path / "ledger", 0)
    (left := path / "0000000004.segment.99aa.part").write_bytes(b"half")
    ledger = Ledger(path, Fingerprint(FACTS))
    assert left.exists()  # it may be another run's that is at work
    with ledger.open():
        assert not left.exists()
    assert ledger.missing() == [(4, None)]


def test_deleting_leaves_what_others_put_there(tmp_path: Path) -> None:
    ledger = filled(path := tmp_path / "ledger", 0, 4)
    (other := path / "notes.txt").write_text("mine")
    ledger.delete()
    assert list(path.iterdir()) == [other]
    assert ledger.missing() == [(0, None)]
    other.unlink()
    ledger.delete()
    ledger.delete()
    assert not path.exists()


def test_other_facts_are_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(path := tmp_path / "ledger", 0)
    kept = {file: file.read_bytes() for file in path.iterdir()}
    with pytest.raises(StaleLedgerError, match="source"):
        Ledger(path, Fingerprint(FACTS | {"source": "another"}))
    with pytest.raises(StaleLedgerError, match=r"source.*network"):
        Ledger(path, Fingerprint(dict.fromkeys(FACTS, "another")))
    with pytest.raises(StaleLedgerError, match="network"):
        Ledger(path, Fingerprint(FACTS | {"network": "another"}, given=frozenset({"network"})))
    with pytest.raises(StaleLedgerError, match=r"source.*delete"):
        Ledger(path, Fingerprint(FACTS | {"source": "another"}, given=frozenset({"network"})))
    monkeypatch.setattr("ciaovideo.storage.ledger.LENGTH", 5)
    with pytest.raises(StaleLedgerError, match="segments"):
        Ledger(path, Fingerprint(FACTS))
    assert {file: file.read_bytes() for file in path.iterdir()} == kept


def test_the_one_file_of_an_earlier_version_is_refused(tmp_path: Path) -> None:
    (path := tmp_path / "ledger").write_bytes(b"ciaovideo ledger 1\n")
    with pytest.raises(StaleLedgerError, match="version") as refused:
        Ledger(path, Fingerprint(FACTS))
    assert "delete it" in refused.value.hint
    assert path.exists()


def test_what_cannot_be_read_or_made_is_named(tmp_path: Path) -> None:
    (broken := tmp_path / "ledger" / "0000000000.segment").mkdir(parents=True)
    with pytest.raises(OpenError, match=f"reading {broken}"):
        Ledger(broken.parent, Fingerprint(FACTS))
    with pytest.raises(EncodeError, match="No such file or directory"):
        Ledger(tmp_path / "gone" / "ledger", Fingerprint(FACTS)).open()

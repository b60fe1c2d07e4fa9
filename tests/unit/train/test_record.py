"""The files that a run tells its figures in."""

from pathlib import Path

import pytest

from ciaovideo.train.record import LOG, VALIDATION, Record, read_losses, read_psnrs


def test_half_a_line_spoils_neither_reading_nor_what_follows(tmp_path: Path) -> None:
    (tmp_path / LOG).write_text("1,0.5\n2,0.25\n3,", encoding="utf-8")
    (tmp_path / VALIDATION).write_text("step,scale\n2,2,30.5\n4,2", encoding="utf-8")
    written = Record(tmp_path, 9)
    written.trained(4, {"loss": 0.125})
    written.validated(4, {2.0: 31.5})
    written.flush(4, 0.125)
    assert read_losses(tmp_path) == [(1, 0.5), (2, 0.25), (4, 0.125)]
    assert read_psnrs(tmp_path) == {"x2": [(2, 30.5), (4, 31.5)]}


def test_a_full_disk_leaves_the_log_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = Record(tmp_path, 9)
    written.flush(1, 0.5)

    class Full:
        def __init__(self, sink: object) -> None:
            self.sink = sink

        def writerows(self, lines: list[list[str]]) -> None:
            self.sink.write("1,0.")  # type: ignore[attr-defined]
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("csv.writer", Full)
        with pytest.raises(OSError, match="No space"):
            written.flush(2, 0.25)
    assert read_losses(tmp_path) == [(1, 0.5)]
    assert [path.name for path in tmp_path.iterdir()] == [LOG]

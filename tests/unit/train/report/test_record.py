"""The files that a run tells its figures in."""

from pathlib import Path
from typing import TextIO

import pytest

from ciaovideo.train.report.record import LOG, VALIDATION, Record, read_losses, read_psnrs


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
        def __init__(self, sink: TextIO) -> None:
            self.sink = sink

        def writerows(self, lines: list[list[str]]) -> None:
            self.sink.write("1,0.")
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("csv.writer", Full)
        with pytest.raises(OSError, match="No space"):
            written.flush(2, 0.25)
    assert read_losses(tmp_path) == [(1, 0.5)]
    assert [path.name for path in tmp_path.iterdir()] == [LOG]


def test_lines_beyond_the_checkpoint_are_written_again(tmp_path: Path) -> None:
    killed = Record(tmp_path, 9)
    for step in (1, 2):  # the checkpoint of step 2 was never written
        killed.validated(step, {2.0: 30.0 + step})
        killed.flush(step, 1 / step)
    resumed = Record(tmp_path, 9)
    resumed.start(1)
    resumed.validated(2, {2.0: 32.0})
    resumed.flush(2, 0.5)
    resumed.flush(3, 0.25)
    assert read_losses(tmp_path) == [(1, 1), (2, 0.5), (3, 0.25)]
    assert read_psnrs(tmp_path) == {"x2": [(1, 31), (2, 32)]}
    resumed.close()
    Record(tmp_path, 9).flush(3, 0.25)  # weights that are missing are saved again at the end
    assert len(read_losses(tmp_path)) == 3

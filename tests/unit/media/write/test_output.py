"""What a destination knows of its kind of output; its checks are tested with ``storage``."""

import os
from pathlib import Path

import pytest

from ciaovideo.errors import OptionError
from ciaovideo.media.write.output import Destination
from ciaovideo.storage.claims import ledger_path


def test_the_name_of_pictures_is_parsed_once(tmp_path: Path) -> None:
    destination = Destination.of(tmp_path / "a%03d.png")
    assert destination.pictures is not None
    assert destination.pictures.file(7) == tmp_path / "a007.png"
    assert Destination.of(tmp_path / "a.mkv").pictures is None
    with pytest.raises(OptionError, match="2 number patterns"):
        Destination.of(tmp_path / "a%d_%03d.png")


def test_what_earlier_runs_left_is_looked_for_beside_files_alone(tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    (tmp_path / ".out.7.part.mkv").write_bytes(b"half")
    ledger_path(output).mkdir()
    destination = Destination.of(output)
    assert [one.subject for one in destination.leftovers(resumed=True)] == ["temporary file"]
    told = [one.subject for one in destination.leftovers(resumed=False)]
    assert told == ["temporary file", "finished frames"]
    os.mkfifo(pipe := tmp_path / "out.y4m")
    (tmp_path / ".out.7.part.y4m").write_bytes(b"half")
    assert Destination.of(pipe).leftovers(resumed=False) == ()


def test_only_pictures_are_moved_that_a_run_left(tmp_path: Path) -> None:
    output = tmp_path / "%d.png"
    (left := tmp_path / ".%d.7.part.png").mkdir()
    (left / "1.png").write_text("new")
    (left / "moves").write_text('{"delete": [], "move": ["1.png"]}')
    Destination.of(output.with_name("%d.mkv")).finish_storing()
    assert not (tmp_path / "1.png").exists()
    Destination.of(output).finish_storing()
    assert [path.name for path in tmp_path.iterdir()] == ["1.png"]

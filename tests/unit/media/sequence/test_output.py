"""Pictures that get their place together: also where a run ends while it moves them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ciaovideo.errors import OutputExistsError
from ciaovideo.media.sequence.output import atomic_pictures, finish_storing
from ciaovideo.storage.claims import declare_whole

CUT_OFF = """
import os, sys
from pathlib import Path
from ciaovideo.media.sequence.output import atomic_pictures

output, moves = Path(sys.argv[1]), int(sys.argv[2])
really = Path.replace

def replace(path, target):
    global moves
    if not moves:
        os.kill(os.getpid(), 9)
    moves -= 1
    return really(path, target)

with atomic_pictures(output, overwrite=True) as pictures:
    for number in (3, 4, 5):
        pictures.with_name(f"{number}.png").write_text(f"new {number}")
    Path.replace = replace
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("moves", [0, 1, 2])
def test_what_a_killed_run_did_not_move_is_moved_later(tmp_path: Path, moves: int) -> None:
    """Older pictures with other numbers are gone by then, and not one of the new ones is lost."""
    for number in (1, 4, 9):
        (tmp_path / f"{number}.png").write_text("old")
    output = tmp_path / "%d.png"
    words = [sys.executable, "-c", CUT_OFF, str(output), str(moves)]
    assert subprocess.run(words, check=False).returncode == -signal.SIGKILL
    (hidden,) = tmp_path.glob(".*")
    assert {"5.png", "4.png", "3.png"} - {*names(hidden)} == {*["5.png", "4.png"][:moves]}
    finish_storing(output)
    assert names(tmp_path) == ["3.png", "4.png", "5.png"]
    assert [(tmp_path / f"{n}.png").read_text() for n in (3, 4, 5)] == ["new 3", "new 4", "new 5"]
    finish_storing(output)


def test_pictures_that_a_run_is_moving_are_left_to_it(tmp_path: Path) -> None:
    output = tmp_path / "%d.png"
    with atomic_pictures(output) as pictures:
        pictures.with_name("1.png").write_text("new")
        whole = declare_whole(pictures.parent)
        with pytest.raises(OutputExistsError, match=f"by process {os.getpid()}"):
            finish_storing(output)
        assert names(whole) == ["1.png"]
        whole.rename(pictures.parent)
    assert names(tmp_path) == ["1.png"]

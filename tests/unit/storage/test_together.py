"""Files that get their places together: also where a run ends while it moves them."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ciaovideo.errors import EncodeError, OutputExistsError, VerificationError
from ciaovideo.storage.atomic import MOVES, atomic_folder, finish_storing, move_together
from ciaovideo.storage.claims import leftovers

ORDER = ["c", "a", "b"]
CUT_OFF = """
import os, sys
from pathlib import Path
from ciaovideo.storage.atomic import atomic_folder, move_together

output, steps = Path(sys.argv[1]), int(sys.argv[2])

def counted(step):
    def cut_off(*arguments, **options):
        global steps
        if not steps:
            os.kill(os.getpid(), 9)
        steps -= 1
        return step(*arguments, **options)
    return cut_off

with atomic_folder(output) as folder:
    for name in "abc":
        (folder / name).write_text(f"new {name}")
    for name in ("replace", "unlink", "rmdir"):
        setattr(Path, name, counted(getattr(Path, name)))
    move_together(output, folder, ["c", "a", "b"], obsolete=["old", "gone"])
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fill(folder: Path) -> Path:
    for name in ORDER:
        (folder / name).write_text(f"new {name}")
    return folder


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out.png"


# Once there is the list (two steps): two deletions, three moves, and the list is deleted.
@pytest.mark.parametrize("steps", range(1, 8))
def test_what_a_killed_run_did_not_do_is_done_later(
    tmp_path: Path, output: Path, steps: int
) -> None:
    """Wherever it ended, not one of the new files is lost, and no old one is left."""
    for name in ("old", "a", "other"):
        (tmp_path / name).write_text(name)
    words = [sys.executable, "-c", CUT_OFF, str(output), str(steps)]
    assert subprocess.run(words, check=False).returncode == -signal.SIGKILL
    (hidden,) = tmp_path.glob(".*")
    assert {*ORDER} - {*names(hidden)} == {*ORDER[: max(0, steps - 4)]}
    assert (tmp_path / "old").exists() is (steps <= 2)
    finish_storing(output)
    assert names(tmp_path) == ["a", "b", "c", "other"]
    assert [(tmp_path / name).read_text() for name in ORDER] == [f"new {name}" for name in ORDER]
    finish_storing(output)


def test_files_that_a_run_still_makes_or_moves_are_left_to_it(tmp_path: Path, output: Path) -> None:
    with atomic_folder(output) as folder:
        fill(folder)
        finish_storing(output)
        (folder / MOVES).write_text(json.dumps({"delete": [], "move": ORDER}))
        with pytest.raises(OutputExistsError, match=f"by process {os.getpid()}"):
            finish_storing(output)
        assert names(folder) == sorted([*ORDER, MOVES])
        move_together(output, folder, ORDER)
    assert names(tmp_path) == sorted(ORDER)


def test_what_a_run_left_that_did_not_come_to_move_it_is_told(tmp_path: Path, output: Path) -> None:
    (folder := tmp_path / ".out.7.part.png").mkdir()
    fill(folder)
    finish_storing(output)
    assert names(folder) == sorted(ORDER)
    (finding,) = leftovers(output)
    assert str(folder) in finding.text


def test_all_are_on_the_disk_before_the_first_is_moved(
    tmp_path: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[int] = set()
    fsync = os.fsync

    def noted(handle: int) -> None:
        if not any((tmp_path / name).exists() for name in ORDER):
            synced.add(os.fstat(handle).st_ino)
        fsync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    with atomic_folder(output) as folder:
        made = {path.stat().st_ino for path in fill(folder).iterdir()} | {folder.stat().st_ino}
        move_together(output, folder, ORDER)
    assert made < synced, "also the list of what is to be moved"
    assert tmp_path.stat().st_ino in synced


def test_nothing_is_left_where_a_move_fails(
    tmp_path: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the new files; an old one that none of them has replaced yet is not lost with them."""
    for name in "bc":
        (tmp_path / name).write_text("old")
    replace = Path.replace

    def failing(path: Path, target: Path) -> Path:
        if target.name == ORDER[1]:
            raise OSError(28, "no space")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(EncodeError, match=f"storing {output}"), atomic_folder(output) as folder:
        move_together(output, fill(folder), ORDER)
    assert names(tmp_path) == ["b"]
    assert (tmp_path / "b").read_text() == "old"


def test_files_that_nobody_wrote_are_an_error(tmp_path: Path, output: Path) -> None:
    with pytest.raises(EncodeError, match="nothing"), atomic_folder(output) as folder:
        move_together(output, folder, [])
    assert not names(tmp_path)


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        (VerificationError("a frame is missing"), True),
        (OutputExistsError("taken"), True),
        (EncodeError("broken"), False),
        (KeyboardInterrupt(), False),
    ],
)
def test_only_finished_files_are_kept_aside(
    tmp_path: Path, output: Path, error: BaseException, kept: bool
) -> None:
    def stopped() -> None:
        with atomic_folder(output) as folder:
            fill(folder)
            raise error

    with pytest.raises(type(error)):
        stopped()
    folders = [*tmp_path.iterdir()]
    assert [names(folder) for folder in folders] == [sorted(ORDER)] * kept


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    output = tmp_path / "absent" / "out.png"
    with pytest.raises(EncodeError, match=f"opening {output}"), atomic_folder(output):
        pass


def test_a_list_that_cannot_be_read_is_an_error_and_moves_nothing(
    tmp_path: Path, output: Path
) -> None:
    (whole := tmp_path / ".out.7.part.png").mkdir()
    (fill(whole) / MOVES).write_text("half")
    with pytest.raises(EncodeError, match=str(whole)):
        finish_storing(output)
    assert names(whole) == sorted([*ORDER, MOVES])


def test_a_list_reaches_only_the_files_beside_its_folder(tmp_path: Path) -> None:
    (folder := tmp_path / "in").mkdir()
    (whole := folder / ".out.7.part.png").mkdir()
    (precious := tmp_path / "precious").write_text("outside")
    moves = {"delete": ["../precious", str(precious)], "move": ["a"]}
    (fill(whole) / MOVES).write_text(json.dumps(moves))
    for name in ("b", "c"):
        (whole / name).unlink()
    finish_storing(folder / "out.png")
    assert precious.exists()
    assert names(folder) == ["a"]

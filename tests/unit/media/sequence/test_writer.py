"""Numbered pictures that get their places together; how they move is tested with ``storage``."""

from pathlib import Path

import pytest

from ciaovideo.errors import OutputExistsError
from ciaovideo.media.sequence.numbered import PictureName
from ciaovideo.media.sequence.writer import atomic_pictures


def write(folder: Path, text: str, *numbers: int) -> None:
    for number in numbers:
        (folder / f"{number}.png").write_text(text)


def texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def pictures(tmp_path: Path) -> PictureName:
    name = PictureName.of(tmp_path / "%d.png")
    assert name is not None
    return name


def test_the_last_picture_gets_its_place_first(
    tmp_path: Path, pictures: PictureName, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By number: a sequence whose beginning is missing is not taken for a whole one."""
    moved, replace = [], Path.replace

    def noted(path: Path, target: Path) -> Path:
        if target.parent == tmp_path:
            moved.append(target.name)
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", noted)
    with atomic_pictures(pictures) as made:
        write(made.parent, "new", 9, 10, 11)
        assert not texts(tmp_path)
    assert moved == ["11.png", "10.png", "9.png"]
    assert sorted(texts(tmp_path)) == sorted(moved)


def test_older_pictures_with_other_numbers_go(tmp_path: Path, pictures: PictureName) -> None:
    write(tmp_path, "old", 1, 4, 9)
    (tmp_path / "04.png").write_text("of another name")
    with atomic_pictures(pictures, overwrite=True) as made:
        write(made.parent, "new", 3, 4, 5)
    assert texts(tmp_path) == {
        "04.png": "of another name",
        **{f"{number}.png": "new" for number in (3, 4, 5)},
    }


def test_pictures_that_appeared_meanwhile_are_not_touched(
    tmp_path: Path, pictures: PictureName
) -> None:
    def race() -> None:
        with atomic_pictures(pictures) as made:
            write(made.parent, "ours", 1, 2)
            write(tmp_path, "theirs", 2)

    with pytest.raises(OutputExistsError, match="appeared during the run") as taken:
        race()
    assert texts(tmp_path) == {"2.png": "theirs"}
    (kept,) = tmp_path.glob(".*")
    assert texts(kept) == {"1.png": "ours", "2.png": "ours"}
    assert taken.value.hint.endswith(f"the result is in {kept}")

"""What happened to a source since it was looked at."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ciaovideo.errors import VerificationError
from ciaovideo.pipeline.verification.witness import Witness


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for number in (1, 2, 3):
        (tmp_path / f"{number}.png").write_text("picture")
    return tmp_path / "%d.png"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda folder: (folder / "4.png").touch(), "went from 3 to 4 pictures"),
        (lambda folder: (folder / "3.png").unlink(), "went from 3 to 2 pictures"),
        (lambda folder: (folder / "2.png").unlink(), "lost pictures"),
        (lambda folder: os.utime(folder / "1.png", (1, 1)), "was changed"),
        (lambda folder: os.truncate(folder / "2.png", 3), "shrank from 21 to 17 bytes"),
    ],
)
def test_each_picture_is_watched(pictures: Path, change: Callable[[Path], None], told: str) -> None:
    witness = Witness.of(pictures)
    assert witness
    assert witness.findings() == ()
    change(pictures.parent)
    (finding,) = witness.findings()
    assert f"{pictures} {told} while it was read" in finding.text


def test_a_sequence_with_a_gap_cannot_be_compared_with(pictures: Path) -> None:
    witness = Witness.of(pictures)
    assert witness
    witness.require(pictures)
    (pictures.parent / "2.png").unlink()
    with pytest.raises(VerificationError, match="cannot be verified"):
        witness.require(pictures)
    assert Witness.of(pictures) is None

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciaovideo.errors import MissingInputError, OpenError, OptionError
from ciaovideo.media.sequence.numbered import (
    Numbered,
    PictureName,
    demuxer_name,
    is_sequence,
    sequences_among,
)


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).write_bytes(b"x")
    return folder


def named(path: Path) -> PictureName:
    name = PictureName.of(path)
    assert name is not None
    return name


def numbered(path: Path) -> Numbered:
    found = Numbered.of(path)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "true"),
    [
        ("%06d.dpx", True),
        ("shot.%d.png", True),
        ("100%%_%04d.tif", True),
        ("%d.mkv", False),  # no picture
        ("100%%d.png", False),  # a percent sign
        ("a.png", False),
    ],
)
def test_a_name_says_whether_it_is_one_of_many(tmp_path: Path, name: str, true: bool) -> None:
    path = tmp_path / name
    assert is_sequence(path) is (PictureName.of(path) is not None) is true
    if not true:
        assert Numbered.of(path) is None


def test_a_file_that_has_the_name_is_meant(tmp_path: Path) -> None:
    assert not is_sequence(fill(tmp_path, "a%d.png") / "a%d.png")


@given(
    before=st.sampled_from(["", "shot.", "a%%b_"]),
    digits=st.integers(0, 9),
    number=st.integers(0, 10**8),
)
def test_a_number_is_found_again(before: str, digits: int, number: int) -> None:
    place = f"%0{digits}d" if digits else "%d"
    name = named(Path(f"frames/{before}{place}.png"))
    made = f"{before.replace('%%', '%')}{str(number).rjust(digits, '0')}.png"
    assert name.file(number) == Path("frames") / made
    assert name.inside(Path("other")).file(number) == Path("other") / made


def test_files_of_other_widths_and_names_do_not_count(tmp_path: Path) -> None:
    folder = fill(tmp_path, "a0007.png", "a0008.png", "a10009.png", "a8.png", "b0009.png")
    assert named(folder / "a%04d.png").found() == {7, 8, 10009}
    assert named(folder / "a%d.png").found() == {8, 10009}
    assert named(folder / "absent" / "a%d.png").found() == set()


def test_gaps_are_named_as_ranges(tmp_path: Path) -> None:
    names = [f"{n:04d}.dpx" for n in (1, 2, 5, 6, 8, 12)]
    with pytest.raises(MissingInputError) as missing:
        Numbered.of(fill(tmp_path, *names) / "%04d.dpx")
    assert missing.value.problem.endswith("lacks 6 frames between 1 and 12: 3-4, 7, 9-11")


def test_many_gaps_are_counted(tmp_path: Path) -> None:
    names = [f"{n}.dpx" for n in range(1, 40, 2)]
    with pytest.raises(MissingInputError, match="2, 4, 6, 8, 10, 12, 14, 16 and 11 more"):
        Numbered.of(fill(tmp_path, *names) / "%d.dpx")


def test_none_at_all_and_two_places_are_errors(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="%0"):
        Numbered.of(tmp_path / "%04d.dpx")
    with pytest.raises(OptionError, match="%06d"):
        Numbered.of(tmp_path / "%d_%04d.dpx")


def test_empty_files_are_named(tmp_path: Path) -> None:
    fill(tmp_path, "1.dpx", "2.dpx", "3.dpx", "4.dpx")
    for number in (2, 3):
        (tmp_path / f"{number}.dpx").write_bytes(b"")
    with pytest.raises(OpenError, match="2-3"):
        numbered(tmp_path / "%d.dpx").refuse_empty()


def test_a_percent_sign_in_a_folder_is_no_place() -> None:
    assert demuxer_name(Path("/100%/a%04d.png")) == "/100%%/a%04d.png"


def test_sequences_are_recognised_among_names() -> None:
    names = ["a0001.dpx", "a0002.dpx", "b1.png", "b10.png", "alone3.png", "notes7.txt", "c01.mkv"]
    assert sequences_among(names) == {"a%04d.dpx": 2, "b%d.png": 2}


@pytest.mark.parametrize(
    ("name", "stem"), [("%06d.dpx", ""), ("shot.%04d.dpx", "shot"), ("a_%d_b.png", "a__b")]
)
def test_what_a_sequence_is_called(name: str, stem: str) -> None:
    assert named(Path(name)).stem == stem

"""One look at a file: what it tells, how often it opens the file, and how little it reads."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from ciaovideo.errors import MissingInputError, OpenError
from ciaovideo.media.read.probe import probe
from ciaovideo.media.selection import Selection
from ciaovideo.options import UpscaleOptions
from ciaovideo.pipeline.keywords import with_fields
from ciaovideo.pipeline.session import UpscaleRun
from tests.media import make_clip

SMALL: dict[str, Any] = {"width": 64, "height": 48}


def test_times_are_read_in_display_order(tmp_path: Path) -> None:
    path = tmp_path / "vfr.mp4"
    pts = (0, 500, 1100, 1300, 2500, 2600, 4000)
    make_clip(path, **SMALL, pts=pts, time_base=Fraction(1, 12800))
    assert probe(path).packets.frame_times == tuple(Fraction(stamp, 12800) for stamp in pts)


def test_priming_does_not_count_as_a_start(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    make_clip(path, **SMALL, seconds=0.5, sound=True)
    assert probe(path).packets.first_times() == {0: 0, 1: 0}


def test_a_cover_is_kept_as_it_is_coded(tmp_path: Path) -> None:
    path = tmp_path / "in.mp4"
    make_clip(path, **SMALL, seconds=0.25, cover=True)
    (picture,) = probe(path).packets.covers.values()
    assert picture.startswith((b"\x89PNG", b"\xff\xd8"))


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
def test_a_short_file_is_opened_once(
    tmp_path: Path, suffix: str, openings: Callable[[Path], int]
) -> None:
    path = tmp_path / f"in{suffix}"
    make_clip(path, **SMALL, seconds=1, sound=suffix != ".ts")
    probe(path)
    assert openings(path) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "bicubic"},
        {"model": "bicubic", "frames": 5},
        {"model": "bicubic", "start": "0.5", "end": "2"},
        {"model": "bicubic", "deinterlace": "field"},
        {"model": "bicubic", "resume": True},
    ],
    ids=["whole", "frames", "part", "fields", "resume"],
)
@pytest.mark.heavy
def test_a_run_opens_its_source_three_times_before_the_first_frame_is_coded(
    tmp_path: Path, fields: dict[str, Any], openings: Callable[[Path], int]
) -> None:
    """Once to look at it, once to decode it, once to copy the other streams."""
    source, output = tmp_path / "in.mp4", tmp_path / "out.mp4"
    extras: dict[str, Any] = {"sound": True, "subtitle": "Hello", "chapters": 2, "cover": True}
    make_clip(source, **SMALL, seconds=4, fps=Fraction(8), **extras)
    before: list[int] = []
    options = with_fields(UpscaleOptions(), fields)
    with UpscaleRun(source, output, options) as run:
        run.run(lambda _: before.append(openings(source)))
    assert before[0] <= 3


def test_packets_of_a_part_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "in.mp4"
    make_clip(path, **SMALL, seconds=4, fps=Fraction(25))
    listing = probe(path, Selection(start=Fraction(1), end=Fraction(3, 2))).packets.listing
    assert listing is not None
    assert len(listing.frames) >= 38
    assert probe(path).packets.listing is None


def test_what_cannot_be_probed(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="does not exist"):
        probe(tmp_path / "absent.mkv")
    with pytest.raises(MissingInputError, match="is a folder"):
        probe(tmp_path)
    text = tmp_path / "text.mkv"
    text.write_text("no video")
    with pytest.raises(OpenError, match=r"text\.mkv"):
        probe(text)
    path = tmp_path / "in.mp4"
    make_clip(path, **SMALL, seconds=0.25)
    path.write_bytes(path.read_bytes()[:3000])  # its index comes last
    with pytest.raises(OpenError, match=r"in\.mp4"):
        probe(path)


def test_a_name_with_a_colon_is_no_protocol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("Alien3:cut.mkv")
    make_clip(path.absolute(), **SMALL, seconds=0.25)
    assert probe(path).info.width == 64

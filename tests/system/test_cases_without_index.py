"""Clocks that jump in files without an index: known before the work starts, for little."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ciaovideo.errors import OpenError, TimestampError
from ciaovideo.media.formats import nut, places
from ciaovideo.media.formats.ogg import second_recording
from ciaovideo.media.read.probe import probe
from ciaovideo.options import ModelOptions, UpscaleOptions
from ciaovideo.pipeline.session import UpscaleRun
from tests.media import make_offset_clip

BICUBIC = UpscaleOptions(model=ModelOptions(model="bicubic"))


def without_sizes(path: Path) -> Path:
    """A Matroska file as a live recording leaves it: no cluster states its size."""
    data, mark = bytearray(path.read_bytes()), b"\x1f\x43\xb6\x75"
    at = data.find(mark)
    while at >= 0:
        length = 9 - data[at + 4].bit_length()
        data[at + 4 : at + 4 + length] = bytes([(1 << 9 - length) - 1]) + b"\xff" * (length - 1)
        at = data.find(mark, at + 4)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize(
    ("name", "codec"),
    [("in.ogg", "libvpx"), ("in.wmv", "wmv2"), ("in.nut", "mpeg4"), ("in.mkv", "mpeg4")],
)
def test_a_hole_is_known_without_an_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, codec: str, large: bool
) -> None:
    """Packets tell it, clusters, or syncpoints; of a large file those at some places."""
    options: dict[str, Any] = {"live": "1"} if name.endswith(".mkv") else {}
    source = make_offset_clip(tmp_path / name, codec, 0, 5000, **options)
    if options:
        without_sizes(source)
    if large:
        size = source.stat().st_size
        for part, value in (("WHOLE", size // 2), ("HEAD", size // 8), ("TAIL", size // 8)):
            monkeypatch.setattr(places, part, value)
        monkeypatch.setattr(places, "PLACES", 8)
        monkeypatch.setattr(places, "PLACE", size // 16)
    (found,) = [f for f in probe(source).findings if f.subject == "times"]
    assert re.search(r"jump by (4994|5000) s after 6\.[34]\d+ s", found.text)


@pytest.mark.parametrize("options", [{}, {"live": "1"}])
def test_matroska_files_behind_each_other_are_refused(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    """The first one's cues say nothing of the second."""
    one = make_offset_clip(tmp_path / "one.mkv", "mpeg4", 0, **options)
    (source := tmp_path / "in.mkv").write_bytes(2 * one.read_bytes())
    with pytest.raises(TimestampError, match=r"restart after 6\.4\d* s"):
        UpscaleRun(source, tmp_path / "out.mkv", BICUBIC)


def test_the_clock_along_nut(tmp_path: Path) -> None:
    """A key frame every twelve pictures; another recording behind the first."""
    one = make_offset_clip(tmp_path / "one.nut", "mpeg4", 0)
    (source := tmp_path / "in.nut").write_bytes(2 * one.read_bytes())
    found = nut.clock_along(source)
    data = source.read_bytes()
    assert all(data[at:].startswith(nut.SYNCPOINT) for at, _ in found)
    times = [time for _, time in found]
    assert times[: len(times) // 2] == times[len(times) // 2 :]
    assert times[0] == 0
    assert times[len(times) // 2 - 1] == pytest.approx(6.36)
    source.write_bytes(bytes(99))
    assert nut.clock_along(source) == []


def test_chained_ogg_is_refused_with_the_commands_that_part_it(tmp_path: Path) -> None:
    """FFmpeg reads the first recording, and fails or ends where the next one begins."""
    one, two = (
        make_offset_clip(tmp_path / name, "libvpx", 0, count=count)
        for name, count in (("1.ogg", 160), ("2.ogg", 30))
    )
    (source := tmp_path / "in.ogg").write_bytes(one.read_bytes() + two.read_bytes())
    with pytest.raises(OpenError, match=f"begins at byte {one.stat().st_size},") as caught:
        UpscaleRun(source, tmp_path / "out.mkv", BICUBIC)
    command = str(caught.value.hint).removeprefix("split it first: ")
    subprocess.run(command, shell=True, cwd=tmp_path, check=True)
    for whole, part in ((one, "in-1.ogg"), (two, "in-2.ogg")):
        assert (tmp_path / part).read_bytes() == whole.read_bytes()
        assert second_recording(whole) is None

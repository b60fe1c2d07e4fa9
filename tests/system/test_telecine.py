"""Film at video's rate from file to file: every picture once, at film's exact times."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

import ciaovideo
from ciaovideo.cli.main import run
from tests.media import read_counter
from tests.telecine import FILM, Reel, write_reels

CODED: dict[str, Any] = {"codec": "libx264", "options": {"crf": "12", "preset": "ultrafast"}}


def shown(path: Path) -> list[tuple[Fraction, int]]:
    """When each picture appears after the first, and its number."""
    with av.open(path) as file:
        pictures = list(file.decode(video=0))
        times = [
            Fraction(one.pts or 0) * Fraction(one.time_base.numerator, one.time_base.denominator)
            for one in pictures
        ]
        numbers = [read_counter(one.to_ndarray(format="gray")) for one in pictures]
    return [(time - times[0], number) for time, number in zip(times, numbers, strict=True)]


@pytest.mark.parametrize(
    ("name", "options", "numbers"),
    [
        ("out.mp4", {}, range(48)),
        ("out.mp4", {"frames": 10}, range(10)),
        ("out.mp4", {"start": "0.5", "end": "1.2"}, range(12, 29)),
        ("out.y4m", {}, range(48)),
    ],
)
def test_film_comes_out_at_its_own_rate(
    name: str, options: dict[str, Any], numbers: range, tmp_path: Path
) -> None:
    write_reels(source := tmp_path / "in.mp4", [Reel(first=0, stop=48)], **CODED)
    summary = ciaovideo.upscale(source, output := tmp_path / name, model="bicubic", **options)
    assert shown(output) == [(n / FILM, number) for n, number in enumerate(numbers)]
    assert summary.frames == len(numbers)
    if name == "out.mp4":
        found = ciaovideo.verify(output, against=source, **options)
        assert (found.frames, found.wrong) == (len(numbers), ())
        assert found.pictures >= 3


def test_what_it_was_made_with_is_told_when_it_is_verified(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_reels(source := tmp_path / "in.mp4", [Reel(first=0, stop=24)], **CODED)
    output = tmp_path / "out.mp4"
    words = ["--model", "bicubic", "--telecine", "off", "--quiet"]
    assert run([str(source), str(output), *words]) == 0
    check = ["verify", str(output), "--against", str(source)]
    assert run([*check, "--telecine", "off"]) == 0
    assert run(check) == 3
    assert "24 expected, 30 found" in capsys.readouterr().out

"""Damaged files: what comes out is verified, or the error says what is wrong; nothing else.

A part of the cases in every run, all of them where CIAOVIDEO_FULL is set.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.media_folder import LIMIT_S, MEDIA, SUFFIXES, outcome

FILES = (  # ten kinds of coding and container
    "mp4/sample_with_increasing_timestamps_320w_240h_5s.mp4",
    "ts/sample_h264.ts",
    "mkv/sample_with_chapters.mkv",
    "webm/bear-vp9-odd-dimensions.webm",
    "ts/sample_h262_mpeg_audio.ps",
    "mp4/sample_fragmented.mp4",
    "depth/h265_10bits.mp4",
    "mkv/sample_av1.mkv",
    "mkv/sample_with_srt.mkv",
    "clips/carphone_pristine.mp4",
)
EVERY = 200  # bytes
STARTS = (0, 200, 20_000)  # the first byte that is inverted: headers are hit, or only the data
CUT = (*FILES[1:8:2], FILES[8])
CUTS = 10  # places in each of these
FULL = bool(os.environ.get("CIAOVIDEO_FULL"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(LIMIT_S),
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(not MEDIA.is_dir(), reason="no folder shared/data/media beside the project"),
]


def flipped(start: int) -> Callable[[bytes], bytes]:
    """Inverts every 200th byte."""

    def damage(data: bytes) -> bytes:
        damaged = bytearray(data)
        for place in range(start, len(damaged), EVERY):
            damaged[place] ^= 0xFF
        return bytes(damaged)

    return damage


def shortened(place: int) -> Callable[[bytes], bytes]:
    """Leaves so many elevenths, and some bytes so that no boundary is met."""
    return lambda data: data[: len(data) * place // (CUTS + 1) + 7 * place]


def damages() -> list[tuple[str, str, Callable[[bytes], bytes], str]]:
    """File, kind of output, damage, and its name."""
    found = []
    for number, name in enumerate(FILES):
        for turn, start in enumerate(STARTS):
            if FULL or turn == number % len(STARTS):
                suffix = SUFFIXES[(number + turn) % 3]
                found.append((name, suffix, flipped(start), f"flipped from {start}"))
    for number, name in enumerate(CUT):
        for place in range(1, CUTS + 1):
            if FULL or place in (1 + number, 10 - number):
                suffix = SUFFIXES[(number + place) % 3]
                found.append((name, suffix, shortened(place), f"cut at {place}/{CUTS + 1}"))
    return found


DAMAGES = damages()


@pytest.mark.parametrize(
    ("name", "suffix", "damage"),
    [(name, suffix, damage) for name, suffix, damage, _ in DAMAGES],
    ids=[f"{name}-{what}" for name, _, _, what in DAMAGES],
)
def test_damage_is_survived_or_refused(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    record_property: Callable[[str, str], None],
    name: str,
    suffix: str,
    damage: Callable[[bytes], bytes],
) -> None:
    source = tmp_path / Path(name).name
    source.write_bytes(damage((MEDIA / name).read_bytes()))
    code, error = outcome(source, tmp_path / f"out{suffix}", capsys, frames=None)
    assert code in (0, 3)
    assert "not permitted" not in error
    record_property("outcome", f"{code} {error.strip()}")  # into a report, if one is written

"""HDR10's static metadata: read, written by three encoders, and read again."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from av.sidedata.sidedata import Type

from ciaovideo.color import ColorSpec, Matrix, Primaries, Range, Transfer
from ciaovideo.media.codecs.choice import choose_codec
from ciaovideo.media.frame import Frame
from ciaovideo.media.hdr import (
    Hdr10,
    LightLevel,
    MasteringDisplay,
    hdr10_params,
    read_hdr10,
    same_hdr10,
)
from ciaovideo.media.read.reader import VideoReader
from ciaovideo.media.write.writer import VideoTarget, VideoWriter
from ciaovideo.options import EncodeOptions
from tests.found import losses_of
from tests.media import Clip, planes_of
from tests.places import container_of

PQ = ColorSpec(Matrix.BT2020_NCL, Range.LIMITED, Primaries.BT2020, Transfer.SMPTE2084)
P3 = MasteringDisplay(
    red=(Fraction(34000, 50000), Fraction(16000, 50000)),
    green=(Fraction(13250, 50000), Fraction(34500, 50000)),
    blue=(Fraction(7500, 50000), Fraction(3000, 50000)),
    white=(Fraction(15635, 50000), Fraction(16450, 50000)),
    darkest=Fraction(1, 1000),
    brightest=Fraction(1000),
)
LIGHT = LightLevel(max_content=1000, max_average=400)
STEP = Fraction(1, 50000)  # AV1 counts chromaticities in 65536ths, luminance in 256ths and 16384ths


@dataclass
class Block:
    """What stands in for PyAV's side data."""

    type: Type
    data: bytes

    def __bytes__(self) -> bytes:
        return self.data


def display_bytes(*, primaries: int = 1, luminance: int = 1, below: int = 50000) -> bytes:
    points = (34000, 16000, 13250, 34500, 7500, 3000, 15635, 16450)
    numbers = [number for point in points for number in (point, below)]
    return struct.pack("<22i", *numbers, 10, 10000, 1000, 1, primaries, luminance)


def read(*blocks: Block) -> Hdr10 | None:
    return read_hdr10(cast(Any, blocks))


def test_side_data_is_read() -> None:
    light = Block(Type.CONTENT_LIGHT_LEVEL, struct.pack("<2I", 1000, 400))
    whole = Block(Type.MASTERING_DISPLAY_METADATA, display_bytes())
    assert read(whole, light) == Hdr10(P3, LIGHT)
    assert read(light) == Hdr10(None, LIGHT)
    assert read() is None


@pytest.mark.parametrize("lack", [{"primaries": 0}, {"luminance": 0}, {"below": 0}])
def test_a_display_that_is_not_whole_is_none(lack: dict[str, int]) -> None:
    assert read(Block(Type.MASTERING_DISPLAY_METADATA, display_bytes(**lack))) is None


def test_params_without_a_display() -> None:
    only = Hdr10(None, LIGHT)
    assert hdr10_params("libx265", only) == "hdr10=1:max-cll=1000,400"
    assert hdr10_params("libx264", only) == "cll=1000,400"
    assert hdr10_params("libsvtav1", only) == "content-light=1000,400"
    assert hdr10_params("ffv1", only) == ""


def frames_of(clip: Clip) -> Iterator[Frame]:
    for number, pts in enumerate(clip.times):
        planes = tuple(torch.from_numpy(plane) for plane in planes_of(clip, number))
        yield Frame(planes, pts, clip.tick, 1)


def coded(path: Path, codec: str, hdr10: Hdr10) -> tuple[list[str], Hdr10 | None]:
    """The losses that were told, and what is in the file."""
    clip = Clip(width=64, height=64, seconds=0.125, pix_fmt="yuv420p10le")
    choice = choose_codec(
        EncodeOptions(codec=codec), container_of(path), clip.pix_fmt, 64, 64, color=PQ, hdr10=hdr10
    )
    target = VideoTarget(
        height=64, width=64, encoding=choice, color=PQ, time_base=clip.tick, frame_rate=clip.fps
    )
    with VideoWriter(path, target) as writer:
        for frame in frames_of(clip):
            writer.write(frame)
    with VideoReader(path) as reader:
        assert reader.info.color.transfer == Transfer.SMPTE2084
        return losses_of(choice.findings), reader.info.hdr10


def moved(**changes: Fraction) -> Hdr10:
    return Hdr10(replace(P3, **changes), LIGHT)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("made", "same"),
    [
        (Hdr10(P3, LIGHT), True),
        (moved(brightest=P3.brightest + Fraction(1, 256)), True),
        (moved(brightest=P3.brightest + Fraction(1, 64)), False),
        (moved(darkest=P3.darkest + Fraction(1, 16384)), True),
        (moved(darkest=P3.darkest + Fraction(1, 5000)), False),
        (Hdr10(replace(P3, white=(P3.white[0] + STEP, P3.white[1])), LIGHT), True),
        (Hdr10(replace(P3, white=(P3.white[0] + 2 * STEP, P3.white[1])), LIGHT), False),
        (Hdr10(P3, LightLevel(1000, 401)), False),
        (Hdr10(P3, None), False),
        (Hdr10(None, LIGHT), False),
        (None, False),
    ],
)
def test_what_counts_as_the_same(made: Hdr10 | None, same: bool) -> None:
    assert same_hdr10(Hdr10(P3, LIGHT), made) == same
    assert same_hdr10(made, Hdr10(P3, LIGHT)) == same


def test_a_light_level_of_zero_is_none() -> None:
    assert same_hdr10(Hdr10(P3, None), Hdr10(P3, LightLevel(0, 0)))
    assert same_hdr10(None, None)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("codec", ["libx264", "libx265", "libsvtav1"])
def test_it_survives(tmp_path: Path, codec: str, suffix: str) -> None:
    losses, found = coded(tmp_path / f"clip{suffix}", codec, Hdr10(P3, LIGHT))
    assert losses == []
    assert found is not None
    assert found.light == LIGHT
    assert found.display is not None
    for name in ("red", "green", "blue", "white"):
        pairs = zip(getattr(found.display, name), getattr(P3, name), strict=True)
        assert all(abs(made - given) <= STEP for made, given in pairs)
    assert abs(found.display.brightest - 1000) < 1
    assert abs(found.display.darkest - P3.darkest) < Fraction(1, 10000)


def test_what_cannot_hold_it_says_so(tmp_path: Path) -> None:
    losses, found = coded(tmp_path / "clip.mkv", "ffv1", Hdr10(P3, LIGHT))
    assert losses == ["HDR10"]
    assert found is None


@pytest.mark.heavy
def test_real_hdr10(shared: Path) -> None:
    folder = shared / "data" / "media" / "mp4"
    with VideoReader(folder / "hdr10-video-with-sdr-container.mp4") as reader:
        assert reader.info.hdr10 == Hdr10(None, LightLevel(1000, 200))
        assert {"HDR10", "side data"} <= set(losses_of(reader.findings))
    with VideoReader(folder / "hlg10-color-test.mp4") as reader:
        assert reader.info.hdr10 is None
        assert reader.info.color.transfer == Transfer.ARIB_STD_B67

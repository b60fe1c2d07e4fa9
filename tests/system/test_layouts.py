"""Made-up layouts: any pixel format, size and tags come through a whole run at x1."""

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ciaovideo import ModelOptions, SizeOptions, UpscaleOptions, upscale
from ciaovideo.color import ColorSpec, Matrix, PixelLayout, Primaries, Range, Siting, Transfer
from ciaovideo.color.coefficients import RED_BLUE
from ciaovideo.errors import ColorError
from ciaovideo.findings import Kind
from ciaovideo.media.codecs.choice import choose_codec
from ciaovideo.media.codecs.table import CODECS
from ciaovideo.media.frame import Frame, VideoInfo
from ciaovideo.media.read.reader import VideoReader
from ciaovideo.media.write.writer import VideoTarget, VideoWriter
from ciaovideo.options import EncodeOptions
from ciaovideo.pipeline.verification.verify import contract_between, verify_contract
from tests.found import by_kind, losses_of
from tests.media import make_clip
from tests.places import container_of

TICK = Fraction(1, 25)
NEAR = 1 / 50  # of the peak: lossy coding is within it
PLAIN = ModelOptions(model="bicubic")  # which changes nothing at x1
SITINGS = [Siting.UNSPECIFIED, Siting.LEFT, Siting.CENTER, Siting.TOPLEFT, Siting.TOP]  # of .mkv
FASTEST = {"libx264": "ultrafast", "libx265": "ultrafast", "libsvtav1": "12"}


@dataclass(frozen=True, slots=True)
class Made:
    """A made-up video."""

    layout: PixelLayout
    height: int
    width: int
    color: ColorSpec
    seed: int

    def frames(self) -> list[Frame]:
        """Three frames of noise."""
        generator = torch.Generator().manual_seed(self.seed)
        peak, kind = self.layout.peak, self.layout.dtype
        shapes = self.layout.plane_shapes(self.height, self.width)
        return [
            Frame(
                tuple(torch.randint(0, peak + 1, s, generator=generator).to(kind) for s in shapes),
                number,
                TICK,
                1,
            )
            for number in range(3)
        ]

    def write(self, path: Path) -> None:
        """Into a file, without loss."""
        size = self.height, self.width
        encoding = choose_codec(
            EncodeOptions(codec="ffv1"), container_of(path), self.layout.name, *size
        )
        assert encoding.pix_fmt == self.layout.name
        target = VideoTarget(
            height=self.height,
            width=self.width,
            encoding=encoding,
            color=self.color,
            time_base=TICK,
        )
        with VideoWriter(path, target) as writer:
            for frame in self.frames():
                writer.write(frame)


@st.composite
def videos(draw: st.DrawFn, pix_fmts: list[str], least: int, even: bool = False) -> Made:
    layout = PixelLayout.of(draw(st.sampled_from(pix_fmts)))
    sides = st.integers(least, least + 60)
    height, width = ((side + side % 2 if even else side) for side in (draw(sides), draw(sides)))
    ranges = [Range.FULL] if layout.family == "rgb" else list(Range)
    matrices = [Matrix.RGB] if layout.family == "rgb" else [*RED_BLUE, Matrix.UNSPECIFIED]
    color = ColorSpec(
        draw(st.sampled_from(matrices)),
        draw(st.sampled_from(ranges)),
        draw(st.sampled_from(list(Primaries))),
        draw(st.sampled_from(list(Transfer))),
        draw(st.sampled_from(SITINGS)) if any(layout.log2_chroma) else Siting.UNSPECIFIED,
    )
    return Made(layout, height, width, color, draw(st.integers(0, 999)))


def through(made: Made, codec: str, suffix: str) -> tuple[VideoInfo, VideoInfo, list[Frame]]:
    """The description of the source and of the output, and the output's frames."""
    with TemporaryDirectory() as folder:
        source, output = Path(folder) / "in.mkv", Path(folder) / f"out{suffix}"
        made.write(source)
        options = UpscaleOptions(
            size=SizeOptions(scale=1),
            encode=EncodeOptions(codec=codec, preset=FASTEST.get(codec)),
            model=PLAIN,
        )
        summary = upscale(source, output, options=options)
        assert not summary.verification.findings
        with VideoReader(source) as given, VideoReader(output) as found:
            return given.info, found.info, list(found.frames())


@settings(max_examples=25)
@given(made=videos(sorted(CODECS["ffv1"].pix_fmts), least=16))
def test_luma_alpha_and_tags_come_through_without_loss(made: Made) -> None:
    given, found, frames = through(made, "ffv1", ".mkv")
    assert found.pix_fmt == given.pix_fmt == made.layout.name
    assert found.color == given.color
    for tag in ("matrix", "primaries", "transfer"):
        assert getattr(given.color, tag) == getattr(made.color, tag)
    chroma = {1, 2} if any(made.layout.log2_chroma) else set()
    for before, after in zip(made.frames(), frames, strict=True):
        for place, (one, other) in enumerate(zip(before.planes, after.planes, strict=True)):
            assert place in chroma or torch.equal(one, other)


@settings(max_examples=12)
@given(
    made=videos(["yuv420p", "yuv420p10le"], least=64, even=True),
    place=st.sampled_from([("libx264", ".mp4"), ("libx265", ".mov"), ("libsvtav1", ".mkv")]),
)
def test_tags_come_through_into_what_holds_them(made: Made, place: tuple[str, str]) -> None:
    given, found, _ = through(made, *place)
    assert found.pix_fmt == given.pix_fmt
    for tag in ("matrix", "primaries", "transfer"):
        lost = given.color.primaries == Primaries.EBU3213 and place[0] in ("libx264", "libx265")
        if tag != "primaries" or not lost:
            assert getattr(found.color, tag) == getattr(given.color, tag)
    assert (found.color.color_range == Range.FULL) == (given.color.color_range == Range.FULL)


@pytest.mark.parametrize(
    ("codec", "suffix", "scale", "size"),
    [
        ("ffv1", ".mkv", 1.0, (73, 97)),
        ("ffv1", ".mp4", 1.36, (99, 132)),  # 99.28 by 131.92
        ("libsvtav1", ".webm", 1.0, (73, 97)),
        ("libsvtav1", ".mp4", 1.36, (99, 132)),
        ("libx264", ".mkv", 1.0, (74, 98)),
        ("auto", ".y4m", 1.36, (100, 132)),  # it would hold 99; the next encoder may not
    ],
)
def test_odd_sides_stay_where_the_encoder_takes_them(
    tmp_path: Path, codec: str, suffix: str, scale: float, size: tuple[int, int]
) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / f"out{suffix}"
    make_clip(source, width=97, height=73, seconds=0.125, codec="ffv1", options={})
    options = UpscaleOptions(
        size=SizeOptions(scale=scale),
        encode=EncodeOptions(codec=codec, preset=FASTEST.get(codec)),
        model=PLAIN,
    )
    findings = upscale(source, output, options=options).findings
    assert ((Kind.CHOSEN, "size") in by_kind(findings)) == (codec in ("libx264", "auto"))
    with VideoReader(source) as given, VideoReader(output) as found:
        assert (found.info.height, found.info.width) == size
        assert found.info.pix_fmt == given.info.pix_fmt
        if size != (73, 97):
            return
        planes = (next(reader.frames()).planes for reader in (given, found))
        for one, other in zip(*planes, strict=True):
            error = (one.float() - other.float()).abs() / 255
            for part in (error, error[-1], error[:, -1]):  # the last row and column, too
                assert part.mean() < NEAR


UNTAGGED = ColorSpec()
WHOLE = ColorSpec(Matrix.BT709, Range.FULL, Primaries.BT709, Transfer.BT709)
RGB = ColorSpec(Matrix.RGB, Range.FULL)


@pytest.mark.parametrize(
    ("pix_fmt", "color", "missing"),
    [
        ("yuv420p", UNTAGGED, ""),
        ("yuv420p", replace(UNTAGGED, color_range=Range.LIMITED), ""),
        ("yuv420p", WHOLE, ""),
        ("gbrp", RGB, ""),
        ("yuv420p", replace(UNTAGGED, color_range=Range.FULL), "primaries"),
        ("yuv420p", replace(UNTAGGED, matrix=Matrix.BT709), "primaries"),
        ("yuv420p", replace(WHOLE, transfer=Transfer.UNSPECIFIED), "transfer"),
        ("yuva420p", replace(WHOLE, matrix=Matrix.UNSPECIFIED), "matrix"),
        ("gbrp", replace(RGB, primaries=Primaries.BT709), "transfer"),
    ],
)
def test_mp4_takes_the_tags_of_ffv1_whole_or_not_at_all(
    pix_fmt: str, color: ColorSpec, missing: str
) -> None:
    made = Made(PixelLayout.of(pix_fmt), 32, 32, color, 0)
    if missing:
        with pytest.raises(ColorError, match=f"cannot hold colour tags without {missing}"):
            through(made, "ffv1", ".mp4")
    else:
        given, found, _ = through(made, "ffv1", ".mp4")
        assert (found.color.primaries, found.color.transfer) == (color.primaries, color.transfer)
        assert given.color == color


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_primaries_that_an_encoder_does_not_know_are_a_loss(codec: str, tmp_path: Path) -> None:
    color = replace(WHOLE, color_range=Range.LIMITED, primaries=Primaries.EBU3213)
    source, output = tmp_path / "in.mkv", tmp_path / "out.mkv"
    Made(PixelLayout.of("yuv420p"), 64, 64, color, 0).write(source)
    options = UpscaleOptions(
        size=SizeOptions(scale=1),
        encode=EncodeOptions(codec=codec, preset="ultrafast"),
        model=PLAIN,
    )
    summary = upscale(source, output, options=options)
    assert "color primaries" in losses_of(summary.findings)
    with VideoReader(output) as found:
        assert found.info.color.primaries == Primaries.UNSPECIFIED


RISE = 40  # codes of 16 bits from one column of luma to the next
MARGIN = 4  # columns of chroma that the picture's edges bend


def columns_of(color: ColorSpec, count: int) -> torch.Tensor:
    """Where each sample of a row of chroma sits, in columns of luma."""
    return 2.0 * torch.arange(count) + (color.siting.level == Siting.CENTER) / 2


@dataclass(frozen=True, slots=True)
class Ramp(Made):
    """A made-up video whose chroma rises evenly from left to right."""

    def frames(self) -> list[Frame]:
        """Three frames of it."""
        shapes = self.layout.plane_shapes(self.height, self.width)
        luma = torch.full(shapes[0], 30000, dtype=self.layout.dtype)
        row = (28000 + RISE * columns_of(self.color, shapes[1][1])).to(self.layout.dtype)
        chroma = row.expand(shapes[1]).contiguous()
        return [Frame((luma, chroma, chroma), number, TICK, 1) for number in range(3)]


@pytest.mark.parametrize("siting", [Siting.CENTER, Siting.TOP, Siting.TOPLEFT])
@pytest.mark.parametrize(
    ("codec", "suffix", "chroma", "tells"),
    [
        ("ffv1", ".mkv", "420", True),
        ("ffv1", ".mkv", "422", True),
        ("ffv1", ".mp4", "420", False),
        ("ffv1", ".mp4", "422", False),
        ("auto", ".y4m", "auto", False),
    ],
)
def test_chroma_is_where_the_output_says_that_it_sits(
    tmp_path: Path,
    siting: Siting,
    codec: str,
    suffix: str,
    chroma: Literal["auto", "420", "422"],
    tells: bool,
) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / f"out{suffix}"
    layout, color = PixelLayout.of("yuv420p16le"), replace(WHOLE, siting=siting)
    Ramp(layout, 64, 96, color, 0).write(source)
    options = UpscaleOptions(
        size=SizeOptions(scale=1),
        encode=EncodeOptions(codec=codec, chroma=chroma),
        model=PLAIN,
    )
    summary = upscale(source, output, options=options)
    level = siting.level if chroma == "422" else siting
    moved = (Kind.CHANGED, "chroma siting") in by_kind(summary.findings)
    assert moved == (not tells and level != Siting.LEFT)
    assert not verify_contract(output, contract_between(source, output)).findings
    with VideoReader(output) as found:
        assert found.info.color.siting == siting or not tells
        for plane in next(found.frames()).planes[1:]:
            row = plane.double().mean(0)
            wanted = 28000 + RISE * columns_of(found.info.color, len(row))
            assert (row - wanted)[MARGIN:-MARGIN].abs().max() < RISE / 20


def test_chroma_that_becomes_finer_needs_no_siting_and_no_even_sides(tmp_path: Path) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / "out.mp4"
    color = ColorSpec(Matrix.BT709, Range.LIMITED, siting=Siting.CENTER)
    Made(PixelLayout.of("yuv420p"), 64, 96, color, 0).write(source)
    options = UpscaleOptions(size=SizeOptions(width=127), model=PLAIN)  # by 84.67
    findings = upscale(source, output, options=options).findings
    assert not {"size", "chroma siting"} & {finding.subject for finding in findings}
    with VideoReader(output) as found:
        assert (found.info.height, found.info.width) == (85, 127)
        assert found.info.pix_fmt == "yuv444p"

"""Faults that people of this job report: side data, changes midway, chapters, writing.

A table over inputs beside the checkout, one for each kind; of each kind a file that is made here.
"""

import lzma
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext

from ciaovideo.errors import ColorError, LossError
from ciaovideo.findings import Finding, Kind
from ciaovideo.media.side_data import DolbyVision
from ciaovideo.media.write import matroska_sar
from ciaovideo.pipeline.session import Summary, upscale
from ciaovideo.pipeline.verification.verify import contract_between, verify
from tests.media import make_clip

CASES = Path(__file__).parents[3] / "shared" / "cases"
SMALL = {"width": 64, "height": 48, "seconds": 0.25}
LOST, CHANGED = Kind.LOST, Kind.CHANGED
CROP_TOP, CROP_BOTTOM = 0x54BB, 0x54AA  # Matroska's PixelCropTop and PixelCropBottom


def case(name: str, folder: Path) -> Path:
    """An input from beside the checkout, unpacked."""
    for path in (CASES / name, CASES / f"{name}.xz"):
        if path.is_file():
            copy = folder / name
            data = path.read_bytes()
            copy.write_bytes(lzma.decompress(data) if path.suffix == ".xz" else data)
            return copy
    pytest.skip(f"there is no shared/cases/{name} beside the checkout")


def enlarge(source: Path, output: Path, **options: Any) -> Summary:
    return upscale(source, output, **{"model": "bicubic", "scale": 1, **options})


def told(summary: Summary) -> set[tuple[Kind, str]]:
    return {(found.kind, found.subject) for found in summary.findings}


def about(summary: Summary, subject: str) -> Finding:
    return next(found for found in summary.findings if found.subject == subject)


def turn_of(path: Path) -> int:
    with av.open(path) as container:
        return next(container.decode(video=0)).rotation


def filtered(source: Path, output: Path, words: str, **tags: str) -> None:
    """The video of a file through a bitstream filter, into another one."""
    with av.open(source) as given, av.open(output, "w") as made:
        av_stream = made.add_stream_from_template(given.streams.video[0])
        av_stream.metadata.update(tags)
        bsf = BitStreamFilterContext(words, given.streams.video[0], av_stream)
        for packet in given.demux(video=0):
            for out in bsf.filter(packet if packet.size else None):
                out.stream = av_stream
                made.mux(out)


@pytest.mark.parametrize(
    ("name", "suffix", "found"),
    [
        ("pixelcrop.mkv", ".mkv", {(LOST, "crop")}),
        ("pixelcrop.mkv", ".mp4", {(LOST, "crop"), (LOST, "subtitle 1")}),
        ("sbs.mkv", ".mkv", set()),
        ("sbs.mkv", ".mp4", {(LOST, "stereo")}),
        ("rotation_sei.mkv", ".mkv", set()),
        ("rotation_sei.mkv", ".mp4", set()),
        ("ranges.ts", ".mkv", {(Kind.GUESSED, "color matrix"), (CHANGED, "color")}),
    ],
)
def test_cases(name: str, suffix: str, found: set[tuple[Kind, str]], tmp_path: Path) -> None:
    summary = enlarge(case(name, tmp_path), tmp_path / f"out{suffix}", frames=30)
    chosen = {(Kind.CHOSEN, "codec")}
    assert told(summary) - chosen == found


def test_the_second_eye_is_told(tmp_path: Path) -> None:
    source = case("water_180_mvhevc_5frames.mov", tmp_path)
    summary = enlarge(source, tmp_path / "out.mov", frames=1, preset="ultrafast")
    texts = " ".join(map(str, summary.findings))
    assert "only the base view of two is enlarged" in texts
    assert "projection of a spherical video" in texts
    assert "3D reference displays" in texts


def test_dolby_vision_5_is_refused_with_what_to_do_first(tmp_path: Path) -> None:
    source = case("dv5.mp4", tmp_path)
    with pytest.raises(ColorError, match="profile 5") as caught:
        enlarge(source, tmp_path / "out.mkv")
    assert f"-i {source}" in str(caught.value.hint)
    summary = enlarge(source, tmp_path / "out.mkv", force=True, frames=1, preset="ultrafast")
    assert (LOST, "Dolby Vision") in told(summary)


def test_dolby_vision_5_is_told_from_pictures_alone(tmp_path: Path) -> None:
    bare = tmp_path / "bare.hevc"
    with av.open(case("dv5.mp4", tmp_path)) as given, av.open(bare, "w") as made:
        av_stream = made.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.size:
                packet.stream = av_stream
                made.mux(packet)
    with pytest.raises(ColorError, match="profile 5"):
        enlarge(bare, tmp_path / "out.mkv")


@pytest.mark.parametrize(
    ("profile", "compatible", "viewable"),
    [(4, 2, True), (5, 0, False), (7, 6, True), (8, 1, True), (9, 2, True), (10, 0, False)],
)
def test_profiles_whose_base_layer_is_a_picture(
    profile: int, compatible: int, viewable: bool
) -> None:
    assert DolbyVision(profile, compatible).viewable is viewable


def test_a_crop_is_named_as_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "in.mkv"
    make_clip(source, tags={"title": "T"}, **SMALL)
    titled = tmp_path / "titled.mkv"
    filtered(source, titled, "null", title="T" + matroska_sar.ROOM)
    with monkeypatch.context() as patch:  # in place of the sides of a shape, 6 to 5
        patch.setattr(matroska_sar, "DISPLAY_WIDTH", CROP_TOP)
        patch.setattr(matroska_sar, "DISPLAY_HEIGHT", CROP_BOTTOM)
        ratio = Fraction(6, 5) * 48 / 64
        matroska_sar.store_sar(titled, ratio, webm=False)
    summary = enlarge(titled, tmp_path / "out.mkv")
    assert "6 px at the top, 5 px at the bottom" in about(summary, "crop").text
    with pytest.raises(LossError, match="crop"):
        enlarge(titled, tmp_path / "strict.mkv", strict=True)


def test_a_rotation_in_the_bitstream_becomes_the_outputs(tmp_path: Path) -> None:
    source, turned, output = (tmp_path / name for name in ("in.mp4", "turned.mp4", "out.mp4"))
    make_clip(source, **SMALL)
    filtered(source, turned, "h264_metadata=display_orientation=insert:rotate=90")
    summary = enlarge(turned, output, strict=True)
    assert turn_of(turned) == turn_of(output) == 90
    assert not {kind for kind, _ in told(summary)} & {LOST, Kind.WRONG}


def test_a_stereo_mark_is_kept_in_matroska_and_named_elsewhere(tmp_path: Path) -> None:
    source, marked = tmp_path / "in.mkv", tmp_path / "marked.mkv"
    make_clip(source, **SMALL)
    filtered(source, marked, "null", stereo_mode="left_right")
    assert (LOST, "stereo") not in told(enlarge(marked, tmp_path / "out.mkv"))
    with av.open(tmp_path / "out.mkv") as container:
        assert "stereo_3d" in container.streams.video[0].codec_context.coded_side_data
    assert (LOST, "stereo") in told(enlarge(marked, tmp_path / "out.mp4"))
    with pytest.raises(LossError, match="side by side"):
        enlarge(marked, tmp_path / "strict.mp4", strict=True)


def flat(path: Path, luma: int, color_range: int) -> bytes:
    """Three frames of H.264 that are one grey, as bytes that can be strung together."""
    with av.open(path, "w", format="h264") as made:
        av_stream: Any = made.add_stream("libx264", rate=25, options={"qp": "0"})
        av_stream.width, av_stream.height, av_stream.pix_fmt = 64, 48, "yuv420p"
        av_stream.codec_context.color_range = color_range
        av_stream.codec_context.colorspace = 1
        for number in range(3):
            pixels = np.full((72, 64), 128, np.uint8)
            pixels[:48] = luma
            frame = av.VideoFrame.from_ndarray(pixels, format="yuv420p")
            frame.pts, frame.color_range, frame.colorspace = number, color_range, 1
            made.mux(av_stream.encode(frame))
        made.mux(av_stream.encode(None))
    return path.read_bytes()


def lumas(path: Path) -> list[int]:
    with av.open(path) as container:
        return [int(frame.to_ndarray()[5, 7]) for frame in container.decode(video=0)]


def test_a_range_that_changes_midway_is_converted(tmp_path: Path) -> None:
    """Samples stay the same here: they mean another grey."""
    source, output = tmp_path / "in.h264", tmp_path / "out.mkv"
    source.write_bytes(flat(tmp_path / "1.h264", 100, 1) + flat(tmp_path / "2.h264", 100, 2))
    assert lumas(source) == [100] * 6
    summary = enlarge(source, output, codec="ffv1", strict=False)
    assert about(summary, "color").kind is CHANGED
    assert lumas(output) == [100] * 3 + [102] * 3  # 16 + 219 * 100 / 255 = 101.9
    contract = contract_between(source, output)
    assert not verify(output, contract).wrong


def test_user_data_that_no_encoder_wrote_is_named(tmp_path: Path) -> None:
    source, marked = tmp_path / "in.mp4", tmp_path / "marked.mp4"
    make_clip(source, **SMALL)
    assert (LOST, "side data") not in told(enlarge(source, tmp_path / "plain.mp4"))
    uuid = "00112233445566778899aabbccddeeff"
    filtered(source, marked, f"h264_metadata=sei_user_data={uuid}+take 3")
    assert "user data" in about(enlarge(marked, tmp_path / "out.mp4"), "side data").text

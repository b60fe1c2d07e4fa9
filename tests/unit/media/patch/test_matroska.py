"""The aspect ratio in a Matroska header: stored, read by others, and nothing else moved."""

import shutil
import subprocess
import zlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import pytest
import torch

from ciaovideo.color import ColorSpec, Matrix, PixelLayout, Range
from ciaovideo.errors import EncodeError
from ciaovideo.media.clock import exact
from ciaovideo.media.codecs.choice import choose_codec
from ciaovideo.media.frame import Frame
from ciaovideo.media.patch.matroska import ROOM, store_shape
from ciaovideo.media.write.writer import VideoTarget, VideoWriter
from ciaovideo.options import EncodeOptions
from tests.places import container_of

TICK = Fraction(1, 25)
RATIOS = ["16/11", "59/54", "4/3", "1/2", "255/254", "2/1", "118/81"]


def write(path: Path, sar: Fraction | None, codec: str = "ffv1", width: int = 72) -> bytes:
    choice = choose_codec(EncodeOptions(codec=codec), container_of(path), "yuv420p", 64, width)
    color = ColorSpec(Matrix.BT709, Range.LIMITED)
    target = VideoTarget(
        height=64, width=width, encoding=choice, color=color, time_base=TICK, sar=sar
    )
    with VideoWriter(path, target) as writer:
        for frame in gray(PixelLayout.of(choice.pix_fmt), width):
            writer.write(frame)
    return path.read_bytes()


def gray(layout: PixelLayout, width: int) -> Iterator[Frame]:
    for number in range(3):
        shapes = layout.plane_shapes(64, width)
        planes = tuple(torch.full(shape, 90 + number, dtype=layout.dtype) for shape in shapes)
        yield Frame(planes, number, TICK, 1)


def shown(path: Path) -> tuple[Fraction | None, list[bytes], dict[str, str]]:
    with av.open(path) as container:
        video = container.streams.video[0]
        packets = [bytes(packet) for packet in container.demux(video) if packet.size]
        return exact(video.sample_aspect_ratio), packets, dict(video.metadata)


@pytest.mark.parametrize("ratio", RATIOS)
def test_it_is_read_back_exactly_and_packets_stay(tmp_path: Path, ratio: str) -> None:
    plain, wide, sar = tmp_path / "plain.mkv", tmp_path / "wide.mkv", Fraction(ratio)
    write(plain, None)
    data = write(wide, sar)
    found, packets, tags = shown(wide)
    assert found == sar
    assert packets == shown(plain)[1]
    assert "title" not in tags
    assert ROOM.encode() not in data


@pytest.mark.parametrize("codec", ["ffv1", "prores_ks", "libsvtav1"])
def test_others_read_it_too(tmp_path: Path, codec: str) -> None:
    probe = shutil.which("ffprobe")
    if probe is None:
        pytest.skip("no ffprobe here")
    path = tmp_path / "clip.mkv"
    write(path, Fraction(16, 11), codec)
    words = ["-v", "error", "-show_entries", "stream=sample_aspect_ratio", "-of", "csv=p=0"]
    told = subprocess.run([probe, *words, path], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "16:11"
    assert told.stderr == ""


def test_webm_rounds_to_whole_pixels(tmp_path: Path) -> None:
    path = tmp_path / "clip.webm"
    write(path, Fraction(16, 11), "libsvtav1")
    assert shown(path)[0] == Fraction(105, 72)  # 72 * 16 / 11 is 104.7


def test_the_checksum_is_made_new(tmp_path: Path) -> None:
    data = write(tmp_path / "clip.mkv", Fraction(16, 11))
    start = data.rindex(b"\x16\x54\xae\x6b")  # the first is in the list of what is where
    size = data[start + 4 : start + 6]  # two bytes, as long as there is one track of this size
    assert size[0] >> 6 == 1
    count = int.from_bytes(size) & 0x3FFF
    body = data[start + 6 : start + 6 + count]
    assert body[:2] == b"\xbf\x84"
    assert body[2:6] == zlib.crc32(body[6:]).to_bytes(4, "little")


def test_a_title_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    with av.open(path, "w") as container:
        video = container.add_stream("ffv1", rate=25, width=32, height=16)
        video.codec_context.pix_fmt = "gray"
        video.metadata["title"] = "A reel / the first" + ROOM
        container.mux(video.encode(av.VideoFrame(32, 16, "gray")))
        container.mux(video.encode(None))
    before = path.stat().st_size
    store_shape(path, Fraction(12, 11), webm=False)
    found, _, tags = shown(path)
    assert found == Fraction(12, 11)
    assert tags["title"] == "A reel / the first"
    assert path.stat().st_size == before


@pytest.mark.parametrize("data", [b"", b"\x00" * 40, b"\x1a\x45\xdf\xa3\x80", None])
def test_what_is_no_such_file_is_an_error_that_leaves_it_alone(
    tmp_path: Path, data: bytes | None
) -> None:
    path = tmp_path / "clip.mkv"
    given = write(path, None) if data is None else data
    path.write_bytes(given)
    with pytest.raises(EncodeError, match=r"4/3 .*clip\.mkv"):
        store_shape(path, Fraction(4, 3), webm=False)
    assert path.read_bytes() == given

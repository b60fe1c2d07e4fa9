"""Commands that errors print: each is run, and what it makes is enlarged."""

import re
import shlex
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from ciaovideo.errors import (
    CiaoVideoError,
    ColorError,
    DecodeError,
    EncodeError,
    OptionError,
)
from ciaovideo.media.ffmpeg.remedies import TO_HDR10
from ciaovideo.pipeline.session import Summary, upscale
from tests.media import make_clip
from tests.needs import needs_ffmpeg

CASES = Path(__file__).parents[3] / "shared" / "cases"
SMALL = {"width": 64, "height": 48, "seconds": 1}
# Dolby Vision 5 that leaves the samples as they are: dovi_tool's profile5.bin (MIT) with y = x.
RPU = bytes.fromhex(
    "7c01190809004061b6506f003ff801ffc00fffd0000008000006800000400000340000030200000301a2000031f069"
    "12000fc5b04432000010bea57000000300008000000300800000042b9fea3fea3fea342b9fea3fea3fea342b9ffff"
    "000000300000300000300064207dce01518c02005a6e6660300a0860020020016da15040008080000030020140000"
    "030000030000030048307d0001900000030001eda31212"
)
# As that states: I, P, T to L', M', S'; with libplacebo's matrix, L, M, S to R, G, B of BT.2020.
LMS = np.array([[8192, 799, 1681], [8192, -933, 1091], [8192, 267, -5545]]) / 8192
CROSSED = np.where(np.eye(3), 17081, -349) / 16384
RGB = np.array(
    [
        [3.06441879, -2.16597676, 0.10155818],
        [-0.65612108, 1.78554118, -0.12943749],
        [0.01736321, -0.04725154, 1.03004253],
    ]
)

pytestmark = needs_ffmpeg


def enlarge(source: Path, output: Path, **options: Any) -> Summary:
    return upscale(source, output, **{"model": "bicubic", "scale": 1, **options})


def made_by(error: CiaoVideoError, folder: Path) -> Path:
    """What the ffmpeg command in a hint makes."""
    found = re.search(r"ffmpeg .*?\.mkv(?= \(or|$|,)", error.hint)
    assert found is not None, error.hint
    line = found[0].replace("ffmpeg ", "ffmpeg -v error ")
    done = subprocess.run(line, cwd=folder, shell=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / shlex.split(line)[-1]


def packets(path: Path, size: int) -> list[bytes]:
    """The packets of TS, of ``size`` bytes."""
    data = path.read_bytes()
    return [data[at : at + size] for at in range(0, len(data), size)]


def test_sound_that_nobody_can_decode_is_taken_out(tmp_path: Path) -> None:
    """Its packets are there, and hold nothing that is sound."""
    plain, source = tmp_path / "plain.ts", tmp_path / "in.ts"
    make_clip(plain, sound=True, sound_codec="mp2", **SMALL)
    with av.open(plain) as container:
        number = next(stream.id for stream in container.streams if stream.type == "audio")
    spoiled = b""
    for packet in packets(plain, 188):
        mine = int.from_bytes(packet[1:3]) & 0x1FFF == number
        head = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
        head += 14 if packet[1] & 0x40 else 0  # that of the PES packet
        spoiled += packet[:head] + bytes(188 - head) if mine else packet
    source.write_bytes(spoiled)
    with pytest.raises(EncodeError, match="audio 1") as caught:
        enlarge(source, tmp_path / "out.mkv")
    fixed = made_by(caught.value, tmp_path)
    summary = enlarge(fixed, tmp_path / "out.mkv")
    assert (summary.frames, summary.kept) == (24, ())


def joined_sizes(folder: Path, codec: str) -> Path:
    """A second of 64x48 and one of 96x48 behind it, both with sound."""
    data = b""
    for number, width in enumerate((64, 96)):
        part = folder / f"{number}.ts"
        with av.open(part, "w", options={"output_ts_offset": str(1.2 * number)}) as made:
            video: Any = made.add_stream(codec, rate=25)
            video.width, video.height, video.pix_fmt = width, 48, "yuv420p"
            sound: Any = made.add_stream("mp2", rate=48000)
            sound.layout = "mono"
            for at in range(25):
                pixels = np.full((72, width), 40 + 3 * at + number, np.uint8)
                frame = av.VideoFrame.from_ndarray(pixels, "yuv420p")
                frame.pts = at
                made.mux(video.encode(frame))
            made.mux(video.encode(None))
            for at in range(0, 47_000, 1152):
                tone = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.int16), "s16", "mono")
                tone.sample_rate, tone.pts = 48000, at
                made.mux(sound.encode(tone))
        data += part.read_bytes()
    source = folder / "in.ts"
    source.write_bytes(data)
    return source


@pytest.mark.parametrize("codec", ["mpeg2video", "libx264"])
def test_what_follows_a_change_of_size_becomes_a_file(tmp_path: Path, codec: str) -> None:
    """Of reordered pictures ffmpeg seeks further back; sound begins before the pictures."""
    source = joined_sizes(tmp_path, codec)
    with pytest.raises(DecodeError, match="64x48") as caught:
        enlarge(source, tmp_path / "out.mkv")
    rest = made_by(caught.value, tmp_path)
    summary = enlarge(rest, tmp_path / "rest.mkv")
    assert (summary.frames, summary.out_size) == (25, (48, 96))
    assert [info.codec for info in summary.kept] == ["mp2"]


@pytest.mark.parametrize("pix_fmt", ["rgb555le", "rgb8", "monow"])
def test_a_layout_that_is_not_read_is_coded_anew(tmp_path: Path, pix_fmt: str) -> None:
    """As in old captures; what the command makes has as many shades."""
    source = tmp_path / "in.nut"
    with av.open(source, "w") as made:
        video: Any = made.add_stream("rawvideo", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, pix_fmt
        for number in range(3):
            pixels = np.full((48, 64, 3), 8 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(format=pix_fmt)
            frame.pts = number
            made.mux(video.encode(frame))
    with pytest.raises(ColorError, match=f"pixel format '{pix_fmt}'") as caught:
        enlarge(source, tmp_path / "out.mkv")
    assert enlarge(made_by(caught.value, tmp_path), tmp_path / "out.mkv").frames == 3


@pytest.fixture
def vulkan() -> list[str]:
    """The beginning of a command that uses Vulkan."""
    words = ["ffmpeg", "-v", "error", "-init_hw_device", "vulkan"]
    nothing = ["-f", "lavfi", "-i", "color", "-frames:v", "1", "-f", "null", "-"]
    if subprocess.run([*words, *nothing], check=False).returncode:
        pytest.skip("needs Vulkan")
    return words


def pq(light: Any) -> Any:
    """Light of at most 1, which is 10000 cd/m2, as SMPTE ST 2084 codes it."""
    power = np.clip(light, 0, 1) ** (2610 / 16384)
    return ((3424 + 32 * 2413 * power) / (4096 + 32 * 2392 * power)) ** (2523 / 32)


def light(coded: Any) -> Any:
    """The inverse."""
    root = np.clip(coded, 0, 1) ** (32 / 2523)
    return ((4096 * root - 3424) / (32 * 2413 - 32 * 2392 * root)).clip(0) ** (16384 / 2610)


def test_what_dolby_vision_becomes_has_its_colours(tmp_path: Path, vulkan: list[str]) -> None:
    """I, P and T of known colours, which are not those of Y, Cb and Cr with these numbers."""
    nits = np.array([[100, 5, 5], [5, 100, 5], [5, 5, 100], [60, 40, 30], [203, 203, 203]])
    lms = light(pq(nits / 10_000)) @ np.linalg.inv(RGB @ CROSSED).T
    ipt = np.round((pq(lms) @ np.linalg.inv(LMS).T + [0, 0.5, 0.5]) * 1023).astype(np.uint16)
    planes = [np.repeat(ipt[:, 0], 64)[None].repeat(64, 0)]
    planes += [np.repeat(ipt[:, n], 32)[None].repeat(32, 0) for n in (1, 2)]
    coder: Any = av.CodecContext.create("libx265", "w")
    coder.width, coder.height, coder.pix_fmt, coder.framerate = 320, 64, "yuv420p10le", 25
    coder.time_base = Fraction(1, 25)
    coder.options = {"x265-params": "lossless=1:range=full:log-level=0", "preset": "ultrafast"}
    frame = av.VideoFrame(320, 64, "yuv420p10le")
    for plane, samples in zip(frame.planes, planes, strict=True):
        rows = np.zeros((plane.height, plane.line_size // 2), "<u2")
        rows[:, : samples.shape[1]] = samples
        plane.update(rows.tobytes())
    frame.pts = 0
    data = b"".join(bytes(packet) for packet in [*coder.encode(frame), *coder.encode(None)])
    (source := tmp_path / "in.hevc").write_bytes(data + b"\0\0\0\1" + RPU)
    words = [*vulkan, "-i", str(source), "-vf", TO_HDR10, "-f", "rawvideo", "-"]
    made = np.frombuffer(subprocess.run(words, capture_output=True, check=True).stdout, "<u2")
    luma = made[: 320 * 64].reshape(64, 320)[32, 32::64]
    chroma = [part.reshape(32, 160)[16, 16::32] for part in np.split(made[320 * 64 :], 2)]
    red, green, blue = pq(nits / 10_000).T
    y = 0.2627 * red + 0.678 * green + 0.0593 * blue  # of BT.2020, whose matrix follows from it
    wanted = (64 + 876 * y, 512 + 896 * (blue - y) / 1.8814, 512 + 896 * (red - y) / 1.4746)
    for should, found in zip(wanted, (luma, *chroma), strict=True):
        assert np.abs(found - should).max() < 3


@pytest.mark.usefixtures("vulkan")
def test_dolby_vision_is_applied(tmp_path: Path) -> None:
    stored = CASES / "dv5.mp4"
    if not stored.is_file():
        pytest.skip(f"there is no {stored.name} in shared/cases beside the checkout")
    shutil.copy(stored, source := tmp_path / "dv5.mp4")
    with pytest.raises(ColorError, match="profile 5") as caught:
        enlarge(source, tmp_path / "out.mkv")
    fixed = made_by(caught.value, tmp_path)
    with av.open(fixed) as container:
        frame = next(container.decode(video=0))
        assert (frame.colorspace, frame.color_primaries, frame.color_trc) == (9, 9, 16)
    assert enlarge(fixed, tmp_path / "out.mkv", preset="ultrafast").frames == 25


def write_exr(path: Path, light: np.ndarray[Any, Any], pix_fmt: str) -> None:
    """A picture in half floats; ``light`` has its planes (planes, height, width)."""
    picture = av.VideoFrame(light.shape[2], light.shape[1], pix_fmt)
    for plane, values in zip(picture.planes, light, strict=True):
        held = np.frombuffer(plane, np.float32).reshape(light.shape[1], -1)
        held[:, : light.shape[2]] = values
    coder: Any = av.CodecContext.create("exr", "w")
    coder.width, coder.height, coder.pix_fmt = picture.width, picture.height, pix_fmt
    coder.time_base, coder.options, picture.pts = Fraction(1, 24), {"format": "half"}, 0
    path.write_bytes(b"".join(map(bytes, coder.encode(picture) + coder.encode(None))))


@pytest.mark.parametrize("pix_fmt", ["gbrpf32le", "gbrapf32le", "grayf32le"])
@pytest.mark.parametrize("numbered", [True, False])
def test_openexr_becomes_png(tmp_path: Path, pix_fmt: str, numbered: bool) -> None:
    """Light from 0 to 1 is kept as exactly as half floats are; numbers and opacity stay."""
    folder = tmp_path / "a scan"
    folder.mkdir()
    planes = {"gbrpf32le": 3, "gbrapf32le": 4, "grayf32le": 1}[pix_fmt]
    ramp = np.arange(-16, 48, dtype=np.float32) / 32  # half floats hold it
    light = np.broadcast_to(ramp, (planes, 48, 64))
    for number in (18, 19):
        write_exr(folder / f"{number:04}.exr", light, pix_fmt)
    source = folder / ("%04d.exr" if numbered else "0018.exr")
    rate: dict[str, Any] = {"rate": 24} if numbered else {}
    with pytest.raises(ColorError, match="OpenEXR holds floating-point linear light") as caught:
        enlarge(source, tmp_path / "out.mkv", **rate)
    line = caught.value.hint.partition(" 1: ")[2].replace("ffmpeg ", "ffmpeg -v error ")
    subprocess.run(line, cwd=tmp_path, shell=True, check=True)
    made = tmp_path / ("a scan-png/%04d.png" if numbered else "0018.png")
    if numbered:
        assert [file.name for file in sorted(made.parent.iterdir())] == ["0018.png", "0019.png"]
    summary = enlarge(made, output := tmp_path / "out.mkv", codec="ffv1", **rate)
    assert summary.frames == 1 + numbered
    with av.open(output) as container:
        picture = next(container.decode(video=0))
    assert picture.color_trc == 4, "a gamma of 2.2"
    shown = ramp.astype(np.float64).clip(0, 1)
    for number, plane in enumerate(picture.planes):
        codes = np.frombuffer(plane, "<u2").reshape(48, -1)[0, :64]
        kept = shown if number == 3 else shown ** (1 / 2.2)
        # FFmpeg makes half floats of the encoded light again.
        assert np.abs(codes - 65535 * kept).max() <= (1.5 if number == 3 else 65535 / 2**11)


def test_openexr_is_not_written(tmp_path: Path) -> None:
    make_clip(source := tmp_path / "in.mkv", **SMALL)
    with pytest.raises(OptionError, match="OpenEXR holds floating-point linear light") as caught:
        enlarge(source, tmp_path / "%04d.exr")
    assert ".dpx" in caught.value.hint


@pytest.mark.parametrize("kind", ["PF", "Pf"])
def test_floating_point_is_said_to_be_clipped(tmp_path: Path, kind: str) -> None:
    """In colour and gray, of which each step stays."""
    source = tmp_path / "in.pfm"
    ramp = np.arange(64, dtype="<f4") / 63
    samples = np.broadcast_to(ramp[:, None], (48, 64, 3 if kind == "PF" else 1))
    source.write_bytes(f"{kind}\n64 48\n-1.0\n".encode() + samples.tobytes())
    with pytest.raises(ColorError, match="floating-point") as caught:
        enlarge(source, tmp_path / "out.mkv")
    assert "clips what is below 0 or above 1" in caught.value.hint
    enlarge(made_by(caught.value, tmp_path), output := tmp_path / "out.mkv", codec="ffv1")
    with av.open(output) as container:
        picture = next(container.decode(video=0))
    row = np.frombuffer(picture.planes[0], "<u2")[:64]
    assert np.abs(row - 65535 * ramp.astype(np.float64)).max() < 4  # as exact as FFmpeg's scaler

"""Encodes a short clip with a lossy video codec and decodes it again, in memory."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import torch
from av.codec.context import CodecContext
from av.video.codeccontext import VideoCodecContext
from torch import Tensor

from ciaovideo.errors import EncodeError
from ciaovideo.media.av_errors import av_errors

RATE = Fraction(25)
# Equal clips must give equal results. They do not with threads, nor with adaptive B-frames
# (measured: 5 results in 12 runs of one clip; without assembler code, one).
X264 = "threads=1:lookahead-threads=1:b-adapt=0:no-mbtree=1"
X265 = "log-level=none:pools=none:frame-threads=1:wpp=0:b-adapt=0"
X264_AS_SHARED, X265_AS_SHARED = "threads=1", "log-level=none:pools=none:frame-threads=1"

# Kind: encoder, decoder and qualities, best first. For MPEG-2 and MPEG-4 that is the quantiser,
# from DVD and broadcast (2 to 8) to barely watchable. For H.264, H.265 and VP9 it is the crf. DV
# has one quality: the number is not used.
KINDS: dict[str, tuple[str, str, range]] = {
    "mpeg2": ("mpeg2video", "mpeg2video", range(2, 24)),
    "mpeg4": ("mpeg4", "mpeg4", range(2, 24)),
    "h264": ("libx264", "h264", range(17, 41)),
    "h265": ("libx265", "hevc", range(17, 41)),
    "vp9": ("libvpx-vp9", "vp9", range(24, 56)),
    "dv": ("dvvideo", "dvvideo", range(1)),
}
FORMAT = "yuv420p"
# px a side of what is coded; smaller pictures are padded. With less than two of its blocks of 64,
# x265 reads and writes outside its memory: equal clips differ, and the process may crash.
LEAST_SIDE = {"h265": 128}


def recompress(
    planes: Sequence[Tensor], kind: str, quality: int, *, as_shared: bool = False
) -> list[Tensor]:
    """Planes (T, h_p, w_p) uint8 of a clip in 4:2:0, coded and decoded again: the same shapes.

    ``kind`` names an entry of ``KINDS``, ``quality`` one of its qualities. DV supports 720 x 576
    only. Borders are repeated up to an encoder's smallest size. The result is deterministic. With
    ``as_shared`` it is not: H.264 and H.265 then use their encoders' default settings, as videos
    that people share do. Raises EncodeError.
    """
    frames, height, width = planes[0].shape
    with av_errors("encoding", Path(f"a clip in {kind}"), EncodeError):
        encoder = _encoder(kind, quality, _padded(kind, height, width), as_shared=as_shared)
        decoder = CodecContext.create(KINDS[kind][1], "r")
        assert isinstance(decoder, VideoCodecContext)
        decoder.thread_count = 1
        pictures = []
        for picture in (*_pictures(planes, kind), None):
            for packet in encoder.encode(picture):
                pictures += decoder.decode(packet)
        pictures += decoder.decode(None)
    if len(pictures) != frames:
        raise EncodeError(f"{kind} returned {len(pictures)} of {frames} frames")
    return [
        torch.stack([_plane(picture, index, plane.shape[1:]) for picture in pictures])
        for index, plane in enumerate(planes)
    ]


def _encoder(
    kind: str, quality: int, size: tuple[int, int], *, as_shared: bool
) -> VideoCodecContext:
    name, _, qualities = KINDS[kind]
    if quality not in qualities:
        raise EncodeError(
            f"{kind} has no quality {quality}", f"use {qualities[0]} to {qualities[-1]}"
        )
    encoder = CodecContext.create(name, "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.height, encoder.width = size
    encoder.pix_fmt = FORMAT
    encoder.time_base, encoder.framerate = 1 / RATE, RATE
    encoder.thread_count = 1
    quantiser = {"qmin": str(quality), "qmax": str(quality), "bf": "2"}
    rate = {"crf": str(quality), "preset": "medium" if as_shared else "veryfast"}
    x264, x265 = (X264_AS_SHARED, X265_AS_SHARED) if as_shared else (X264, X265)
    encoder.options = {
        "mpeg2": quantiser,
        "mpeg4": quantiser,
        "h264": rate | {"x264-params": x264},
        "h265": rate | {"x265-params": x265},
        "vp9": {"crf": str(quality), "b": "0", "deadline": "realtime", "cpu-used": "8"},
    }.get(kind, {})
    return encoder


def _padded(kind: str, height: int, width: int) -> tuple[int, int]:
    """The height and width of the coded pictures."""
    least = LEAST_SIDE.get(kind, 0)
    return max(height, least), max(width, least)


def _pictures(planes: Sequence[Tensor], kind: str) -> Iterator[av.VideoFrame]:
    """Each frame of the planes, copied into FFmpeg's memory."""
    frames, height, width = planes[0].shape
    coded_height, coded_width = _padded(kind, height, width)
    for number in range(frames):
        picture = av.VideoFrame(coded_width, coded_height, FORMAT)
        for plane, target in zip(planes, picture.planes, strict=True):
            coded = _view(target)[: target.height, : target.width]
            rows, columns = (
                torch.arange(side).clamp(max=own - 1)
                for side, own in zip(coded.shape, plane.shape[1:], strict=True)
            )
            coded.copy_(plane[number][rows][:, columns])
        picture.pts, picture.time_base = number, 1 / RATE
        yield picture


def _plane(picture: av.VideoFrame, index: int, size: Sequence[int]) -> Tensor:
    """A plane of a decoded picture, as a copy."""
    return _view(picture.planes[index])[: size[0], : size[1]].clone()


def _view(plane: Any) -> Tensor:
    """The bytes of a plane with their padding: (h, line)."""
    view: Tensor = torch.frombuffer(plane, dtype=torch.uint8).view(-1, plane.line_size)
    return view

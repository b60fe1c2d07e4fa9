"""A video stream of one gray picture, for files whose other streams are under test."""

from fractions import Fraction
from typing import cast

import av
from av.container import OutputContainer
from av.video.stream import VideoStream

WIDTH, HEIGHT = 64, 48


def gray_stream(container: OutputContainer, codec: str) -> VideoStream:
    """Add the stream; ``mux_gray`` fills it once the header is written."""
    av_stream = cast(VideoStream, container.add_stream(codec, rate=25))
    av_stream.width, av_stream.height, av_stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    return av_stream


def mux_gray(container: OutputContainer, av_stream: VideoStream) -> None:
    """Write its only picture, at zero."""
    picture = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
    for plane in picture.planes:
        plane.update(bytes([128]) * plane.buffer_size)
    picture.pts, picture.time_base = 0, Fraction(1, 25)
    container.mux(av_stream.encode(picture))
    container.mux(av_stream.encode(None))

"""Film at video's rate: clips made with FFmpeg's filter ``telecine``, their pictures numbered."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import av.error
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from tests.media import Clip, picture_planes

VIDEO, FILM = Fraction(30000, 1001), Fraction(24000, 1001)
SHAPE = Clip(width=160, height=96, counter=True, fps=FILM)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reel:
    """Some of a film's pictures, [first, stop), and how they became video's frames.

    ``field`` ("top" or "bottom") is shown first. Frames before ``skip`` and from ``until`` on are
    cut off afterwards, which is how a phase begins anywhere. ``kind`` is "film", "video" (each
    picture a frame) or "fields" (two pictures a frame).
    """

    first: int
    stop: int
    field: str = "top"
    skip: int = 0
    until: int | None = None
    kind: str = "film"


def write_reels(
    path: Path,
    reels: Sequence[Reel],
    *,
    codec: str = "ffv1",
    noise: float = 0.0,
    rate: Fraction = VIDEO,
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
) -> int:
    """Write reels one after another at video's rate; how many frames that were.

    ``noise`` is added to each frame anew, as by a tape, in steps of 8 bits.
    """
    drawn = np.random.default_rng(0)
    clip = replace(SHAPE, pix_fmt=pix_fmt)
    count = 0
    with av.open(path, "w") as file:
        stream = cast(VideoStream, file.add_stream(codec, rate=rate))
        stream.width, stream.height, stream.pix_fmt = clip.width, clip.height, pix_fmt
        stream.time_base = 1 / rate
        stream.options = dict[str, object](options or {})
        for reel in reels:
            for picture in list(_frames(reel, clip))[reel.skip : reel.until]:
                planes = _planes(picture, clip)
                if noise:
                    planes = [_noisy(plane, noise, drawn) for plane in planes]
                made = _picture(planes, clip)
                made.pts, made.time_base = count, 1 / rate
                file.mux(stream.encode(made))
                count += 1
        file.mux(stream.encode(None))
    return count


def _frames(reel: Reel, clip: Clip) -> Iterator[av.VideoFrame]:
    numbers = range(reel.first, reel.stop)
    if reel.kind == "video":
        yield from (_picture(picture_planes(clip, number), clip) for number in numbers)
        return
    if reel.kind == "fields":
        for number in numbers[::2]:
            woven = picture_planes(clip, number)
            for plane, later in zip(woven, picture_planes(clip, number + 1), strict=True):
                plane[1::2] = later[1::2]
            yield _picture(woven, clip)
        return
    graph = av.filter.Graph()
    source = graph.add(
        "buffer",
        f"video_size={clip.width}x{clip.height}:pix_fmt={clip.pix_fmt}:time_base={1 / FILM}"
        f":frame_rate={FILM}",
    )
    stretched = graph.add("telecine", f"first_field={reel.field}")
    graph.link_nodes(source, stretched, graph.add("buffersink")).configure()
    for place, number in enumerate((*numbers, None)):
        picture = None if number is None else _picture(picture_planes(clip, number), clip)
        if picture is not None:
            picture.pts, picture.time_base = place, 1 / FILM
        graph.push(picture)
        while True:
            try:
                made = graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                break
            assert isinstance(made, av.VideoFrame)
            yield made


def _picture(planes: Sequence[NDArray[Any]], clip: Clip) -> av.VideoFrame:
    made = av.VideoFrame(clip.width, clip.height, clip.pix_fmt)
    for samples, plane in zip(planes, made.planes, strict=True):
        held = np.frombuffer(plane, samples.dtype).reshape(samples.shape[0], -1)
        held[:, : samples.shape[1]] = samples
    return made


def _planes(picture: av.VideoFrame, clip: Clip) -> list[NDArray[Any]]:
    shapes = [plane.shape for plane in picture_planes(clip, 0)]
    kind = picture_planes(clip, 0)[0].dtype
    return [
        np.frombuffer(plane, kind).reshape(height, -1)[:, :width].copy()
        for plane, (height, width) in zip(picture.planes, shapes, strict=True)
    ]


def _noisy(plane: NDArray[Any], noise: float, drawn: np.random.Generator) -> NDArray[Any]:
    grown = noise if plane.dtype == np.uint8 else 4 * noise
    most = 255 if plane.dtype == np.uint8 else 1023
    made = plane + drawn.normal(0, grown, plane.shape)
    result: NDArray[Any] = np.clip(np.rint(made), 0, most).astype(plane.dtype)
    return result

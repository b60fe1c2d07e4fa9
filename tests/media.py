"""Synthetic media: deterministic footage drawn with numpy, in files of every shape that tests need.

``python -m tests.media OUT.mp4`` writes the clip of the demonstration: a street with brickwork,
lettering, foliage and fine lines, panned by two thirds of a pixel each frame, with sound and a
subtitle. Tests build theirs with ``make_clip``; ``paint_counter`` writes a frame's number into its
picture in large blocks, and ``read_counter`` reads it back, also after upscaling.
"""

import importlib
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from numpy.typing import NDArray

from tests.street import Image, box, scene

COUNTER_GRID = (12, 16)  # the counter's cells: rows and columns that a picture is divided into
SAMPLE_RATE = 48000
ASS_HEADER = (
    b"[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize,"
    b" PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline,"
    b" StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL,"
    b" MarginR, MarginV, Encoding\nStyle: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,"
    b"100,0,0,1,1,0,2,10,10,10,1\n\n[Events]\nFormat: Layer, Start, End, Style, Name, MarginL,"
    b" MarginR, MarginV, Effect, Text\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """What a synthetic file holds. Times in ticks of ``time_base``, which is 1 / fps if not given.

    ``pts`` lists every frame's time and wins over ``seconds``; ``color`` holds the five tags
    (matrix, range, primaries, transfer, siting) as FFmpeg's numbers. ``interlaced`` frames are
    woven of two pictures, numbers 2n and 2n + 1, the first in the top rows, or with
    ``bottom_first`` in the others; ``flagged`` tells decoders so, and goes by ``interlaced`` if not
    given. Their counters are painted as Gray codes, which ``tests.fields`` reads.
    """

    width: int = 320
    height: int = 180
    seconds: float = 2
    fps: Fraction = Fraction(24)
    time_base: Fraction | None = None
    pts: tuple[int, ...] | None = None
    first_pts: int = 0
    last_duration: int = 0
    codec: str = "libx264"
    pix_fmt: str = "yuv420p"
    options: dict[str, str] = field(default_factory=lambda: {"crf": "12", "preset": "fast"})
    color: tuple[int, int, int, int, int] = (1, 1, 1, 1, 1)
    sar: Fraction | None = None
    rotation: float = 0.0
    mirrored: bool = False
    interlaced: bool = False
    bottom_first: bool = False
    flagged: bool | None = None
    counter: bool = False
    sound: bool = False
    sound_codec: str = "aac"
    subtitle: str = ""
    cover: bool = False
    chapters: int = 0
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def tick(self) -> Fraction:
        """Seconds per tick."""
        return self.time_base or 1 / self.fps

    @property
    def times(self) -> list[int]:
        """Every frame's pts."""
        if self.pts is not None:
            return list(self.pts)
        step = 1 / self.fps / self.tick
        return [self.first_pts + round(n * step) for n in range(round(self.seconds * self.fps))]

    @property
    def durations(self) -> list[int]:
        """Every frame's duration: up to the next one, the last as given or as the one before."""
        times = self.times
        steps = [after - before for before, after in pairwise(times)]
        return [*steps, self.last_duration or (steps[-1] if steps else 1)]


def make_clip(path: Path, **settings: Any) -> Clip:
    """Write a file as described by the fields of ``Clip``; the suffix picks the container."""
    clip = replace(Clip(), **settings)
    if "CIAOVIDEO_TEST_CLIPS" in os.environ:  # a session of tests encodes each clip once
        importlib.import_module("tests.clips").copy_of(repr(clip), path, partial(_write, clip))
    else:
        _write(clip, path)
    return clip


def make_offset_clip(
    path: Path,
    codec: str,
    *offsets: float,
    count: int = 160,
    coding: dict[str, str] | None = None,
    **options: Any,
) -> Path:
    """A video of ``count`` gray pictures from each of these times on, in seconds.

    ``coding`` are options of the encoder, the others those of the muxer.
    """
    with av.open(path, "w", options=options) as made:
        video: Any = made.add_stream(codec, rate=25, options=coding or {})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for number in range(count * len(offsets)):
            frame = av.VideoFrame.from_ndarray(np.full((72, 64), number % 200, np.uint8), "yuv420p")
            frame.pts = round(25 * offsets[number // count]) + number % count
            frame.time_base = Fraction(1, 25)
            made.mux(video.encode(frame))
        made.mux(video.encode(None))
    return path


def _write(clip: Clip, path: Path) -> None:
    with av.open(path, "w") as container:
        video = _add_video(container, clip)
        sound: Any = (
            container.add_stream(clip.sound_codec, rate=SAMPLE_RATE) if clip.sound else None
        )
        subtitle = _add_subtitle(container, clip)
        cover = _add_cover(container) if clip.cover else None
        container.metadata.update(clip.tags)
        if clip.chapters:
            container.set_chapters(_chapters(clip))
        container.start_encoding()
        if cover is not None:
            container.mux(cover.encode(_yuvj_square()))
        if subtitle is not None:
            container.mux(_line(subtitle, clip.subtitle))
        heard = 0
        for number, (pts, duration) in enumerate(zip(clip.times, clip.durations, strict=True)):
            container.mux(video.encode(coded_frame(clip, number, pts, duration)))
            if sound is not None:
                until = int((pts + duration - clip.times[0]) * clip.tick * SAMPLE_RATE)
                for frame in _tone(heard, until):
                    container.mux(sound.encode(frame))
                    heard += frame.samples
        container.mux(video.encode(None))
        if sound is not None:
            container.mux(sound.encode(None))


def planes_of(clip: Clip, number: int) -> list[NDArray[Any]]:
    """The integer planes of one frame, as they go into the encoder: Y, U, V, or G, B, R."""
    if not clip.interlaced:
        return picture_planes(clip, number)
    woven = picture_planes(clip, 2 * number)
    for plane, later in zip(woven, picture_planes(clip, 2 * number + 1), strict=True):
        rows = slice(0 if clip.bottom_first else 1, None, 2)
        plane[rows] = later[rows]
    return woven


def picture_planes(clip: Clip, number: int) -> list[NDArray[Any]]:
    """The planes of one whole picture, which an interlaced clip has twice as many of as frames."""
    rgb = scene(clip.height, clip.width, number)
    if clip.counter:
        paint_counter(rgb, number ^ number >> 1 if clip.interlaced else number)
    match = re.fullmatch(r"(yuv4(\d\d)p|gbrp|gray)(?:(\d+)le)?", clip.pix_fmt)
    assert match, f"no drawing in {clip.pix_fmt}"
    depth = int(match[3] or 8)
    if match[1] == "gbrp":
        samples = [rgb[..., channel] * (2**depth - 1) for channel in (1, 2, 0)]
    else:
        full = clip.color[1] == 2
        samples = _to_yuv(rgb, clip.color[0], depth, full=full)
        down = {"20": (2, 2), "22": (1, 2), "44": (1, 1), "40": (2, 1), None: (1, 1)}[match[2]]
        samples = [samples[0], *(box(plane, down) for plane in samples[1:])]
        samples = samples[:1] if match[1] == "gray" else samples
    kind = np.uint8 if depth == 8 else np.uint16
    return [np.clip(np.rint(plane), 0, 2**depth - 1).astype(kind) for plane in samples]


def paint_counter(rgb: Image, number: int) -> None:
    """Write a number below 65536 into the upper left of a picture: two rows of eight blocks.

    A third row alternates white and black, so that a reader knows what is bright.
    """
    for row in range(3):
        for column in range(8):
            bit = (number >> (8 * row + column)) & 1 if row < 2 else (column + 1) % 2
            rgb[_cell(rgb.shape, row, column)] = bit


def read_counter(luma: NDArray[Any]) -> int:
    """The number that ``paint_counter`` wrote, from a luma plane of any size and depth.

    Raises ValueError where there is no counter.
    """
    values = luma.astype(np.float64)
    means = [
        [values[_cell(values.shape, row, column, margin=True)].mean() for column in range(8)]
        for row in range(3)
    ]
    bright, dark = min(means[2][::2]), max(means[2][1::2])
    if bright - dark < 0.5 * (values.max() - values.min()) or bright <= dark:
        raise ValueError("no frame counter in this picture")
    bits = [value > (bright + dark) / 2 for row in means[:2] for value in row]
    return sum(1 << place for place, bit in enumerate(bits) if bit)


def _cell(
    shape: tuple[int, ...], row: int, column: int, *, margin: bool = False
) -> tuple[slice, slice]:
    """Where a block of the counter lies in a picture of this shape, or only its middle half."""
    inset = 0.25 if margin else 0.0
    spans = []
    for place, count, side in zip((row, column), COUNTER_GRID, shape[:2], strict=True):
        start = round((place + inset) * side / count)
        stop = round((place + 1 - inset) * side / count)
        spans.append(slice(start, max(stop, start + 1)))
    return spans[0], spans[1]


def _to_yuv(rgb: Image, matrix: int, depth: int, *, full: bool) -> list[Image]:
    """R'G'B' to Y'CbCr at full resolution, not yet rounded; an unspecified matrix is BT.601."""
    red, blue = {1: (0.2126, 0.0722), 9: (0.2627, 0.0593)}.get(matrix, (0.299, 0.114))
    luma = red * rgb[..., 0] + (1 - red - blue) * rgb[..., 1] + blue * rgb[..., 2]
    cb, cr = (rgb[..., 2] - luma) / (2 - 2 * blue), (rgb[..., 0] - luma) / (2 - 2 * red)
    unit, middle = 2 ** (depth - 8), 2 ** (depth - 1)
    if full:
        peak = 2**depth - 1
        return [luma * peak, cb * peak + middle, cr * peak + middle]
    return [(16 + 219 * luma) * unit, 224 * unit * cb + middle, 224 * unit * cr + middle]


def _add_video(container: Any, clip: Clip) -> Any:
    video = container.add_stream(clip.codec, rate=clip.fps, options=dict(clip.options))
    context = video.codec_context
    context.width, context.height, context.pix_fmt = clip.width, clip.height, clip.pix_fmt
    context.time_base = clip.tick
    context.thread_count = 1  # as torch has: tests run side by side
    context.flags |= av.codec.context.Flags.frame_duration
    context.colorspace, context.color_range, context.color_primaries = clip.color[:3]
    context.color_trc, context.chroma_sample_location = clip.color[3:]
    if clip.sar:
        context.sample_aspect_ratio = clip.sar
    if clip.rotation or clip.mirrored:
        video.set_display_rotation(clip.rotation, hflip=clip.mirrored)
    if _flagged(clip):
        context.flags |= (
            av.codec.context.Flags.interlaced_dct | av.codec.context.Flags.interlaced_me
        )
        context.field_order = 3 if clip.bottom_first else 2
    return video


def coded_frame(clip: Clip, number: int, pts: int, duration: int) -> av.VideoFrame:
    """A frame as it goes into the encoder."""
    frame = av.VideoFrame(clip.width, clip.height, clip.pix_fmt)
    for target, plane in zip(frame.planes, planes_of(clip, number), strict=True):
        rows = np.zeros((plane.shape[0], target.line_size // plane.itemsize), plane.dtype)
        rows[:, : plane.shape[1]] = plane
        target.update(rows.tobytes().ljust(target.buffer_size, b"\0")[: target.buffer_size])
    frame.pts, frame.time_base, frame.duration = pts, clip.tick, duration
    return _as_two_fields(frame, clip.bottom_first) if _flagged(clip) else frame


def _flagged(clip: Clip) -> bool:
    return clip.interlaced if clip.flagged is None else clip.flagged


def _as_two_fields(frame: av.VideoFrame, bottom_first: bool) -> av.VideoFrame:
    """The same picture, flagged as two fields."""
    order = "bff" if bottom_first else "tff"
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )
    chain = [source, graph.add("setfield", f"mode={order}"), graph.add("buffersink")]
    graph.link_nodes(*chain).configure()
    graph.push(frame)
    flagged = cast(av.VideoFrame, graph.pull())
    flagged.pts, flagged.time_base, flagged.duration = frame.pts, frame.time_base, frame.duration
    flagged.pict_type = 0
    return flagged


def _tone(start: int, until: int) -> Iterator[av.AudioFrame]:
    """A sine that swells and fades once a second, in frames of 1024 samples."""
    while start + 1024 <= until:
        t = np.arange(start, start + 1024) / SAMPLE_RATE
        wave = 0.3 * np.sin(2 * np.pi * 440 * t) * (0.6 - 0.4 * np.cos(2 * np.pi * t))
        frame = av.AudioFrame.from_ndarray(
            np.stack([wave, wave]).astype(np.float32), format="fltp", layout="stereo"
        )
        frame.sample_rate, frame.pts = SAMPLE_RATE, start
        frame.time_base = Fraction(1, SAMPLE_RATE)
        yield frame
        start += 1024


def _add_subtitle(container: Any, clip: Clip) -> Any:
    if not clip.subtitle:
        return None
    codec = "srt" if container.format.name == "matroska" else "mov_text"
    track = container.add_stream(codec)
    track.codec_context.subtitle_header = ASS_HEADER
    track.metadata["language"] = "eng"
    return track


def _line(track: Any, words: str) -> Any:
    """A line of a text track, shown during the first second."""
    text = f"0,0,Default,,0,0,0,,{words}".encode()
    packet = track.codec_context.encode_subtitle(
        av.subtitles.subtitle.SubtitleSet.create(text, 0, 1000)
    )
    packet.stream, packet.pts, packet.dts, packet.duration = track, 0, 0, 1000
    packet.time_base = Fraction(1, 1000)
    return packet


def _add_cover(container: Any) -> Any:
    cover = container.add_stream("mjpeg", rate=1)
    cover.codec_context.width = cover.codec_context.height = 32
    cover.codec_context.pix_fmt = "yuvj420p"
    cover.codec_context.time_base = Fraction(1)
    cover.disposition = av.stream.Disposition.attached_pic
    return cover


def _yuvj_square() -> av.VideoFrame:
    frame = av.VideoFrame(32, 32, "yuvj420p")
    for value, plane in zip((90, 150, 200), frame.planes, strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    frame.pts = 0
    return frame


def _chapters(clip: Clip) -> list[Any]:
    """Chapters of equal length, in milliseconds."""
    end = (clip.times[-1] + clip.durations[-1]) * clip.tick * 1000
    bounds = [int(end * n / clip.chapters) for n in range(clip.chapters + 1)]
    return [
        {
            "id": n + 1,
            "start": bounds[n],
            "end": bounds[n + 1],
            "time_base": Fraction(1, 1000),
            "metadata": {"title": f"Part {n + 1}"},
        }
        for n in range(clip.chapters)
    ]


def write_gray(path: Path, planes: Sequence[NDArray[np.uint8]], rate: int = 24) -> Path:
    """Luma planes (H, W) as a lossless gray video."""
    with av.open(path, "w") as container:
        video: Any = container.add_stream("ffv1", rate=rate)
        video.height, video.width = planes[0].shape
        video.pix_fmt = "gray"
        for number, plane in enumerate(planes):
            frame = av.VideoFrame.from_ndarray(plane, format="gray")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    return path


def faststart(path: Path) -> Path:
    """The same packets with the index before them."""
    fast = path.with_name("fast.mp4")
    with (
        av.open(path) as source,
        av.open(fast, "w", container_options={"movflags": "faststart"}) as target,
    ):
        copied = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = copied
                target.mux(packet)
    return fast


if __name__ == "__main__":
    make_clip(Path(sys.argv[1]), sound=True, subtitle="A street, two thirds of a pixel at a time")

"""The clock along a file, read cheaply: it hints at jumps far from the beginning.

Where a container has an index, that tells it, in mp4 and mov the tables of samples; in Matroska the
cues or the heads of clusters; in NUT its syncpoints. Ogg and ASF have nothing of that kind: FFmpeg
reads packets at some places of a large file, and all of a small one.
"""

from contextlib import suppress
from pathlib import Path

import av.error
from av.container import InputContainer
from av.video.stream import VideoStream

from ciaovideo.errors import OpenError
from ciaovideo.media.av_errors import av_errors
from ciaovideo.media.clock import exact
from ciaovideo.media.containers import MATROSKA, read_container
from ciaovideo.media.formats import ebml, nut
from ciaovideo.media.formats.places import spans_of
from ciaovideo.media.inspect.jumps import ClockWatch
from ciaovideo.media.source.opening import Opening, main_video, open_source


def clock_of(
    container: InputContainer, video: VideoStream, path: Path, opening: Opening
) -> ClockWatch | None:
    """The clock along an opened file; None where its container is none of these."""
    row = read_container(container.format.name)
    if row.iso:
        clock, tick = ClockWatch(), float(exact(video.time_base) or 0)
        for entry in video.index_entries:
            clock.take([entry.timestamp * tick], 0)
        return clock
    if row is MATROSKA:
        return _watched(ebml.clock_along(path))
    if row.syncpoints:
        return _watched(nut.clock_along(path))
    return _looked_at(path, opening) if row.found_by_bytes else None


def _watched(times: list[tuple[int, float]]) -> ClockWatch:
    clock = ClockWatch()
    for at, time in times:
        clock.take([time], at)
    return clock


def _looked_at(path: Path, opening: Opening) -> ClockWatch:
    """What packets tell at both ends of a file and, one at each, at the places in between."""
    clock, spans = ClockWatch(), spans_of(path.stat().st_size)
    with av_errors("reading", path, OpenError), open_source(path, opening) as container:
        video = main_video(container, path, opening)
        for number, (begin, end) in enumerate(spans):
            between = 0 < number < len(spans) - 1
            with suppress(av.error.FFmpegError):  # damaged there
                container.seek(begin, unsupported_byte_offset=True)
                _take(container, video, clock, begin if between else end)
    return clock


def _take(container: InputContainer, video: VideoStream, clock: ClockWatch, end: int) -> None:
    """Take the times of a video's packets up to the first one at a byte or behind it."""
    tick = float(exact(video.time_base) or 0)
    for packet in container.demux(video):
        stamp = packet.pts if packet.dts is None else packet.dts
        if stamp is None or not packet.size or packet.pos is None:
            continue
        clock.take([stamp * tick], packet.pos)
        if packet.pos >= end:
            return

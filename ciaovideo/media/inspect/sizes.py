"""The sizes of a file's packets: all of a small file, or a sample of a large one."""

from collections.abc import Collection, Sequence
from fractions import Fraction
from pathlib import Path

import av.error

from ciaovideo.errors import OpenError
from ciaovideo.media.av_errors import av_errors
from ciaovideo.media.clock import exact
from ciaovideo.media.source.opening import USUAL, Opening, main_video, open_source

STRETCH = Fraction(2)  # seconds that are read in one place


def packet_sizes(path: Path) -> list[tuple[int, bool]]:
    """The bytes of each packet of the main video, and whether decoding can begin there."""
    with av_errors("reading", path, OpenError), open_source(path) as container:
        video = main_video(container, path, USUAL)
        return [(p.size, p.is_keyframe) for p in container.demux(video) if p.size]


def bytes_per_second(
    path: Path, streams: Collection[int], places: Sequence[Fraction], opening: Opening = USUAL
) -> float:
    """An estimate of the bytes per second of some streams, from samples at places in seconds.

    A place that cannot be read does not count; without any the estimate is 0.
    """
    if not streams:
        return 0.0
    found = []
    with av_errors("reading", path, OpenError), open_source(path, opening) as container:
        for place in places:
            try:
                container.seek(int(place * av.time_base), backward=True)
                found.append(_stretch(container, streams))
            except av.error.FFmpegError:
                continue
    seconds = sum(lasts for _, lasts in found)
    return sum(size for size, _ in found) / float(seconds) if seconds else 0.0


def _stretch(
    container: "av.container.InputContainer", streams: Collection[int]
) -> tuple[int, Fraction]:
    """The bytes of these streams in one stretch, and its length in seconds."""
    total, begin, newest = 0, None, Fraction(0)
    for packet in container.demux():
        time = (packet.dts or 0) * (exact(packet.time_base) or Fraction(0))
        if packet.dts is None or not packet.size:
            continue
        begin = time if begin is None else begin
        newest = max(newest, time)
        if newest - begin > STRETCH:
            break
        if packet.stream_index in streams:
            total += packet.size
    return total, max(newest - (begin or 0), Fraction(0))

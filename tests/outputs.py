"""Made files as a player sees them: times, packets, the numbers painted into the frames."""

from fractions import Fraction
from pathlib import Path

import av
from av.rational import AVRational

from ciaovideo.media.clock import exact
from tests.fields import read_field_counter
from tests.media import read_counter

Packets = list[tuple[Fraction, bytes]]


def seconds(tick: AVRational | None) -> Fraction:
    """A time base that is there."""
    found = exact(tick)
    assert found is not None
    return found


def ticks(stamp: int | None) -> int:
    """A time stamp that is there."""
    assert stamp is not None
    return stamp


def times(path: Path) -> list[Fraction]:
    """The time of every frame that a player shows."""
    with av.open(path) as container:
        frames = container.decode(video=0)
        return [ticks(frame.pts) * seconds(frame.time_base) for frame in frames]


def packets(path: Path, kind: str) -> Packets:
    """Time and bytes of all packets of the first stream of a kind."""
    with av.open(path) as container:
        av_stream = next(s for s in container.streams if s.type == kind)
        return [
            (ticks(packet.pts) * seconds(packet.time_base), bytes(packet))
            for packet in container.demux(av_stream)
            if packet.size and packet.pts is not None
        ]


def counters(path: Path) -> list[int]:
    """The numbers painted into the frames."""
    with av.open(path) as container:
        return [read_counter(f.to_ndarray(format="gray")) for f in container.decode(video=0)]


def field_counters(path: Path) -> list[int]:
    """The numbers painted into the pictures of an interlaced clip."""
    with av.open(path) as container:
        return [read_field_counter(f.to_ndarray(format="gray")) for f in container.decode(video=0)]


def left_behind(folder: Path, *known: str) -> list[str]:
    """What is in a folder besides files that belong there."""
    return sorted(path.name for path in folder.iterdir() if path.name not in known)

"""Whether a file is truncated, or another program still writes it.

This shows only in containers whose header has a duration. MPEG-TS has none, FFmpeg replaces those
of AVI and ASF by what it finds, and a truncated mp4 mostly cannot be opened at all.
"""

from fractions import Fraction
from pathlib import Path

import av
import av.error
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from ciaovideo.errors import OpenError
from ciaovideo.findings import Finding, Kind
from ciaovideo.media.av_errors import av_errors
from ciaovideo.media.clock import exact
from ciaovideo.media.containers import read_container
from ciaovideo.media.source.opening import open_source

TAIL = Fraction(2)  # seconds before the claimed end, which are read first
SLACK = Fraction(1, 2)  # seconds, or more of slow videos: headers count the last sound or frame
FRAMES = 4  # of slow videos, in place of SLACK


def truncation(
    container: InputContainer, path: Path, end: Fraction | None = None
) -> tuple[Finding, ...]:
    """A finding if no packet of an open file comes near the end that its header states.

    ``end`` is the end of the last packet, if all were read already. Otherwise the last packets are
    read. If they do not reach the stated end, the file is opened again and read throughout: in a
    damaged file a seek may lead anywhere.
    """
    if not container.duration or not read_container(container.format.name).tells_end:
        return ()
    claimed = Fraction(container.duration, av.time_base)
    start = Fraction(container.start_time or 0, av.time_base)
    rates = [exact(av_stream.average_rate) for av_stream in container.streams.video]
    slack = max([SLACK, *(FRAMES / rate for rate in rates if rate)])

    def reaches(end: Fraction) -> bool:
        return max(end, end - start) >= claimed - slack

    if end is None and reaches(_end(container, claimed - TAIL + min(start, Fraction(0)))):
        return ()
    if end is None:
        with av_errors("reading", path, OpenError), open_source(path) as again:
            end = _end(again, None)
    if reaches(end):
        return ()
    text = (
        f"the header states {float(claimed):.1f} s, but the file ends after {float(end):.1f} s: it"
        " may be truncated, or still being written"
    )
    return (Finding(kind=Kind.DAMAGED, subject="file", text=text, at=end),)


def _end(container: InputContainer, begin: Fraction | None) -> Fraction:
    """The end of the last packet after ``begin``; a read error counts as the end of the file."""
    end = Fraction(0)
    try:
        if begin is not None:
            container.seek(int(begin * av.time_base))
        for packet in container.demux():
            end = max(end, packet_end(packet))
    except av.error.FFmpegError:
        pass
    return end


def packet_end(packet: "Packet[Stream]") -> Fraction:
    """The end of a packet in seconds; zero if it is empty or has no timestamp."""
    stamp = packet.dts if packet.pts is None else packet.pts
    if not packet.size or stamp is None:
        return Fraction(0)
    return (stamp + (packet.duration or 0)) * (exact(packet.time_base) or Fraction(0))

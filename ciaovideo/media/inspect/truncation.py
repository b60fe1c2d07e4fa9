"""Whether a file ends before it says: it was cut, or another program still writes it.

Only containers whose header tells how long they last can give themselves away. MPEG-TS has no such
header; what AVI's and ASF's tell, FFmpeg replaces by what is there; and an mp4 without its end
mostly cannot be opened at all.
"""

from fractions import Fraction
from pathlib import Path

import av
import av.error
from av.container import InputContainer

from ciaovideo.errors import OpenError
from ciaovideo.findings import Finding, Kind
from ciaovideo.media.av_errors import av_errors
from ciaovideo.media.clock import exact

TELLING = {"matroska", "webm", "mov", "mp4", "flv"}  # FFmpeg's names of demuxers
TAIL = Fraction(2)  # seconds before the claimed end, where a look is taken first
SLACK = Fraction(1, 2)  # seconds, or more of slow videos: headers count the last sound or frame
FRAMES = 4  # in ways of their own


def early_end(path: Path) -> tuple[Finding, ...]:
    """A finding if no packet of a file comes near the end that its header tells.

    The last packets are looked at; only where they do not reach that far, all are.
    """
    with av_errors("reading", path, OpenError), av.open(path) as container:
        if not container.duration or TELLING.isdisjoint(container.format.name.split(",")):
            return ()
        claimed = Fraction(container.duration, av.time_base)
        start = Fraction(container.start_time or 0, av.time_base)
        rates = [exact(av_stream.average_rate) for av_stream in container.streams.video]
        slack = max([SLACK, *(FRAMES / rate for rate in rates if rate)])
    for begin in (claimed - TAIL, Fraction(0)):
        with av_errors("reading", path, OpenError), av.open(path) as container:
            end = _end(container, begin + min(start, Fraction(0)))
        if max(end, end - start) >= claimed - slack:
            return ()
    text = (
        f"the file says it lasts {float(claimed):.1f} s, but ends after {float(end):.1f} s: it may"
        " be cut, or still being written"
    )
    return (Finding(kind=Kind.DAMAGED, subject="file", text=text, at=end),)


def _end(container: InputContainer, begin: Fraction) -> Fraction:
    """When the last packet ends, of those after a time; what cannot be read ends the file."""
    end = Fraction(0)
    try:
        if begin > 0:
            container.seek(int(begin * av.time_base))
        for packet in container.demux():
            stamp = packet.dts if packet.pts is None else packet.pts
            if packet.size and stamp is not None:
                tick = exact(packet.time_base) or Fraction(0)
                end = max(end, (stamp + (packet.duration or 0)) * tick)
    except av.error.FFmpegError:
        pass
    return end

"""The sample aspect ratio (SAR) of each picture of a video.

Many containers state one for the whole video, which players prefer to that of the pictures. In the
others, a broadcast or a tape may change it midway, with the headers of a key frame.
"""

import math
from collections.abc import Iterator
from fractions import Fraction

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from ciaovideo.findings import Finding, Kind
from ciaovideo.media.clock import exact
from ciaovideo.media.containers import read_container

KEPT = 64  # key frames that are remembered: more than any decoder holds back


class Aspects:
    """Finds the SAR of each picture from one decoder.

    PyAV's pictures do not tell theirs, but the decoder tells that of the headers that it read last.
    Where that changes, it holds from the key frame on that was decoded then, which may be shown
    after pictures that are still to come. ``packets`` passes the packets to the decoder, and
    ``seen`` takes each picture as it leaves it.
    """

    def __init__(self, container: InputContainer, av_stream: VideoStream) -> None:
        self._decoder = av_stream.codec_context
        self._states = read_container(container.format.name).states_sar
        self._stated = exact(av_stream.sample_aspect_ratio)
        self._keys: dict[int, int] = {}  # display times of the newest key frames by decoding times
        self._coming: list[tuple[int, Fraction | None]] = []  # from which time on, and the SAR
        self._read: Fraction | None = None  # of the newest headers
        self._now: Fraction | None = None  # of the newest picture
        self._begun = False

    def packets(self, packets: "Iterator[Packet[VideoStream]]") -> "Iterator[Packet[VideoStream]]":
        """The same packets, on their way to the decoder."""
        for packet in packets:
            if packet.is_keyframe and packet.dts is not None and packet.pts is not None:
                self._keys[packet.dts] = packet.pts
                if len(self._keys) > KEPT:
                    self._keys.pop(next(iter(self._keys)))
            yield packet

    def seen(self, picture: av.VideoFrame) -> None:
        """Note a change of the headers; the picture is the one that the decoder returned last."""
        read = exact(self._decoder.sample_aspect_ratio)
        if not self._begun:
            self._begin(read)
        elif read != self._read:
            since = picture.pts if picture.dts is None else self._keys.get(picture.dts, picture.pts)
            self._coming.append((since or 0, read))
        self._read = read

    def of(self, picture: av.VideoFrame) -> Fraction | None:
        """The SAR of a picture, given in display order; None if unset."""
        if not self._begun:
            self.seen(picture)
        while self._coming and (picture.pts is None or picture.pts >= self._coming[0][0]):
            self._now = self._coming.pop(0)[1]
        return self._stated if self._states else self._now

    def _begin(self, read: Fraction | None) -> None:
        """Decide by the first picture whether the container states a SAR of its own."""
        self._begun = True
        if self._states is None:
            self._states = self._stated not in (None, read)
        self._states = self._states and self._stated is not None
        self._now = read or self._stated


def same_sar(one: Fraction | None, other: Fraction | None) -> bool:
    """Whether two pictures are displayed alike; an unset SAR is that of square pixels."""
    return (one or 1) == (other or 1)


SUBJECT = "sample aspect ratio"  # of the finding below


def other_sar(
    first: Fraction | None, later: Fraction | None, played: Fraction, at: Fraction
) -> Finding:
    """The loss of a SAR that changes ``played`` seconds after the first frame, the time ``at``."""
    before, after = (str(sar or 1).replace("/", ":") for sar in (first, later))
    when = math.floor(played * 10**6) / 10**6  # a part that ends then is before it
    text = (
        f"the sample aspect ratio changes from {before} to {after} after {when:.6f} s: that of the"
        " first frame is used throughout (a run that ends there and one that starts there keep"
        " both)"
    )
    return Finding(kind=Kind.LOST, subject=SUBJECT, text=text, at=at)

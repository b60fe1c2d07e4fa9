"""PCM for a container that stores no times: a run of samples from the first frame to the last.

MXF's muxer stores samples beside frames in the order of arrival. A gap would make all later sound
early, and late sound would start at once. If sound ends before the video, FFmpeg drops the
remaining frames (measured). So gaps are filled with silence, and sound before the first frame or
after the last is cut.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from av.audio.stream import AudioStream
from av.packet import Packet
from av.stream import Stream

from ciaovideo.findings import Finding, Kind
from ciaovideo.media.clock import READ_ON, exact
from ciaovideo.media.frame import StreamInfo
from ciaovideo.media.inspect.scan import FileScan
from ciaovideo.media.selection import Selection

STEP = Fraction(1, 1000)  # seconds; a smaller difference is no error
HOLE = Fraction(1, 100)  # seconds; a shorter gap is drift or rounding of the clock
BLOCK = Fraction(1)  # seconds of sound in a packet


class SteadySound:
    """Makes one continuous run of a stream's samples, on a clock that starts at the first frame.

    ``take`` adds a packet of PCM; ``until`` returns the samples up to a time, and ``end`` the rest
    up to the end of the last frame.
    """

    def __init__(self, name: str, target: AudioStream) -> None:
        context = target.codec_context
        bits = re.search(r"\d+", context.name)
        assert bits is not None, context.name
        self.findings: list[Finding] = []
        self._name, self._target, self._rate = name, target, context.sample_rate
        self._width = context.channels * int(bits[0]) // 8  # bytes of a sample of all channels
        self._waiting = bytearray()
        self._done = 0  # samples returned so far
        self._heard: int | None = None  # end of the newest sample of the source

    @property
    def _next(self) -> int:
        """The number of the next sample."""
        return self._done + len(self._waiting) // self._width

    def take(self, packet: "Packet[Stream]") -> None:
        """Add the samples of a packet: at its time, or after those before it."""
        data = bytes(packet)
        begin = round((packet.pts or 0) * (exact(packet.time_base) or Fraction(0)) * self._rate)
        least = 0 if self._heard is None else int(HOLE * self._rate)
        gap = begin - self._next
        if self._heard is not None and begin - self._heard > least:
            self._tell(Kind.CHANGED, "silence in place of a gap", begin - self._heard)
        if gap > least:
            self._waiting += bytes(gap * self._width)
        elif gap < -least:
            data = data[-gap * self._width :]
            if self._heard is not None:
                self._tell(Kind.LOST, "sound that overlaps other sound is dropped", -gap)
        self._waiting += data
        if data:
            self._heard = self._next

    def until(self, time: Fraction) -> "Iterator[Packet[Stream]]":
        """The samples up to a time, as far as they have come.

        Sound that is later than READ_ON becomes silence. Otherwise a muxer would keep hours of
        pictures in memory until the sound comes.
        """
        late = round((time - READ_ON) * self._rate) - self._next
        if late > 0:
            self._waiting += bytes(late * self._width)
        yield from self._packets(round(time * self._rate))

    def end(self, time: Fraction) -> "Iterator[Packet[Stream]]":
        """The rest of the samples, exactly up to the end of the last frame."""
        last = round(time * self._rate)
        self._waiting += bytes(max(last - self._next, 0) * self._width)
        yield from self._packets(last)

    def _packets(self, last: int) -> "Iterator[Packet[Stream]]":
        most = round(BLOCK * self._rate)
        while count := min(last - self._done, len(self._waiting) // self._width, most):
            if count < 0:
                return
            packet = Packet(bytes(self._waiting[: count * self._width]))
            del self._waiting[: count * self._width]
            packet.pts = packet.dts = self._done
            packet.duration, packet.time_base = count, Fraction(1, self._rate)
            packet.is_keyframe, packet.stream = True, self._target
            self._done += count
            yield packet

    def _tell(self, kind: Kind, what: str, samples: int) -> None:
        """Add a finding, only the first of its kind."""
        if all(found.kind is not kind for found in self.findings):
            at = Fraction(self._next, self._rate)
            text = f"{self._name}: {what}, first {samples / self._rate:.3f} s at {float(at):.3f} s"
            self.findings.append(Finding(kind=kind, subject=self._name, text=text, at=at))


def uneven_starts(
    starts: Mapping[int, Fraction], main: int, kept: Sequence[StreamInfo], selection: Selection
) -> Iterator[Finding]:
    """Findings on sound that does not begin with the video ``main``, unless a part is cut."""
    for info in kept:
        late = starts.get(info.index, Fraction(0)) - starts.get(main, Fraction(0))
        if late > STEP:
            yield _changed(info, f"silence for {float(late):.3f} s before it begins")
        elif late < -STEP and selection.start is None:
            yield _cut(info, f"{float(-late):.3f} s before the first frame")


def uneven_ends(scan: FileScan, end: Fraction, selection: Selection) -> Iterator[Finding]:
    """Findings on sound that does not end with the video, at ``end``, unless a part is cut."""
    whole = selection.end is None and selection.count is None
    for track in scan.others:
        ends = [pts + lasts for pts, lasts in zip(track.pts, track.lasts, strict=True)]
        late = max(ends, default=0) * track.tick - end
        if track.info.kind != "audio" or not ends:
            continue
        if late < -STEP:
            yield _changed(track.info, f"silence for the last {float(-late):.3f} s of the video")
        elif late > STEP and whole:
            yield _cut(track.info, f"{float(late):.3f} s after the last frame")


def _changed(info: StreamInfo, text: str) -> Finding:
    return Finding(kind=Kind.CHANGED, subject=info.name, text=f"{info}: {text}")


def _cut(info: StreamInfo, what: str) -> Finding:
    return Finding(kind=Kind.LOST, subject=info.name, text=f"{info}: {what} are cut off")

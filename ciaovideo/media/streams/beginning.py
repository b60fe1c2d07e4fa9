"""The start of an output's streams: the offset added to all times, so that nothing is lost."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Self

from av.container import InputContainer

from ciaovideo.findings import Finding, Kind
from ciaovideo.media.clock import common_tick, exact
from ciaovideo.media.containers import Container, read_container
from ciaovideo.media.frame import StreamInfo
from ciaovideo.media.read.probe import SourceFacts
from ciaovideo.media.selection import Selection

LATE = Fraction(60)  # seconds; a later start is an arbitrary clock, as in broadcasts


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """The start times of the kept streams in a source, and the offset to the output's.

    ``taken`` are the streams' indices, ``starts`` the times of their first packets in the part,
    ``ticks`` their clocks; ``main`` is the main video. The ``selection`` is on the file's own
    clock. A ``free`` clock may begin anywhere, as in a broadcast.
    """

    taken: frozenset[int]
    starts: Mapping[int, Fraction]
    main: int
    ticks: Sequence[Fraction]
    selection: Selection
    container: Container
    free: bool

    @classmethod
    def of(
        cls,
        av_container: InputContainer,
        facts: SourceFacts,
        kept: Iterable[StreamInfo],
        container: Container,
        selection: Selection,
    ) -> Self:
        """The beginning of the main video and the kept streams of an opened source."""
        taken = {facts.info.index, *(info.index for info in kept)}
        times = facts.packets.first_times(selection)
        return cls(
            taken=frozenset(taken),
            starts={index: time for index, time in times.items() if index in taken},
            main=facts.info.index,
            ticks=[exact(av_container.streams[i].time_base) or Fraction(1) for i in taken],
            selection=selection,
            container=container,
            free=read_container(av_container.format.name).free_clock,
        )

    @property
    def offset(self) -> Fraction:
        """Seconds to add to all times, so that no picture or audible sound begins before zero.

        mp4 and mov cut what lies before zero by an edit list. That is right for the priming of
        sound, but would lose pictures. Matroska stores no negative times except for priming. In a
        part of a file, the first frame moves to zero, or in Matroska the sound under it: by whole
        ticks of the frames' clock; other streams move to the nearest tick of theirs. In containers
        that count frames, the first is at zero; bare pictures have no times. A broadcast whose
        times begin long after zero is moved to zero.
        """
        container, starts = self.container, self.starts
        if container.bare:
            return Fraction(0)
        if container.numbered:
            return -starts.get(self.main, Fraction(0))
        counted = [
            time
            for index, time in starts.items()
            if index == self.main or not container.before_zero
        ]
        if self.selection.start is not None:
            tick = self.selection.tick
            return -(min([self.selection.start, *counted]) // tick) * tick
        earliest, step = min([*counted, Fraction(0)]), common_tick(self.ticks)
        if earliest >= 0 and self.free:
            earliest = min(starts.values(), default=Fraction(0))
            earliest = earliest if earliest >= LATE else Fraction(0)
        return -(earliest // step) * step

    def findings(self) -> Iterator[Finding]:
        """The finding for a nonzero offset."""
        offset, start = self.offset, self.selection.start
        if not offset:
            return
        if start is None and offset < 0:
            text = f"the output begins at zero: all times are {float(-offset):.9g} s earlier"
        elif start is None:
            text = f"the input starts before zero: all times are {float(offset):g} s later"
        else:
            way = "earlier" if offset < 0 else "later"
            text = (
                f"the first frame is the one at {float(start):.9g} s of the file's own time;"
                f" all times are {float(abs(offset)):.9g} s {way}"
            )
        yield Finding(kind=Kind.CHANGED, subject="times", text=text, at=start)

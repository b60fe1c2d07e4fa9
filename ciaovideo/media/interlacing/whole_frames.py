"""From frames of two fields to whole pictures: what a policy wants done, and the filter for it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction

from ciaovideo.errors import InterlacedError
from ciaovideo.media.frame import VideoInfo
from ciaovideo.media.interlacing.deinterlacer import FieldFilter, Shown
from ciaovideo.media.interlacing.fields import FieldPolicy
from ciaovideo.media.interlacing.pulldown import FRAMES, PARTS, PICTURES
from ciaovideo.media.interlacing.telecine import FilmFilter

INTERLACED_HINT = "let it be deinterlaced, or force it to be taken as it is"


class WholeFrames:
    """What a policy makes of interlaced frames: whole pictures, from the first frame on or later.

    ``tick`` is the clock of the frames that go in; ``on_lost`` gets the times of sections that are
    no film after all, as ``FilmFilter`` has it.
    """

    def __init__(
        self, policy: FieldPolicy, tick: Fraction, on_lost: Callable[[Fraction, Fraction], None]
    ) -> None:
        self.policy = policy
        self._tick = tick
        self._on_lost = on_lost
        self._filter: FieldFilter | FilmFilter | None = None

    def begin(self, info: VideoInfo) -> VideoInfo:
        """The video as it comes out; raises InterlacedError where the policy refuses it."""
        policy, evidence = self.policy, self.policy.evidence
        if policy.refuses and evidence.interlaced:
            raise InterlacedError(f"{info.path} is interlaced ({evidence})", INTERLACED_HINT)
        if policy.film:  # whose pictures are fewer than video's frames
            share = Fraction(PICTURES, FRAMES)
            info = replace(
                info,
                time_base=self._tick / PARTS,
                frame_rate=info.frame_rate and info.frame_rate * share,
                frame_count=int(info.frame_count * share),
            )
            self.start(info)
            return info
        if policy.deinterlaces:
            self.start(info)
        if policy.every_field:
            rate = info.frame_rate and info.frame_rate * 2
            info = replace(info, time_base=info.time_base / 2, frame_rate=rate)
            return replace(info, frame_count=info.frame_count * 2)
        if policy.forced:
            order = evidence.order or evidence.declared
            return replace(info, interlaced=True, field_order=order)
        return info

    @property
    def filtering(self) -> bool:
        """Whether frames go through a filter by now."""
        return self._filter is not None

    def start(self, info: VideoInfo, begin: int | None = None) -> None:
        """Let frames like these go through a filter from now on; film from a time stamp on."""
        evidence = self.policy.evidence
        if self.policy.film:
            self._filter = FilmFilter(
                info,
                self._tick,
                order=evidence.pulldown.order,
                begin=begin,
                on_lost=self._on_lost,
            )
            return
        repacked = info.coded_pix_fmt.replace("yuvj", "yuv") != info.pix_fmt  # which loses the flag
        order = evidence.order
        if not order and (repacked or not evidence.flagged):
            order = evidence.declared
        every = self.policy.every_field
        self._filter = FieldFilter(info, self._tick, order=order or "auto", every_field=every)

    def push(self, shown: Shown) -> Iterator[Shown]:
        """Add a frame; the pictures that can be shown by now."""
        return iter((shown,)) if self._filter is None else self._filter.push(shown)

    def flush(self) -> Iterator[Shown]:
        """The end: the pictures that are left."""
        return iter(()) if self._filter is None else self._filter.flush()

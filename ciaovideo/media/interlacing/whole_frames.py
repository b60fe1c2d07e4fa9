"""Applies a field policy: passes frames on, or sends them through the filter they need."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction

from ciaovideo.errors import InterlacedError
from ciaovideo.media.frame import VideoInfo
from ciaovideo.media.interlacing.deinterlacer import FieldFilter, Shown
from ciaovideo.media.interlacing.fields import FieldPolicy
from ciaovideo.media.interlacing.pulldown import FRAMES, PARTS, PICTURES
from ciaovideo.media.interlacing.telecine import FilmFilter

INTERLACED_HINT = "deinterlace it, or force it to keep its frames as they are"


class WholeFrames:
    """Makes progressive pictures as a policy says, from the first frame on or later.

    ``tick`` is the clock of the input frames. ``on_lost`` gets the times of sections that turn out
    not to be film, as in ``FilmFilter``.
    """

    def __init__(
        self, policy: FieldPolicy, tick: Fraction, on_lost: Callable[[Fraction, Fraction], None]
    ) -> None:
        self.policy = policy
        self._tick = tick
        self._on_lost = on_lost
        self._filter: FieldFilter | FilmFilter | None = None

    def begin(self, info: VideoInfo) -> VideoInfo:
        """The output video's facts; raises InterlacedError if the policy refuses it."""
        policy, evidence = self.policy, self.policy.evidence
        if policy.refuses and evidence.interlaced:
            raise InterlacedError(f"{info.path} is interlaced ({evidence})", INTERLACED_HINT)
        if policy.film:  # four pictures for five frames
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
        """Whether frames pass through a filter now."""
        return self._filter is not None

    def start(self, info: VideoInfo, begin: int | None = None) -> None:
        """Start filtering frames like these; film from the timestamp ``begin`` on."""
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
        # Repacking loses the flag.
        repacked = info.coded_pix_fmt.replace("yuvj", "yuv") != info.pix_fmt
        order = evidence.order
        if not order and (repacked or not evidence.flagged):
            order = evidence.declared
        every = self.policy.every_field
        self._filter = FieldFilter(info, self._tick, order=order or "auto", every_field=every)

    def push(self, shown: Shown) -> Iterator[Shown]:
        """Add a frame; yields the pictures that are ready."""
        return iter((shown,)) if self._filter is None else self._filter.push(shown)

    def flush(self) -> Iterator[Shown]:
        """End the input; yields the last pictures."""
        return iter(()) if self._filter is None else self._filter.flush()

"""Where the segments of a video begin, so that each can be made without those before it."""

from dataclasses import dataclass
from itertools import pairwise

from ciaovideo.errors import SegmentError
from ciaovideo.findings import Finding
from ciaovideo.media.frame import Frame
from ciaovideo.media.read.reader import VideoReader
from ciaovideo.media.read.seeking import Anchor, Listing, list_video
from ciaovideo.storage.segments import Segment


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentPlan:
    """A segment to make: the frames [start, stop) of an output.

    ``pts`` is when its first frame appears in ticks of the reader, ``after`` when the first one
    after it does. Where ``pts`` is None, nothing is known but their numbers, and the frames before
    have to be decoded; where ``anchor`` is, too. ``last`` says that the source ends there.
    """

    start: int
    stop: int
    pts: int | None = None
    after: int | None = None
    anchor: Anchor | None = None
    last: bool = False

    def check_first(self, frame: Frame, path: object) -> None:
        """Raise SegmentError unless this is its first frame."""
        if self.pts is not None and frame.pts != self.pts:
            raise _astray(path, self.start, self.pts, frame)

    def check_next(self, frame: Frame | None, reader: VideoReader) -> None:
        """Raise SegmentError unless this comes after it, and nothing hangs on what came before."""
        if self.pts is None:
            return
        if self.after is not None and (frame is None or frame.pts != self.after):
            raise _astray(reader.path, self.stop, self.after, frame)
        if self.last and frame is not None:
            raise _astray(reader.path, self.stop, None, frame)
        if reader.late_fields:
            raise SegmentError(
                f"{reader.path} turns interlaced on the way", "its segments are made in order"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeSegment:
    """A segment that was made, or None where the source ended before it.

    ``ended`` says that the source has no frame after it.
    """

    segment: Segment | None
    ended: bool
    findings: tuple[Finding, ...]


def plan_segments(
    reader: VideoReader, limit: int | None, length: int
) -> tuple[SegmentPlan, ...] | None:
    """The segments of a video, from a look at its packets; None where these do not tell.

    ``reader`` stands at the beginning. ``limit`` frames at most are taken.
    """
    facts = reader.facts
    if facts is None or facts.timeless or reader.selection.cut or reader.selection.film:
        return None
    listing = list_video(facts.path, facts.opening)
    per_frame = reader.selection.per_frame
    first = reader.peek().pts // per_frame
    frames = [pts for pts in listing.frames if pts >= first]
    if not listing.timed or not frames or any(a == b for a, b in pairwise(frames)):
        return None
    count = len(frames) * per_frame
    total = min(count, limit or count)
    return tuple(
        _planned(listing, frames, per_frame, (start, min(start + length, total)))
        for start in range(0, total, length)
    )


def _planned(
    listing: Listing, frames: list[int], per_frame: int, span: tuple[int, int]
) -> SegmentPlan:
    start, stop = span
    begin = frames[start // per_frame]
    whole = stop % per_frame == 0  # when a second field appears, packets do not tell
    following = frames[stop // per_frame : stop // per_frame + 1] if whole else []
    return SegmentPlan(
        start=start,
        stop=stop,
        pts=begin * per_frame,
        after=following[0] * per_frame if following else None,
        anchor=listing.anchor(begin * listing.tick),
        last=whole and not following,
    )


def _astray(path: object, number: int, wanted: int | None, found: Frame | None) -> SegmentError:
    return SegmentError(
        f"{path}: frame {number} appears at {found.pts if found else None}, and its packets say"
        f" {wanted} (ticks)",
        "its segments are made in order",
    )

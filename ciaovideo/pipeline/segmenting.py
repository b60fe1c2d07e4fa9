"""Divides a video into segments that can be made independently of each other."""

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

    ``pts`` is the time of its first frame in the reader's ticks, ``after`` that of the first frame
    after it. If ``pts`` or ``anchor`` is None, the frames before it must be decoded. ``last`` means
    that the source ends there.
    """

    start: int
    stop: int
    pts: int | None = None
    after: int | None = None
    anchor: Anchor | None = None
    last: bool = False

    def check_first(self, frame: Frame, path: object) -> None:
        """Raise SegmentError unless this is the first frame of the part."""
        if self.pts is not None and frame.pts != self.pts:
            raise _astray(path, self.start, self.pts, frame)

    def check_next(self, frame: Frame | None, reader: VideoReader) -> None:
        """Raise SegmentError unless this frame follows the part, and the part is independent."""
        if self.pts is None:
            return
        if self.after is not None and (frame is None or frame.pts != self.after):
            raise _astray(reader.path, self.stop, self.after, frame)
        if self.last and frame is not None:
            raise _astray(reader.path, self.stop, None, frame)
        if reader.late_fields:
            raise SegmentError(
                f"{reader.path} becomes interlaced midway", "its segments must be made in order"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeSegment:
    """A segment that was made, or None if the source ended before it.

    ``ended`` means that the source has no frame after it.
    """

    segment: Segment | None
    ended: bool
    findings: tuple[Finding, ...]


def separable(reader: VideoReader) -> bool:
    """Whether the segments of a video may be planned from its packets; reads none."""
    facts, selection = reader.facts, reader.selection
    return facts is not None and not (facts.timeless or selection.cut or selection.film)


def plan_segments(
    reader: VideoReader, limit: int | None, length: int
) -> tuple[SegmentPlan, ...] | None:
    """The segments of a video, from its packets; None if packets do not determine them.

    ``reader`` is at the beginning. The parts have at most ``limit`` frames.
    """
    facts = reader.facts
    if facts is None or not separable(reader):
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
    whole = stop % per_frame == 0  # packets do not state the time of a second field
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
        f"{path}: frame {number} has the timestamp {found.pts if found else None}, but its"
        f" packets have {wanted}",
        "its segments must be made in order",
    )

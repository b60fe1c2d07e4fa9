"""A part of a file, planned from the display times of its frames before any is decoded."""

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from ciaovideo.errors import OptionError
from ciaovideo.media.inspect.jumps import begun_again
from ciaovideo.media.interlacing.pulldown import groups
from ciaovideo.media.read.seeking import Listing
from ciaovideo.media.selection import Selection


@dataclass(frozen=True, slots=True)
class Part:
    """The ``wanted`` part of a file, on the file's own clock.

    ``listing`` has the packets of the file, ``origin`` is the time of its first frame.
    """

    path: Path | str
    listing: Listing
    wanted: Selection
    origin: Fraction

    def plan(self, count: int) -> tuple[Fraction | None, int]:
        """The time of the first frame after the part, None for the file's end; and its frames.

        ``count`` is the file's number of frames, 0 if unknown. Raises OptionError for an empty
        part.
        """
        listing, wanted = self.listing, self.wanted
        frames = self._times()
        if listing.again and len(frames) > 1:
            frames.append(2 * frames[-1] - frames[-2])  # end of the last one
        times = replace(wanted, start=None, end=None).times(frames)
        inside = wanted.times(frames)
        if not listing.timed or not times:
            return wanted.end, count
        if not inside:
            raise empty_part(self.path, wanted.after(-self.origin))
        if wanted.end is None:
            left = count - len(times) + len(inside)
            return None, max(left, len(inside))
        end = next((time for time in times if time >= wanted.end), None)
        if end is None and listing.again:
            last = float(times[-1] - self.origin)
            raise begun_again(
                Path(self.path), times[-1], f"end the part at {last:g} s at the latest"
            )
        return end, len(inside)

    def film_start(self, begin: Fraction) -> Fraction:
        """The beginning of the group of film pictures that is shown at a time."""
        starts = (group.times[0] for group in groups(self._times()))
        return max((start for start in starts if start <= begin), default=begin)

    def _times(self) -> list[Fraction]:
        """The display times of the frames, for film only from the first picture on."""
        times = (pts * self.listing.tick for pts in self.listing.frames)
        return [time for time in times if not self.wanted.film or time >= self.origin]


def empty_part(path: Path | str, asked: Selection) -> OptionError:
    """The error for a part without a frame; ``asked`` counts from the first frame."""
    since = f"{float(asked.start or 0):g} s"
    until = "its end" if asked.end is None else f"{float(asked.end):g} s"
    return OptionError(
        f"no frame of {path} appears between {since} and {until}",
        "start earlier, or end later: both are counted from the first frame",
    )

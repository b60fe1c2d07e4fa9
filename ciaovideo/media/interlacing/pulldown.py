"""Telecine (2:3 pulldown): the times of film's pictures, and how to detect it.

Telecine stretches film from 24000/1001 to 30000/1001 frames a second: it shows the pictures for two
and three fields in turn, so that five frames hold four pictures. Five consecutive frames at about
30 a second are a group, counted from the first frame on; its four pictures share the group's time
evenly. Groups follow from timestamps alone, so that a run knows the times of all pictures before it
decodes any. Frames at another rate, such as those of soft telecine, are in no group of five and do
not change.

Repeated fields reveal telecine: of five frames, one repeats the top field of the frame before, and
another, two frames away, the bottom field. Nothing else has this pattern, and the order of the two
shows which field is first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

FRAMES, PICTURES = 5, 4  # of a group
STEPS = Fraction(1, 40), Fraction(3, 80)  # seconds from a frame to the next within a group
RATES = Fraction(2997, 100), Fraction(30)  # of video that may hold such film, rounded outwards
REPEATED = 0.6  # a field is a repeat if it differs by less than this share of its neighbours
APART = 2  # frames from one repeated field to the other
EVEN = 3  # one field may repeat this many times as often as the other
ENOUGH = 8  # repeats at telecine's places, for a video to be film
PARTS = 16  # subdivisions of a tick in which the pictures' times are whole numbers


@dataclass(frozen=True, slots=True)
class Group[T]:
    """Consecutive frames, each with its time.

    Five of them are four pictures. Fewer are as many pictures: at their own times, or at film's
    rate if the video ends with them (``last``).
    """

    frames: tuple[T, ...]
    times: tuple[Fraction, ...]
    last: bool = False

    @property
    def whole(self) -> bool:
        """Whether it has five frames, of which one is dropped."""
        return len(self.frames) == FRAMES

    @property
    def shown(self) -> tuple[Fraction, ...]:
        """The times of its pictures."""
        first = self.times[0]
        if self.whole:
            step = (self.times[-1] - first) / (FRAMES - 1)
        elif self.last and len(self.times) > 1:
            step = self.times[1] - first
        else:
            return self.times
        count = min(PICTURES, len(self.times))
        return tuple(first + n * step * FRAMES / PICTURES for n in range(count))


@dataclass(slots=True)
class Grouping[T]:
    """Gathers frames, in order, into groups."""

    _frames: list[T] = field(default_factory=list)
    _times: list[Fraction] = field(default_factory=list)

    def add(self, frame: T, time: Fraction) -> list[Group[T]]:
        """Take the next frame; the groups that it completes."""
        done = []
        if self._times and not STEPS[0] <= time - self._times[-1] <= STEPS[1]:
            done += self._taken()
        self._frames.append(frame)
        self._times.append(time)
        return [*done, *(self._taken() if len(self._frames) == FRAMES else [])]

    def finish(self) -> list[Group[T]]:
        """The last group, at the end of the video."""
        return self._taken(last=True)

    def _taken(self, *, last: bool = False) -> list[Group[T]]:
        group = Group(tuple(self._frames), tuple(self._times), last)
        self._frames.clear()
        self._times.clear()
        return [group] if group.frames else []


def groups(times: Sequence[Fraction]) -> list[Group[int]]:
    """The groups of a video with these frame times; their frames are numbers."""
    gathering: Grouping[int] = Grouping()
    made = [group for number, time in enumerate(times) for group in gathering.add(number, time)]
    return made + gathering.finish()


def film_times(times: Sequence[Fraction]) -> list[Fraction]:
    """The times of film's pictures in a video with these frame times."""
    return [time for group in groups(times) for time in group.shown]


def frames_for(pictures: int) -> int:
    """The most frames to read, to know that many pictures and the next."""
    return (pictures // PICTURES + 2) * FRAMES


def telecine_rate(rate: Fraction | None) -> bool:
    """Whether video at this rate may hold film."""
    return rate is not None and RATES[0] - Fraction(1, 100) <= rate <= RATES[1] + Fraction(1, 100)


@dataclass(frozen=True, slots=True)
class Pulldown:
    """The evidence of telecine in a sample.

    ``slots`` counts the places where telecine repeats a field, ``hits`` the repeats there,
    ``misses`` the repeats elsewhere; ``order`` is the field order. ``film`` are the times of
    sampled places that are film, ``video`` of those that move and are not, in seconds after the
    first frame.
    """

    slots: int = 0
    hits: int = 0
    misses: int = 0
    order: str = ""
    film: tuple[float, ...] = ()
    video: tuple[float, ...] = ()

    @property
    def certain(self) -> bool:
        """Whether all sampled places are film."""
        return bool(self.film) and not self.video and self.hits >= ENOUGH

    @property
    def mixed(self) -> bool:
        """Whether some places are film, and some are not."""
        return bool(self.film and self.video)

    def within(self, start: Fraction, end: Fraction | None) -> "Pulldown":
        """The evidence for a part: in a mixed video, that of the places inside it."""
        if not self.mixed:
            return self
        inside = (
            tuple(at for at in places if start <= at and (end is None or at < end))
            for places in (self.film, self.video)
        )
        return replace(self, film=next(inside), video=next(inside))

    def __str__(self) -> str:
        return (
            f"{self.hits} of the {self.slots} fields that telecine repeats are repeats, and"
            f" {self.misses} others, {self.order}"
        )


NO_FILM = Pulldown()


def pulldown_in(
    top: Sequence[float], bottom: Sequence[float], time: float, *, moves: bool
) -> Pulldown:
    """The evidence of telecine in consecutive frames, by the best phase and order.

    ``top`` and ``bottom`` are the differences of each frame's fields from those of the frame
    before; ``time`` is the first frame's, ``moves`` whether there is enough motion to rule film
    out.
    """
    tops, bottoms = _repeats(top), _repeats(bottom)
    every = tops | bottoms
    best = NO_FILM
    inner = range(2, len(top) - 1)  # the first and last lack a neighbour
    for order, first, second in (("tff", tops, bottoms), ("bff", bottoms, tops)):
        for phase in range(FRAMES):
            one = [number for number in inner if number % FRAMES == phase]
            other = [number for number in inner if (number - APART) % FRAMES == phase]
            found = len(first.intersection(one)), len(second.intersection(other))
            hits = sum(found)
            if hits > best.hits and EVEN * min(found) >= max(found):
                misses = len(tops) + len(bottoms) - hits
                best = Pulldown(len(one) + len(other), hits, misses, order)
    if best.hits >= max(ENOUGH / 2, best.slots / 2) and best.misses <= best.hits / 3:
        return replace(best, film=(time,))
    apart = moves and best.hits <= best.slots / 4 and len(every) <= len(top) / 2
    return replace(best, hits=0, video=(time,) if apart else ())


def _repeats(changes: Sequence[float]) -> set[int]:
    """The numbers of the fields that repeat: they differ less than their neighbours do."""
    return {
        number
        for number in range(2, len(changes) - 1)
        if changes[number] < REPEATED * min(changes[number - 1], changes[number + 1])
    }


def joined(places: Sequence[Pulldown]) -> Pulldown:
    """The evidence of several places; the field order is that of most film places."""
    film = [place for place in places if place.film]
    orders = [place.order for place in film]
    return Pulldown(
        slots=sum(place.slots for place in film),
        hits=sum(place.hits for place in film),
        misses=sum(place.misses for place in film),
        order=max(orders, key=orders.count, default=""),
        film=tuple(sorted(time for place in places for time in place.film)),
        video=tuple(sorted(time for place in places for time in place.video)),
    )

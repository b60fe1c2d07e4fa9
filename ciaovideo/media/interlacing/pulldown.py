"""Film in video's frames: four pictures take the place of five, and when each of them appears.

Film at 24000/1001 frames a second was stretched to 30000/1001 by showing its pictures for two and
three fields in turn, so that five frames hold four pictures (2:3 pulldown). Five frames that follow
each other at about 30 a second are a group, counted from the first frame on; its four pictures
share the group's time evenly. Only times tell groups, so that what a run takes of a file is known
before any picture is decoded. Frames at another pace, such as those of film that is flagged to be
stretched by the player, are in no group of five and stay as they are.

Such film is told by fields that repeat: of five frames, one has the top field of the frame before,
and another, two frames away, the bottom field. Nothing else does that, and the order of the two
tells which field is shown first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

FRAMES, PICTURES = 5, 4  # of a group
STEPS = Fraction(1, 40), Fraction(3, 80)  # seconds from a frame to the next within a group
RATES = Fraction(2997, 100), Fraction(30)  # of video that may hold such film, rounded outwards
REPEATED = 0.6  # of what its neighbours differ by: a field that repeats differs by less
APART = 2  # frames from one repeated field to the other
EVEN = 3  # times as often one field may repeat as the other
ENOUGH = 8  # repeated fields where film has them, for a video to be film
PARTS = 16  # of a tick: in these, times of pictures are whole numbers


@dataclass(frozen=True, slots=True)
class Group[T]:
    """Frames that belong together, each with its time.

    Five of them are four pictures; fewer are as many, at their own times, or at film's pace where
    the video ends with them (``last``).
    """

    frames: tuple[T, ...]
    times: tuple[Fraction, ...]
    last: bool = False

    @property
    def whole(self) -> bool:
        """Whether it is five frames, of which one is left out."""
        return len(self.frames) == FRAMES

    @property
    def shown(self) -> tuple[Fraction, ...]:
        """When its pictures appear."""
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
        """Take the next frame; the groups that are complete by that."""
        done = []
        if self._times and not STEPS[0] <= time - self._times[-1] <= STEPS[1]:
            done += self._taken()
        self._frames.append(frame)
        self._times.append(time)
        return [*done, *(self._taken() if len(self._frames) == FRAMES else [])]

    def finish(self) -> list[Group[T]]:
        """What is left at the end."""
        return self._taken(last=True)

    def _taken(self, *, last: bool = False) -> list[Group[T]]:
        group = Group(tuple(self._frames), tuple(self._times), last)
        self._frames.clear()
        self._times.clear()
        return [group] if group.frames else []


def groups(times: Sequence[Fraction]) -> list[Group[int]]:
    """The groups of a video whose frames appear at these times; their frames are numbers."""
    gathering: Grouping[int] = Grouping()
    made = [group for number, time in enumerate(times) for group in gathering.add(number, time)]
    return made + gathering.finish()


def film_times(times: Sequence[Fraction]) -> list[Fraction]:
    """When film's pictures appear, of a video whose frames appear at these times."""
    return [time for group in groups(times) for time in group.shown]


def frames_for(pictures: int) -> int:
    """How many frames to look at, at most, to know that many pictures and the next."""
    return (pictures // PICTURES + 2) * FRAMES


def telecine_rate(rate: Fraction | None) -> bool:
    """Whether video at this rate may hold film."""
    return rate is not None and RATES[0] - Fraction(1, 100) <= rate <= RATES[1] + Fraction(1, 100)


@dataclass(frozen=True, slots=True)
class Pulldown:
    """What a sample shows of film at video's rate.

    Of ``slots``, where film repeats a field, ``hits`` do, and ``misses`` repeat elsewhere;
    ``order`` is that of the fields. ``film`` and ``video`` are the times of places that are film,
    and of those that move and are not, in seconds after the first frame.
    """

    slots: int = 0
    hits: int = 0
    misses: int = 0
    order: str = ""
    film: tuple[float, ...] = ()
    video: tuple[float, ...] = ()

    @property
    def certain(self) -> bool:
        """Whether what was looked at is film throughout."""
        return bool(self.film) and not self.video and self.hits >= ENOUGH

    @property
    def mixed(self) -> bool:
        """Whether some of it is film, and some is not."""
        return bool(self.film and self.video)

    def within(self, start: Fraction, end: Fraction | None) -> "Pulldown":
        """What it says of a part: of a mixed video, what the places there do."""
        if not self.mixed:
            return self
        inside = (
            tuple(at for at in places if start <= at and (end is None or at < end))
            for places in (self.film, self.video)
        )
        return replace(self, film=next(inside), video=next(inside))

    def __str__(self) -> str:
        return (
            f"of {self.slots} fields that repeat in film at video's rate {self.hits} do, and"
            f" {self.misses} others, {self.order}"
        )


NO_FILM = Pulldown()


def pulldown_in(
    top: Sequence[float], bottom: Sequence[float], time: float, *, moves: bool
) -> Pulldown:
    """What frames that follow each other show of film, by the phase and order that fit best.

    ``top`` and ``bottom`` are how much each frame's fields differ from those of the frame before;
    ``time`` is when the first of them appears, ``moves`` whether enough does to tell that they are
    no film.
    """
    tops, bottoms = _repeats(top), _repeats(bottom)
    every = tops | bottoms
    best = NO_FILM
    inner = range(2, len(top) - 1)  # of the first frames, and of the last, not both are known
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
    """The numbers of fields that differ from the frame before by less than their neighbours."""
    return {
        number
        for number in range(2, len(changes) - 1)
        if changes[number] < REPEATED * min(changes[number - 1], changes[number + 1])
    }


def joined(places: Sequence[Pulldown]) -> Pulldown:
    """What places show together; the order of fields is that of most of their film."""
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

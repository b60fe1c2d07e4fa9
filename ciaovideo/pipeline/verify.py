"""The finished file against the contract: every frame at its time, every packet, the same pictures.

What should be there is read from the source by ``media.scan``, not taken from the run that is being
checked. The frames' times come from the source's packets; where these do not agree with the output
(hidden pictures, damaged ones, missing times) the source is decoded, and its decoder decides.
"""

import logging
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np

from ciaovideo.color import ColorSpec, Matrix, PixelLayout, Range, Siting
from ciaovideo.errors import VerificationError
from ciaovideo.media.copier import StreamPlan, plan_streams
from ciaovideo.media.pixels import planar_name
from ciaovideo.media.scan import (
    FileScan,
    Shot,
    Track,
    decoded_times,
    scan_file,
    shots_by_number,
    shots_by_time,
)

log = logging.getLogger(__name__)

BETWEEN = 3  # pictures that are looked at besides the first and the last
FAR = 300  # frames from where decoding can begin: further away, the source's picture is not fetched
# Mean differences of thumbnails in [0, 1]. Enlarging changes them by less than 0.01 (measured over
# real files), another picture or another range by more than these.
OTHER_PICTURE = 0.04
SAME_PICTURE = 0.002  # below it nothing moves
DARK = 0.004  # above black: what is brighter than this in the source must be seen in the output
CHAPTER_STEP = Fraction(1, 1000)  # how coarsely containers store the chapters' times
MPEG_SOUND = {"mp1", "mp2", "mp3"}  # mp4 has one name for all three
TAGS = ("matrix", "color_range", "primaries", "transfer", "siting")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What an output must be, besides its source enlarged: the streams it keeps, and its look.

    ``frames`` limits it to the first frames of the source. What a run decided for its output is
    empty where it is not known: then any size and layout goes, and the source's own tags.
    """

    streams: StreamPlan
    frames: int | None = None
    size: tuple[int, int] | None = None
    pix_fmt: str = ""
    color: ColorSpec | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was compared, and what was found: nothing, if the output is what it should be."""

    frames: int
    streams: int
    packets: int
    pictures: int
    notes: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()


def contract_between(source: Path, output: Path, frames: int | None = None) -> Contract:
    """What a file made earlier must be, as far as its name and its source say."""
    scan = scan_file(source, 1)
    return Contract(streams=plan_streams(source, output, scan.main, frames), frames=frames)


def verify(output: Path, contract: Contract) -> Verification:
    """Compare a file with what it should be. Raises MediaError if one cannot be read at all."""
    source, found = scan_file(contract.streams.source, contract.frames), scan_file(output)
    times, notes = _expected_times(source, found, contract)
    end = _end(times, contract.frames)
    shown = times[: contract.frames]
    pairs, findings = _pair_tracks(source, found, contract)
    findings += _check_times(shown, found, contract.streams.offset)
    for given, made in pairs:
        findings += _check_packets(given, made, end, contract.streams.offset)
    findings += _check_shape(source, found, contract)
    findings += _check_chapters(source, found, end, contract.streams.offset)
    looks = _Looks(source, found, shown, contract)
    if len(found.video.pts) == len(shown):
        findings += looks.check()
    return Verification(
        frames=len(found.video.pts),
        streams=len(found.tracks),
        packets=sum(len(made.pts) for _, made in pairs),
        pictures=looks.compared,
        notes=tuple(notes),
        findings=tuple(findings),
    )


def require(verification: Verification, output: Path, kept_as: Path) -> None:
    """Raise VerificationError if anything was found: the first thing, and where the file is."""
    findings = verification.findings
    if not findings:
        return
    for finding in findings:
        log.info("%s: %s", output, finding)
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    raise VerificationError(
        f"{output} is not what it should be: {findings[0]}{more}", f"the file is kept as {kept_as}"
    )


def on_clock(time: Fraction, tick: Fraction) -> int:
    """The number of whole ticks next to a time, halves away from zero, as containers store it."""
    ticks = abs(time / tick)
    whole = int(ticks + Fraction(1, 2))
    return whole if time >= 0 else -whole


def _expected_times(
    source: FileScan, found: FileScan, contract: Contract
) -> tuple[list[Fraction], list[str]]:
    """When the source's frames appear (one more than asked for, for the end), and what is odd."""
    limit = None if contract.frames is None else contract.frames + 1
    video = source.video
    listed = [pts * video.tick for pts in sorted(video.pts)[:limit]]
    plausible = source.timed and not video.timeless
    if plausible and not _check_times(listed[: contract.frames], found, contract.streams.offset):
        return listed, []
    times = decoded_times(source, limit)
    if plausible and len(times) != len(listed):
        return times, [
            f"{len(listed)} pictures are listed in {source.path.name}, {len(times)} can be shown"
        ]
    return times, []


def _end(times: Sequence[Fraction], frames: int | None) -> Fraction | None:
    """Where a limited output ends: where the next frame begins, if there is one."""
    return times[frames] if frames is not None and len(times) > frames else None


def _check_times(shown: Sequence[Fraction], found: FileScan, offset: Fraction) -> list[str]:
    """Every frame once and at its time; Matroska rounds it to its clock, the others must not."""
    tick = found.video.tick
    wanted = [time + offset for time in shown]
    if found.matroska:
        wanted = [on_clock(time, tick) * tick for time in wanted]
    actual = [pts * tick for pts in sorted(found.video.pts)]
    if found.video.hidden:
        return [f"video: an edit list hides {found.video.hidden} frames"]
    if actual == wanted:
        return []
    return [_first_difference("video: frame", wanted, actual)]


def _check_packets(
    given: Track, made: Track, end: Fraction | None, offset: Fraction
) -> Iterator[str]:
    """Every packet of a copied stream that begins before the end, at its time on the new clock."""
    if given.cover:
        return
    times = [pts * given.tick for pts in given.pts]
    wanted = [on_clock(time + offset, made.tick) for time in times if end is None or time < end]
    if list(made.pts) != wanted:
        yield _first_difference(
            f"{given.info}: packet",
            [made.tick * pts for pts in wanted],
            [made.tick * pts for pts in made.pts],
        )


def _first_difference(what: str, wanted: Sequence[Fraction], actual: Sequence[Fraction]) -> str:
    """In words, where two lists of times begin to differ."""
    counts = "" if len(wanted) == len(actual) else f"; {len(wanted)} expected, {len(actual)} found"
    for place, (should, is_at) in enumerate(zip(wanted, actual, strict=False)):
        if should != is_at:
            return (
                f"{what} {place} should be at {float(should):.6f} s"
                f" and is at {float(is_at):.6f} s{counts}"
            )
    place = min(len(wanted), len(actual))
    if place < len(wanted):
        return f"{what} {place} at {float(wanted[place]):.6f} s is missing{counts}"
    return f"{what} {place} at {float(actual[place]):.6f} s should not be there{counts}"


def _pair_tracks(
    source: FileScan, found: FileScan, contract: Contract
) -> tuple[list[tuple[Track, Track]], list[str]]:
    """Each kept stream with its copy, in the order of each kind; and what has no partner."""
    plan = contract.streams
    kept = {info.index for info in plan.kept}
    accounted = kept | {info.index for info in plan.dropped}
    given = [track for track in source.others if track.info.index in kept]
    findings = [
        f"{track.info} is neither kept nor reported as left out"
        for track in source.others
        if track.info.index not in accounted
    ]
    pairs: list[tuple[Track, Track]] = []
    left = found.others
    for track in given:
        partner = next((made for made in left if _same_kind(track, made)), None)
        if partner is None:
            findings.append(f"{track.info} is missing")
        else:
            left.remove(partner)
            pairs.append((track, partner))
    findings += [f"{track.info} should not be there" for track in left]
    return pairs, findings


def _same_kind(given: Track, made: Track) -> bool:
    one, other = given.info, made.info
    if given.cover or made.cover:
        return given.cover == made.cover
    same_coding = one.codec == other.codec or {one.codec, other.codec} <= MPEG_SOUND
    return one.kind == other.kind and same_coding


def _check_shape(source: FileScan, found: FileScan, contract: Contract) -> Iterator[str]:
    """The size, the shape on screen, and how the picture is turned."""
    height, width = found.size
    if contract.size and found.size != contract.size:
        yield f"video: {width}x{height} instead of {contract.size[1]}x{contract.size[0]}"
    if height < source.size[0] or width < source.size[1]:
        yield f"video: {width}x{height} is smaller than the source"
    before, after = (Fraction(s.size[1], s.size[0]) * s.sar for s in (source, found))
    if abs(after / before - 1) > Fraction(1, width) + Fraction(1, height):
        yield f"video: its shape is {float(after):.4f}:1 instead of {float(before):.4f}:1"
    if source.turn != found.turn:
        yield f"video: turned by the matrix {found.turn} instead of {source.turn}"


def _check_chapters(
    source: FileScan, found: FileScan, end: Fraction | None, offset: Fraction
) -> Iterator[str]:
    wanted = [(start, title) for start, title in source.chapters if end is None or start < end]
    if len(wanted) != len(found.chapters):
        yield f"{len(wanted)} chapters expected, {len(found.chapters)} found"
        return
    for number, (should, made) in enumerate(zip(wanted, found.chapters, strict=True)):
        if should[1] != made[1] or abs(should[0] + offset - made[0]) > CHAPTER_STEP:
            yield (
                f"chapter {number} should be {should[1]!r} at {float(should[0] + offset):.3f} s"
                f" and is {made[1]!r} at {float(made[0]):.3f} s"
            )


class _Looks:
    """A few decoded pictures of the output beside those of the source."""

    def __init__(
        self, source: FileScan, found: FileScan, shown: Sequence[Fraction], contract: Contract
    ) -> None:
        self.source, self.found, self.shown = source, found, shown
        self.contract = contract
        self.compared = 0
        self._pts = sorted(found.video.pts)

    def check(self) -> Iterator[str]:
        """What is wrong with them."""
        starts = _places(self.found.video.keys, self._pts)
        ticks = [int(time / self.source.video.tick) for time in self.shown]
        source_starts = _places(self.source.video.keys, ticks) if self.source.timed else [0]
        places = _places_to_look(len(self._pts), starts, source_starts)
        made = shots_by_time(self.found, [self._pts[place] for place in places])
        near = [place for place in places if _distance(place, source_starts) <= FAR]
        if self.source.timed:
            given = shots_by_time(self.source, [ticks[place] for place in near])
            given = {place: given[ticks[place]] for place in near if ticks[place] in given}
        else:
            given = shots_by_number(self.source, near)
        looks = {place: made.get(self._pts[place]) for place in places}
        described: list[str] = []
        for place, shot in looks.items():
            if shot is None:
                yield f"frame {place} cannot be decoded"
                continue
            if not described:  # all frames are alike: the first that is wrong speaks for them
                like = given.get(place) or given.get(0)
                described = list(self._check_description(place, shot, like))
                yield from described
            if place in given:
                self.compared += 1
                yield from _check_look(place, shot, given[place])
        yield from _check_motion({p: s for p, s in looks.items() if s and p in given}, given)

    def _check_description(self, place: int, shot: Shot, like: Shot | None) -> Iterator[str]:
        height, width = shot.size
        if shot.size != self.found.size:
            yield f"frame {place} is {width}x{height}"
        if shot.damaged:
            yield f"frame {place} is damaged"
        wanted = self.contract.pix_fmt
        if wanted and planar_name(shot.pix_fmt) != planar_name(wanted):
            yield f"frame {place} is {shot.pix_fmt} instead of {wanted}"
        if like is None and self.contract.color is None:
            return
        color = self.contract.color or _tags_like(like, shot)
        layout = PixelLayout.of(planar_name(shot.pix_fmt))
        wanted_tags, tags = _meant(color, layout), _meant(shot.color, layout)
        for tag in TAGS:
            should, is_tagged = getattr(wanted_tags, tag), getattr(tags, tag)
            if should != is_tagged:
                yield f"frame {place}: its {tag} is {is_tagged.name} instead of {should.name}"


def _tags_like(source: Shot | None, shot: Shot) -> ColorSpec:
    """The source's tags; a matrix that it leaves open may have been added."""
    color = source.color if source else shot.color
    if color.matrix == Matrix.UNSPECIFIED:
        return replace(color, matrix=shot.color.matrix)
    return color


def _meant(color: ColorSpec, layout: PixelLayout) -> ColorSpec:
    """The tags with range and siting filled in where silence means one value in every standard.

    H.264 and H.265 cannot tell limited range and left siting from silence when nothing else is
    tagged; R'G'B' has no matrix and no siting to speak of.
    """
    if layout.family == "rgb":
        full = Range.FULL if color.color_range == Range.UNSPECIFIED else color.color_range
        return replace(color, matrix=Matrix.RGB, siting=Siting.UNSPECIFIED, color_range=full)
    if color.color_range == Range.UNSPECIFIED:
        color = replace(color, color_range=Range.LIMITED)
    if not any(layout.log2_chroma):
        return replace(color, siting=Siting.UNSPECIFIED)
    if color.siting == Siting.UNSPECIFIED:
        return replace(color, siting=Siting.LEFT)
    return color


def _check_look(place: int, made: Shot, given: Shot) -> Iterator[str]:
    if made.look.max() < DARK <= given.look.mean() - DARK:
        yield f"frame {place} is black and the source's is not"
    elif (off := float(np.abs(made.look - given.look).mean())) > OTHER_PICTURE:
        yield f"frame {place} is not the source's picture: they differ by {off:.1%}"


def _check_motion(made: dict[int, Shot], given: dict[int, Shot]) -> Iterator[str]:
    """Pictures that are all alike where the source's are not."""
    for one, other in pairwise(sorted(made)):
        moved = float(np.abs(given[one].look - given[other].look).mean())
        moves = float(np.abs(made[one].look - made[other].look).mean())
        if moves < SAME_PICTURE and moved > max(4 * moves, 4 * SAME_PICTURE):
            yield f"the picture stands still between frames {one} and {other}"


def _places(keys: Sequence[int], pts: Sequence[int]) -> list[int]:
    """Which numbers the frames have that decoding can begin at."""
    found = [bisect_left(pts, key) for key in sorted(keys)]
    return [place for place in found if place < len(pts)] or [0]


def _distance(place: int, starts: Sequence[int]) -> int:
    """How many frames must be decoded before one is."""
    return place - max(starts[max(bisect_right(starts, place) - 1, 0)], 0)


def _places_to_look(count: int, made: Sequence[int], given: Sequence[int]) -> list[int]:
    """The first frame, the last, and between them those that cost the least to decode."""
    places = {0, count - 1}
    for part in range(BETWEEN):
        begin, stop = (1 + (count - 2) * side // BETWEEN for side in (part, part + 1))
        near = {(begin + stop) // 2} if begin < stop else set()
        near |= {place for place in (*made, *given) if begin <= place < stop}
        if near:
            places.add(min(near, key=lambda at: _distance(at, made) + _distance(at, given)))
    return sorted(places)

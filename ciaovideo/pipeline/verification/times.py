"""The expected frame times of an output, by rules that only verification uses."""

from bisect import bisect_left
from collections.abc import Sequence
from fractions import Fraction

from ciaovideo.findings import Finding, Kind
from ciaovideo.media.containers import Clock
from ciaovideo.media.inspect.scan import FileScan, decoded_times
from ciaovideo.media.selection import Selection
from ciaovideo.pipeline.verification.contract import Contract, wrong

PACE = Fraction(25, 1000), Fraction(375, 10000)  # seconds between frames of telecined film
INVISIBLE = {"vp8", "vp9", "av1"}  # codecs with packets that are only references


def on_clock(time: Fraction, tick: Fraction) -> int:
    """The nearest whole number of ticks, halves away from zero, as containers round."""
    ticks = abs(time / tick)
    whole = int(ticks + Fraction(1, 2))
    return whole if time >= 0 else -whole


def expected_times(
    source: FileScan, found: FileScan, contract: Contract
) -> tuple[list[Fraction], list[Finding]]:
    """The source's frame times (with some more, for the end), and findings."""
    video = source.video
    frames = [pts * video.tick for pts in sorted(video.pts)]
    if source.again and len(frames) > 1:
        frames.append(2 * frames[-1] - frames[-2])  # the end of the last one
    listed = spread(frames, contract.selection)
    plausible = source.timed and not video.timeless
    if contract.counted:
        return listed, []
    if plausible and not check_times(listed, found, contract):
        return listed, []
    times = spread(decoded_times(source, *limits(contract)), contract.selection)
    counts = [stop - begin for begin, stop in (bounds(t, contract) for t in (listed, times))]
    if plausible and counts[0] > counts[1] and video.info.codec not in INVISIBLE:
        text = (
            f"all {counts[1]} decodable pictures are present: {counts[0] - counts[1]} of"
            f" {counts[0]} packets hold none, or depend on pictures before the beginning"
        )
        return times, [Finding(kind=Kind.DAMAGED, subject="video", text=text)]
    return times, []


def limits(contract: Contract) -> tuple[int | None, Fraction | None]:
    """How far to read the source: to a number of frames, or for a cut part to a time."""
    if contract.selection.cut:
        return None, contract.streams.selection.end
    return contract.selection.frames_read, None


def bounds(times: Sequence[Fraction], contract: Contract) -> tuple[int, int]:
    """The numbers of the first frame of the part, and of the first one after it."""
    if not times:
        return 0, 0
    wanted = contract.selection
    begin = bisect_left(times, times[0] + (wanted.start or 0))
    stop = len(times) if wanted.end is None else bisect_left(times, times[0] + wanted.end)
    if wanted.count is not None:
        stop = min(stop, begin + wanted.count)
    return begin, max(begin, stop)


def spread(times: list[Fraction], selection: Selection) -> list[Fraction]:
    """The output's frame times: the source's, or one for each field.

    If telecine is reversed, four for each five frames, evenly.
    """
    if selection.film:
        return _film(times)
    if not selection.every_field or len(times) < 2:
        return times * (2 if selection.every_field else 1)
    after = [*times[1:], 2 * times[-1] - times[-2]]
    middles = [(one + other) / 2 for one, other in zip(times, after, strict=True)]
    return sorted([*times, *middles])


def _film(times: list[Fraction]) -> list[Fraction]:
    """Four times for each five consecutive frames at video's rate; others stay.

    The last frames, fewer than five, continue at film's rate.
    """
    made, at = list[Fraction](), 0
    while at < len(times):
        begin, row = times[at], 1
        while row < 5 and at + row < len(times):
            if not PACE[0] <= times[at + row] - times[at + row - 1] <= PACE[1]:
                break
            row += 1
        if row == 5:
            made += [begin + Fraction(5 * n, 16) * (times[at + 4] - begin) for n in range(4)]
        elif row > 1 and at + row == len(times):
            made += [begin + Fraction(5 * n, 4) * (times[at + 1] - begin) for n in range(row)]
        else:
            made += times[at : at + row]
        at += row
    return made


def check_times(times: Sequence[Fraction], found: FileScan, contract: Contract) -> list[Finding]:
    """Check that every frame is there once and at its time; only Matroska may round to its clock.

    The last field's time depends on the last frame's duration, which not every file has. So it must
    only be after the one before.
    """
    tick = found.video.tick
    shown = times[slice(*bounds(times, contract))]
    wanted = [time + contract.streams.offset for time in shown]
    if contract.streams.container.clock is Clock.NUMBERS:
        wanted = [number * tick for number in range(len(shown))]
    if found.container.clock is Clock.MILLISECONDS:
        wanted = [on_clock(time, tick) * tick for time in wanted]
    actual = [pts * tick for pts in sorted(found.video.pts)]
    if found.video.hidden:
        return [wrong("video", f"video: an edit list hides {found.video.hidden} frames")]
    if (
        contract.selection.every_field
        and len(actual) == len(wanted) > 1
        and actual[-1] > actual[-2]
    ):
        wanted[-1] = actual[-1]
    if actual == wanted:
        return []
    return [first_difference("video", "video: frame", wanted, actual)]


def first_difference(
    subject: str, what: str, wanted: Sequence[Fraction], actual: Sequence[Fraction]
) -> Finding:
    """The finding on the first difference of two lists of times."""
    counts = "" if len(wanted) == len(actual) else f"; {len(wanted)} expected, {len(actual)} found"
    for place, (should, is_at) in enumerate(zip(wanted, actual, strict=False)):
        if should != is_at:
            text = (
                f"{what} {place} should be at {float(should):.6f} s"
                f" and is at {float(is_at):.6f} s{counts}"
            )
            return wrong(subject, text, is_at)
    place = min(len(wanted), len(actual))
    if place < len(wanted):
        at, says = wanted[place], "is missing"
    else:
        at, says = actual[place], "should not be there"
    return wrong(subject, f"{what} {place} at {float(at):.6f} s {says}{counts}", at)

"""Compares a few decoded pictures of a finished file with those of its source."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

import numpy as np

from ciaovideo.color import ColorSpec, Matrix, PixelLayout, Range, Siting
from ciaovideo.findings import Finding
from ciaovideo.media.codecs.table import CODEC_SITINGS, stored_sitings
from ciaovideo.media.containers import COLOR_TAGS, OTHER, Container, Fate
from ciaovideo.media.hdr import same_hdr10
from ciaovideo.media.inspect.scan import FileScan
from ciaovideo.media.inspect.thumbnails import (
    Thumbnail,
    thumbnails_by_number,
    thumbnails_by_time,
)
from ciaovideo.media.layouts import planar_name
from ciaovideo.pipeline.verification.contract import wrong

BETWEEN = 3  # pictures that are compared besides the first and the last
FAR = 300  # frames after a keyframe: the source's pictures further away are not compared
# Mean differences of thumbnails in [0, 1]. Enlarging changed them by at most 0.012 in real files.
OTHER_PICTURE = 0.04
OTHER_FIELDS = 0.12  # the same for interlaced pictures of the source
SAME_PICTURE = 0.002  # below this there is no motion
PADDING = 0.02  # maximum mean of the padding: black, with ringing at the picture's edge
BLACK = 0.004  # maximum of a black picture: a step of 8 bits, an error of the codec


@dataclass(frozen=True, slots=True)
class Expectation:
    """The expected pictures: size (height, width), layout, colour; empty where unknown.

    ``color_tags`` names those of the five that the ``container`` can hold; ``hdr10`` requires the
    source's mastering display and light level.
    """

    size: tuple[int, int] | None
    pix_fmt: str
    color: ColorSpec | None
    color_tags: tuple[str, ...] = COLOR_TAGS
    hdr10: bool = False
    codec: str = ""
    container: Container = OTHER
    given_color: ColorSpec | None = None  # of the source's first picture
    padded: bool = False  # there is black around them


def compare_pictures(
    source: FileScan | None,
    found: FileScan,
    shown: Sequence[Fraction],
    wanted: Expectation,
    before: int = 0,
    *,
    later: Sequence[Fraction] = (),
) -> tuple[int, list[Finding]]:
    """The number of compared pictures, and what is wrong with them.

    ``shown`` are the times of the source's frames, as many as ``found`` has; ``before`` counts the
    frames before the first of them. The first, the last, and between them the pictures that cost
    the least to decode are compared. Without a source only ``wanted`` is checked. With ``later``, a
    picture may also be that of the source's frame at this later time.
    """
    stamps = sorted(found.video.pts)
    starts = _decoding_starts(found.video.keys, stamps)
    if source is None:
        numbers = _frames_to_compare(len(stamps), starts, starts)
        return 0, _check_descriptions(_made(found, stamps, numbers), numbers, {}, wanted)
    ticks = [int(time / source.video.tick) for time in shown]
    source_starts = _decoding_starts(source.video.keys, ticks) if source.timed else [0]
    numbers = _frames_to_compare(len(stamps), starts, source_starts)
    near = [number for number in numbers if _distance(number, source_starts) <= FAR]
    if source.timed and not source.again:
        by_tick = thumbnails_by_time(source, [ticks[number] for number in near])
        given = {number: by_tick[ticks[number]] for number in near if ticks[number] in by_tick}
    else:
        by_number = thumbnails_by_number(source, [number + before for number in near])
        given = {number - before: shown for number, shown in by_number.items()}
    made = _made(found, stamps, numbers)
    findings = _check_descriptions(made, numbers, given, wanted)
    unlike = list(_check_contents(made, given))
    if source.timed and not source.again and (unlike or len(given) < len(near)):
        # In damaged data, a picture may depend on where decoding begins.
        by_tick = thumbnails_by_time(source, [ticks[number] for number in near], in_turn=True)
        given = {number: by_tick[ticks[number]] for number in near if ticks[number] in by_tick}
        unlike = list(_check_contents(made, given))
    if unlike and later:
        unlike = _unlike_later(source, made, given, {number: later[number] for number in near})
    return len(given.keys() & made.keys()), findings + unlike


def _unlike_later(
    source: FileScan,
    made: dict[int, Thumbnail],
    given: dict[int, Thumbnail],
    later: dict[int, Fraction],
) -> list[Finding]:
    """Findings on pictures that match neither the given ones nor those of a later time."""
    ticks = {number: int(time / source.video.tick) for number, time in later.items()}
    by_tick = thumbnails_by_time(source, sorted(ticks.values()))
    others = {number: by_tick[tick] for number, tick in ticks.items() if tick in by_tick}
    return [
        finding
        for number in sorted(given.keys() & made.keys())
        if all(list(_alone(number, made, known)) for known in (given, others))
        for finding in _alone(number, made, given)
    ]


def _alone(
    number: int, made: dict[int, Thumbnail], given: dict[int, Thumbnail]
) -> Iterator[Finding]:
    """Findings on one picture compared with another, without its neighbours."""
    if number in given:
        for text in _check_content(number, made[number], given[number]):
            yield wrong(f"frame {number}", text)
    else:
        yield wrong(f"frame {number}", f"frame {number} has no counterpart")


def _made(found: FileScan, stamps: Sequence[int], numbers: Sequence[int]) -> dict[int, Thumbnail]:
    """The output's pictures by number, as far as they can be decoded."""
    by_stamp = thumbnails_by_time(found, [stamps[number] for number in numbers])
    return {number: by_stamp[stamps[number]] for number in numbers if stamps[number] in by_stamp}


def _check_descriptions(
    made: dict[int, Thumbnail],
    numbers: Sequence[int],
    given: dict[int, Thumbnail],
    wanted: Expectation,
) -> list[Finding]:
    findings = [
        wrong(f"frame {number}", f"frame {number} cannot be decoded")
        for number in numbers
        if number not in made
    ]
    first = given.get(min(given, default=0))
    for number, shown in made.items():
        texts = _check_description(number, shown, given.get(number, first), wanted)
        odd = [wrong(f"frame {number}", text) for text in texts]
        findings += odd
        if odd:  # frames share their properties: the first error suffices
            break
    return findings


def _check_description(
    number: int, shown: Thumbnail, like: Thumbnail | None, wanted: Expectation
) -> Iterator[str]:
    """Check size, layout and tags against ``wanted``, or tags against the source's picture."""
    if wanted.size and shown.size != wanted.size:
        height, width = wanted.size
        yield f"frame {number} is {shown.size[1]}x{shown.size[0]} instead of {width}x{height}"
    if wanted.padded and shown.around > PADDING:
        yield f"frame {number}: the padding is not black ({shown.around:.1%})"
    if shown.damaged:
        yield f"frame {number} is damaged"
    if wanted.pix_fmt and not _same_layout(shown.pix_fmt, wanted.pix_fmt):
        yield f"frame {number} is {shown.pix_fmt} instead of {wanted.pix_fmt}"
    if wanted.hdr10 and number == 0 and like and not same_hdr10(like.hdr10, shown.hdr10):
        is_there = "is not the source's" if shown.hdr10 else "is missing"
        yield f"frame 0: its {like.hdr10 or shown.hdr10} {is_there}"
    if (
        number == 0
        and like
        and wanted.container.rotation is not Fate.LOST
        and like.turn != shown.turn
    ):
        yield f"frame 0: its display matrix is {shown.turn} instead of {like.turn}"
    color = wanted.color
    if color is None and like is not None:
        # A matrix may have been added where the source has none.
        given = wanted.given_color or like.color
        open_matrix = given.matrix == Matrix.UNSPECIFIED
        color = replace(given, matrix=shown.color.matrix) if open_matrix else given
    if color is None:
        return
    tags = shown.color
    # A tag counts only if it applies to the output's layout, and to the source's if not decided.
    decided = (wanted.pix_fmt,) if wanted.pix_fmt else ((like or shown).pix_fmt, shown.pix_fmt)
    for layout in (PixelLayout.of(planar_name(pix_fmt)) for pix_fmt in decided):
        color, tags = _meant(color, layout), _meant(tags, layout)
    if wanted.color is None and color.siting not in _tellable(wanted, shown):
        color = replace(color, siting=Siting.LEFT)  # chroma was moved to the default siting
    color, tags = (wanted.container.color_names.shown(spec) for spec in (color, tags))
    for tag in wanted.color_tags:
        should, is_tagged = getattr(color, tag), getattr(tags, tag)
        if should != is_tagged:
            yield f"frame {number}: its {tag} is {is_tagged.name} instead of {should.name}"


def _tellable(wanted: Expectation, shown: Thumbnail) -> frozenset[Siting]:
    """The sitings that the file can store for its chroma."""
    of_420 = CODEC_SITINGS.get(wanted.codec, frozenset())
    return stored_sitings(of_420, wanted.container, PixelLayout.of(planar_name(shown.pix_fmt)))


def _same_layout(found: str, wanted: str) -> bool:
    """Whether a layout is the wanted one.

    FFmpeg decodes grey H.264 with constant chroma planes, and every ProRes 4444 with 12 bits.
    """
    made, given = (PixelLayout.of(planar_name(name)) for name in (found, wanted))
    if given.family == "gray" and made.name == given.name.replace("gray", "yuv420p"):
        return True
    kinds = ((one.family, one.log2_chroma, one.alpha) for one in (made, given))
    return len(set(kinds)) == 1 and made.bit_depth >= given.bit_depth


def _meant(color: ColorSpec, layout: PixelLayout) -> ColorSpec:
    """The tags with range and siting filled in where unspecified has a standard meaning.

    H.264 and H.265 cannot distinguish limited range and left siting from unspecified when nothing
    else is tagged. R'G'B' and grey have no matrix and no siting.
    """
    if layout.family == "rgb":
        full = Range.FULL if color.color_range == Range.UNSPECIFIED else color.color_range
        return replace(color, matrix=Matrix.RGB, siting=Siting.UNSPECIFIED, color_range=full)
    if color.color_range == Range.UNSPECIFIED:
        color = replace(color, color_range=Range.LIMITED)
    if layout.family == "gray":
        return replace(color, matrix=Matrix.UNSPECIFIED, siting=Siting.UNSPECIFIED)
    if not any(layout.log2_chroma):
        return replace(color, siting=Siting.UNSPECIFIED)
    if color.siting == Siting.UNSPECIFIED:
        return replace(color, siting=Siting.LEFT)
    return color if layout.log2_chroma[0] else replace(color, siting=color.siting.level)


def _check_contents(made: dict[int, Thumbnail], given: dict[int, Thumbnail]) -> Iterator[Finding]:
    both = sorted(given.keys() & made.keys())
    for number in both:
        for text in _check_content(number, made[number], given[number]):
            yield wrong(f"frame {number}", text)
    for one, other in pairwise(both):
        for text in _check_motion((one, other), made, given):
            yield wrong(f"frame {other}", text)


def _check_content(number: int, made: Thumbnail, given: Thumbnail) -> Iterator[str]:
    off = float(np.abs(made.luma - given.luma).mean())
    if made.luma.max() <= BLACK < min(float(given.luma.mean()), off):
        yield f"frame {number} is black, but the source's is not"
    elif off > (OTHER_FIELDS if given.interlaced else OTHER_PICTURE):
        yield f"frame {number} differs from the source's picture by {off:.1%}"
    if made.opacity is not None and given.opacity is not None:
        off = float(np.abs(made.opacity - given.opacity).mean())
        if off > OTHER_PICTURE:
            yield f"frame {number}: its alpha differs from the source's by {off:.1%}"


def _check_motion(
    numbers: tuple[int, int], made: dict[int, Thumbnail], given: dict[int, Thumbnail]
) -> Iterator[str]:
    """Check that two pictures are not equal where the source's differ."""
    moves, moved = (
        float(np.abs(pictures[numbers[0]].luma - pictures[numbers[1]].luma).mean())
        for pictures in (made, given)
    )
    if moves < SAME_PICTURE and moved > 4 * SAME_PICTURE:
        yield f"frames {numbers[0]} and {numbers[1]} are equal, but the source's differ"


def _decoding_starts(keys: Sequence[int], stamps: Sequence[int]) -> list[int]:
    """The numbers of the keyframes."""
    found = [bisect_left(stamps, key) for key in sorted(keys)]
    return [number for number in found if number < len(stamps)] or [0]


def _distance(number: int, starts: Sequence[int]) -> int:
    """The number of frames to decode before this one."""
    return number - starts[max(bisect_right(starts, number) - 1, 0)]


def _frames_to_compare(count: int, made: Sequence[int], given: Sequence[int]) -> list[int]:
    numbers = {0, count - 1}
    for part in range(BETWEEN):
        begin, stop = (1 + (count - 2) * side // BETWEEN for side in (part, part + 1))
        if begin < stop:
            near = {(begin + stop) // 2}
            near |= {number for number in (*made, *given) if begin <= number < stop}
            numbers.add(min(near, key=lambda at: _distance(at, made) + _distance(at, given)))
    return sorted(numbers)

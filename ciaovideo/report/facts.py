"""Compares every stream, tag, colour value and time of a source with its output's."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from fractions import Fraction

from ciaovideo.color import ColorSpec
from ciaovideo.findings import Finding, Kind
from ciaovideo.media.frame import StreamInfo, VideoInfo
from ciaovideo.media.inspect.metadata import FileMetadata
from ciaovideo.media.inspect.scan import FileScan, Track
from ciaovideo.media.streams.plan import StreamPlan

NOTHING = "none"
UNDETERMINED = ("language", "und")  # mp4's code for no language
TELLS = (Kind.LOST, Kind.CHANGED, Kind.WRONG, Kind.CHOSEN, Kind.GUESSED, Kind.FELL_BACK)


class Outcome(StrEnum):
    """The outcome of one property of the source."""

    KEPT = "kept"
    CHANGED = "changed"
    LOST = "lost"
    ADDED = "added"  # in the output alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One property: its values in source and output, its outcome, and why.

    ``part`` groups facts: "video", "color", "times", "streams", "metadata". ``why`` is the text of
    findings.
    """

    part: str
    name: str
    source: str
    output: str
    outcome: Outcome
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """The facts read from one of the two files."""

    scan: FileScan
    info: VideoInfo
    metadata: FileMetadata


def compare_facts(
    given: Side,
    made: Side,
    plan: StreamPlan,
    pairs: Sequence[tuple[Track, Track]],
    findings: Iterable[Finding],
) -> tuple[Fact, ...]:
    """All facts, in the order of the report.

    ``pairs`` are the kept streams with their copies. ``findings`` give the reasons.
    """
    told = [finding for finding in findings if finding.kind in TELLS]
    facts = [
        *_video(given, made),
        *_colors(given.info, made.info),
        *_times(given.scan, made.scan, plan),
        *_streams(given.scan, plan, pairs),
        *_metadata(given, made, pairs),
    ]
    return (*(_explained(fact, told) for fact in facts), *only_told(facts, told))


def only_told(facts: Sequence[Fact], told: Sequence[Finding]) -> Iterator[Fact]:
    """A fact for each loss that neither file's description shows, such as side data."""
    names = {name for fact in facts for name in (fact.name, fact.name.partition(":")[0])}
    known = names.union(*(ALSO.get(name, ()) for name in names))
    lost: dict[str, list[str]] = {}
    for one in told:
        if one.kind is Kind.LOST and one.subject not in known:
            lost.setdefault(one.subject, []).append(one.text)
    for subject, texts in lost.items():
        yield Fact(
            part="video",
            name=subject,
            source="there",
            output=NOTHING,
            outcome=Outcome.LOST,
            why="; ".join(dict.fromkeys(texts)),
        )


def _explained(fact: Fact, findings: Sequence[Finding]) -> Fact:
    """The fact with the text of the findings about it."""
    subjects = {fact.name, *ALSO.get(fact.name, ())}
    why = "; ".join(dict.fromkeys(one.text for one in findings if one.subject in subjects))
    values = {field.name: getattr(fact, field.name) for field in fields(fact)}
    return Fact(**{**values, "why": why or fact.why})


# Subjects of findings about a fact, besides its own name.
ALSO: Mapping[str, tuple[str, ...]] = {
    "size": ("video",),
    "video codec": ("level",),
    "chroma siting": ("color siting",),
    "interlacing": ("fields", "deinterlacing"),
    "first frame": ("times", "frame times"),
    "frames": ("frame times", "telecine"),
    "frame rate": ("frame times", "telecine"),
    "HDR10": ("HDR10 metadata", "side data"),
}


def _fact(part: str, name: str, source: str, output: str, why: str = "") -> Fact:
    """A fact whose outcome follows from the two values."""
    outcome = Outcome.CHANGED
    if source == output:
        outcome = Outcome.KEPT
    elif output == NOTHING:
        outcome = Outcome.LOST
    elif source == NOTHING:
        outcome = Outcome.ADDED
    return Fact(part=part, name=name, source=source, output=output, outcome=outcome, why=why)


def _video(given: Side, made: Side) -> Iterator[Fact]:
    one, other = given.info, made.info
    scale = f"{other.width / one.width:.6g} across, {other.height / one.height:.6g} down"
    yield _fact("video", "size", _size(one), _size(other), f"enlarged: {scale}")
    yield Fact(
        part="video",
        name="video codec",
        source=one.codec,
        output=other.codec,
        outcome=Outcome.CHANGED,
        why="pictures are re-encoded",
    )
    yield _fact("video", "pixel format", one.coded_pix_fmt, other.coded_pix_fmt)
    sar = [str(info.sar or Fraction(1)) for info in (one, other)]
    yield _fact("video", "sample aspect ratio", *sar)
    shapes = [info.width * (info.sar or 1) / Fraction(info.height) for info in (one, other)]
    near = abs(shapes[1] / shapes[0] - 1) <= Fraction(1, other.width) + Fraction(1, other.height)
    words = [f"{float(shape):.4f}:1" for shape in shapes]
    yield _fact("video", "display size", words[0], words[0] if near else words[1])
    yield _fact("video", "crop", *(str(scan.crop) or NOTHING for scan in (given.scan, made.scan)))
    yield _fact("video", "rotation", *(f"{info.rotation:g} degrees" for info in (one, other)))
    hdr = [str(info.hdr10) if info.hdr10 else NOTHING for info in (one, other)]
    if hdr != [NOTHING, NOTHING]:
        same = one.hdr10 == other.hdr10
        yield _fact(
            "video", "HDR10", hdr[0], hdr[1] if same or hdr[0] != hdr[1] else "other values"
        )
    codes = [scan.timecode or NOTHING for scan in (given.scan, made.scan)]
    if codes != [NOTHING, NOTHING]:
        yield _fact("video", "timecode", *codes)


def _size(info: VideoInfo) -> str:
    return f"{info.width}x{info.height}"


def _colors(given: VideoInfo, made: VideoInfo) -> Iterator[Fact]:
    names = {"color_range": "color range", "siting": "chroma siting"}
    for field in fields(ColorSpec):
        one, other = (getattr(info.color, field.name) for info in (given, made))
        name = names.get(field.name, f"color {field.name}")
        yield _fact("color", name, _tag(one.name), _tag(other.name))


def _tag(name: str) -> str:
    return "untagged" if name == "UNSPECIFIED" else name


def _times(given: FileScan, made: FileScan, plan: StreamPlan) -> Iterator[Fact]:
    every, stored = (
        [pts * scan.video.tick for pts in sorted(scan.video.pts)] for scan in (given, made)
    )
    shown = plan.selection.times(every)
    part = f"a part of {len(every)} frames was asked for" if len(shown) < len(every) else ""
    yield _fact("times", "frames", str(len(shown)), str(len(stored)), part)
    if shown and stored:
        moved = f"all times are moved by {float(plan.offset):+.6f} s" if plan.offset else ""
        yield _fact("times", "first frame", _seconds(shown[0]), _seconds(stored[0]), moved)
        yield _fact("times", "last frame", _seconds(shown[-1]), _seconds(stored[-1]), moved)
    rates = [str(scan.rate or NOTHING) for scan in (given, made)]
    yield _fact("times", "frame rate", *rates)
    chapters = [str(len(scan.chapters)) for scan in (given, made)]
    yield _fact("times", "chapters", *chapters)


def _seconds(time: Fraction) -> str:
    return f"{float(time):.3f} s"


def _streams(
    given: FileScan, plan: StreamPlan, pairs: Sequence[tuple[Track, Track]]
) -> Iterator[Fact]:
    made = {one.info.index: other for one, other in pairs}
    becomes = {info.index: info.becomes for info in plan.kept}
    for track in given.others:
        info = track.info
        name, shown = info.name, _stream(info, len(track.pts))
        copy = made.get(info.index)
        if copy is None:
            outcome = Outcome.LOST
            why = "it has no packet in the part" if info.index in becomes else "dropped"
        else:
            outcome = Outcome.CHANGED if becomes[info.index] else Outcome.KEPT
            why = "transcoded" if becomes[info.index] else "copied packet by packet"
        after = NOTHING if copy is None else _stream(copy.info, len(copy.pts))
        yield Fact(part="streams", name=name, source=shown, output=after, outcome=outcome, why=why)


def _stream(info: StreamInfo, packets: int) -> str:
    language = f", {info.language}" if info.language else ""
    count = "" if info.kind == "attachment" else f", {packets} packet{'s' * (packets != 1)}"
    return f"{info.codec or 'unknown'}{language}{count}"


def _metadata(given: Side, made: Side, pairs: Sequence[tuple[Track, Track]]) -> Iterator[Fact]:
    yield from _words("metadata", given.metadata.file, made.metadata.file)
    main = given.scan.main, made.scan.main
    partners = [(one.info.index, other.info.index) for one, other in pairs]
    for one, other in sorted([main, *partners]):
        name = next(t.info.name for t in given.scan.tracks if t.info.index == one)
        yield from _words(
            name, given.metadata.streams.get(one, {}), made.metadata.streams.get(other, {})
        )
        marks = (
            given.metadata.marks.get(one, frozenset()),
            made.metadata.marks.get(other, frozenset()),
        )
        if any(marks):
            yield _fact(
                "metadata", f"{name}: marks", *(", ".join(sorted(m)) or NOTHING for m in marks)
            )


def _words(name: str, given: Mapping[str, str], made: Mapping[str, str]) -> Iterator[Fact]:
    """A fact for each entry; keys are case-insensitive."""
    given, made = (
        {key: text for key, text in entries.items() if (key, text) != UNDETERMINED}
        for entries in (given, made)
    )
    lower = {key.lower(): text for key, text in made.items()}
    for key, text in given.items():
        yield _fact("metadata", f"{name}: {key}", text, lower.pop(key.lower(), NOTHING))
    for key, text in lower.items():
        yield _fact("metadata", f"{name}: {key}", NOTHING, text)

"""Chooses the main video of a file, and how to open the file so that no stream is missing."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

from av.container import InputContainer
from av.video.stream import VideoStream

from ciaovideo.color import Transfer
from ciaovideo.errors import MissingInputError, OpenError, OptionError
from ciaovideo.findings import Finding, Kind
from ciaovideo.media.av_errors import av_errors
from ciaovideo.media.clock import PROBE_PACKETS
from ciaovideo.media.formats.elementary import Elementary, known_to, look_inside
from ciaovideo.media.sequence.dpx import LOGARITHMIC, LOGS, read_head
from ciaovideo.media.sequence.numbered import PICTURES, Numbered, sequences_among
from ciaovideo.media.source.header import describe, header_transfer
from ciaovideo.media.source.opening import NO_TIME_LIMIT, PROBED, STILL, Opening, open_source
from ciaovideo.options import TransferName
from ciaovideo.storage.endpoints import is_loop

TRANSFERS = {
    "bt709": Transfer.BT709,
    "smpte170m": Transfer.SMPTE170M,
    "gamma22": Transfer.GAMMA22,
    "gamma28": Transfer.GAMMA28,
    "linear": Transfer.LINEAR,
    "log": Transfer.LOG,
    "log-sqrt": Transfer.LOG_SQRT,
    "srgb": Transfer.IEC61966_2_1,
    "pq": Transfer.SMPTE2084,
    "hlg": Transfer.ARIB_STD_B67,
    "smpte428": Transfer.SMPTE428,
}
FARTHEST = 1 << 30  # bytes: the largest probe, which FFmpeg keeps in memory
AS_MANY = 2  # a video with half as many pictures as the largest count is no still or preview
AS_LARGE = 4  # nor is one with a quarter of the largest number of pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamChoice:
    """How to open a source, and which of its streams are dropped.

    ``excluded`` are the streams of other programmes, ``unopened`` the numbers of streams that
    begin too late to be opened. ``inside`` is read from the bytes of a file without a header.
    """

    opening: Opening
    excluded: frozenset[int] = frozenset()
    unopened: frozenset[int] = frozenset()
    inside: Elementary = field(default_factory=Elementary)
    findings: tuple[Finding, ...] = field(default=())


def choose_streams(
    path: Path,
    *,
    video: int | None = None,
    program: int | None = None,
    rate: Fraction | None = None,
    transfer: TransferName | None = None,
) -> tuple[StreamChoice, InputContainer]:
    """Find the main video of a file, and open the file with all streams; reads no packet yet.

    ``video`` and ``program`` are the requested numbers, ``rate`` is that of numbered pictures,
    ``transfer`` overrides the file's own. Raises OpenError, and OptionError for a stream or
    programme that it does not have.
    """
    asked = _asked(path, rate, transfer)
    container = open_source(path, asked)
    try:
        inside = _inside(path, container)
        opening = replace(asked, options=_reaching(container, inside))
        if opening.options:
            container.close()
            container = open_source(path, opening)
        unopened = set(inside.first) - known_to(container)
        wanted = _programme(inside, path, program)
        videos = _candidates(container, wanted)
        if not videos and wanted is not None:
            raise OptionError(f"programme {program} of {path} has no video", "name another")
        main = _named(videos, path, video) or _main(videos, path, opening)
        excluded = _excluded(container, inside, wanted, main)
        kind = Kind.LOST if program is None else Kind.CHOSEN
        found = [_left_out(container, index, inside, kind) for index in sorted(excluded)]
        found += _transfer_findings(path, transfer)
    except BaseException:
        container.close()
        raise
    found += [_unopened(number, inside) for number in sorted(unopened)]
    choice = StreamChoice(
        opening=replace(opening, main=None if main is None else main.index),
        excluded=frozenset(excluded),
        unopened=frozenset(unopened),
        inside=inside,
        findings=tuple(found),
    )
    return choice, container


def check_input(path: Path) -> None:
    """Raise MissingInputError if there is no file; the hint covers pictures and wildcards."""
    if numbered := Numbered.of(path):
        numbered.refuse_empty()
    elif not path.is_file():
        missing = "is a folder" if path.is_dir() else "does not exist"
        missing = "is a symbolic link to itself" if is_loop(path) else missing
        hint = f"name a video file{_video_of_pictures(path)}"
        raise MissingInputError(f"the input {path} {missing}", hint)


def _asked(path: Path, rate: Fraction | None, transfer_name: TransferName | None) -> Opening:
    """The options for opening a source; raises OptionError if they do not fit it."""
    transfer = TRANSFERS[transfer_name] if transfer_name else None
    numbered = Numbered.of(path)
    if numbered is None:
        if rate is not None:
            raise OptionError(
                f"{path} has timestamps: a rate applies to numbered pictures only",
                "omit the rate",
            )
        return Opening(transfer=transfer)
    head = read_head(numbered.file(numbered.first))
    if rate is None:
        likely = f"; the first header states {head.rate}" if head.rate else ""
        raise OptionError(
            f"{path}: numbered pictures have no timestamps",
            f"give their rate, a number or a fraction such as 24 or 24000/1001{likely}",
        )
    return Opening(rate=rate, transfer=transfer or header_transfer(path))


def _transfer_findings(path: Path, transfer: TransferName | None) -> Iterator[Finding]:
    """Findings on the transfer characteristics, where they are not those of FFmpeg's decoder.

    Printing density is not a transfer of H.273, whose logarithmic one spans 100:1.
    """
    numbered = Numbered.of(path)
    said = read_head(numbered.file(numbered.first)).log if numbered else ""
    if transfer:
        instead = f", instead of the header's {said}" if said else ""
        text = f"transfer {transfer}, as asked{instead}"
        yield Finding(kind=Kind.CHOSEN, subject="color transfer", text=text)
    elif said:
        kind = Kind.CHOSEN if said == LOGS[LOGARITHMIC] else Kind.CHANGED
        text = f"the header states {said}: read and tagged as transfer LOG"
        yield Finding(kind=kind, subject="color transfer", text=text)


def _inside(path: Path, container: InputContainer) -> Elementary:
    """A sample of the bytes of a file without a header; empty for other files."""
    try:
        return look_inside(path, container.format.name, whole=False) or Elementary()
    except OSError as cause:
        raise OpenError(f"reading {path}: {cause.strerror}", "check its disk") from cause


def _reaching(container: InputContainer, inside: Elementary) -> dict[str, str]:
    """Options that probe up to the beginning of the last stream, where the defaults do not."""
    missing = set(inside.first) - known_to(container)
    missing |= {s.id for s in container.streams.audio if not s.codec_context or not s.rate}
    places = [at for number in missing if (at := inside.first.get(number)) is not None]
    reached = [at for at in places if at <= FARTHEST]
    if not reached:
        return {}
    return {"probesize": str(max(reached) + PROBED), "analyzeduration": NO_TIME_LIMIT}


def _candidates(container: InputContainer, wanted: set[int] | None) -> list[VideoStream]:
    """The videos that are not stills, and belong to the ``wanted`` streams if these are given."""
    videos = [video for video in container.streams.video if not video.disposition & STILL]
    return [video for video in videos if wanted is None or video.id in wanted]


def _main(videos: Sequence[VideoStream], path: Path, opening: Opening) -> VideoStream | None:
    """The video to enlarge if none is requested; None if there is none."""
    return videos[0] if len(videos) == 1 else _most(videos, path, opening)


def _excluded(
    container: InputContainer,
    inside: Elementary,
    wanted: set[int] | None,
    main: VideoStream | None,
) -> set[int]:
    """The indices of streams outside the ``wanted`` programme, or outside the main video's."""
    if main is None:
        return set()
    if wanted is None:
        own = [ids for ids in inside.programs.values() if main.id in ids]
        wanted = set().union(*own[:1])
    others = set().union(*inside.programs.values()) - wanted if wanted else set()
    return {s.index for s in container.streams if s.id in others}


def _programme(inside: Elementary, path: Path, program: int | None) -> set[int] | None:
    """The numbers of the streams of the requested programme; None without a request."""
    if program is None:
        return None
    if program not in inside.programs:
        listed = ", ".join(map(str, sorted(inside.programs))) or "none"
        raise OptionError(f"{path} has no programme {program}", f"it has {listed}")
    return inside.programs[program]


def _named(videos: Sequence[VideoStream], path: Path, index: int | None) -> VideoStream | None:
    """The requested video; None without a request."""
    if index is None:
        return None
    named = next((video for video in videos if video.index == index), None)
    if named is None:
        listed = ", ".join(str(describe(video)) for video in videos) or "no video"
        raise OptionError(f"stream {index} of {path} is not a video", f"it has {listed}")
    return named


def _most(videos: Sequence[VideoStream], path: Path, opening: Opening) -> VideoStream | None:
    """The first of the large videos with many pictures; None if no video has a picture."""
    counts = Counter({video.index: video.frames for video in videos})
    if not all(counts[video.index] for video in videos):  # an index is missing
        counts = _counted(videos, path, opening)
    most = max(counts.values(), default=0)
    films = [v for v in videos if counts[v.index] * AS_MANY >= most > 0 and v.codec_context]
    largest = max((_pixels(video) for video in films), default=0)
    return next((video for video in films if _pixels(video) * AS_LARGE >= largest), None)


def _pixels(video: VideoStream) -> int:
    return video.codec_context.width * video.codec_context.height


def _counted(videos: Sequence[VideoStream], path: Path, opening: Opening) -> "Counter[int]":
    """The number of pictures of each video near the beginning of the file."""
    counts: Counter[int] = Counter()
    indices = [video.index for video in videos]
    with av_errors("reading", path, OpenError), open_source(path, opening) as container:
        for packet in container.demux([container.streams[index] for index in indices]):
            counts[packet.stream_index] += packet.size > 0
            if counts.total() >= PROBE_PACKETS:
                break
    return counts


def _left_out(container: InputContainer, index: int, inside: Elementary, kind: Kind) -> Finding:
    """The finding for a stream of another programme; a loss unless a programme was chosen."""
    av_stream = container.streams[index]
    info = describe(av_stream)
    numbers = [str(n) for n, ids in inside.programs.items() if av_stream.id in ids]
    text = f"{info}: dropped, it belongs to programme {', '.join(numbers)}"
    return Finding(kind=kind, subject=info.name, text=text)


def _unopened(number: int, inside: Elementary) -> Finding:
    text = (
        f"a stream (number {number:#x}) begins {inside.first[number]} bytes into the file and"
        " cannot be opened: it is dropped"
    )
    return Finding(kind=Kind.LOST, subject="stream", text=text)


def _video_of_pictures(path: Path) -> str:
    """How to name numbered pictures, if the path looks like some; otherwise empty."""
    names: Iterable[str] = ()
    if path.is_dir():
        names = (file.name for file in path.iterdir())
    elif path.suffix.lower() in PICTURES and re.search("[*?]", path.name):
        path, wanted = path.parent, path.name
        names = (file.name for file in path.glob(wanted))
    found = sequences_among(names)
    if not found:
        return ""
    likely = max(found, key=lambda name: found[name])
    return f", or numbered pictures as {path / likely}, with their rate"

"""Which of a file's videos is the film, and how the file is opened so that no stream is missing."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from av.container import InputContainer
from av.video.stream import VideoStream

from ciaovideo.errors import OpenError, OptionError
from ciaovideo.findings import Finding, Kind
from ciaovideo.media.av_errors import av_errors
from ciaovideo.media.clock import PROBE_PACKETS
from ciaovideo.media.formats.elementary import Elementary, known_to, look_inside
from ciaovideo.media.video_stream import (
    AS_LONG_AS_IT_TAKES,
    PROBED,
    STILL,
    Opening,
    describe,
    open_source,
)
from ciaovideo.options import InputOptions

FARTHEST = 1 << 30  # bytes that it may look at: it keeps them in memory meanwhile
AS_MANY = 2  # a video with half of the most pictures is no still or preview
AS_LARGE = 4  # nor is one with a quarter of the most pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """How a source is opened, and which of its streams go along.

    ``strangers`` are the streams of other programmes, ``unopened`` the numbers of those that begin
    too late to be opened. ``inside`` is what the file's bytes tell, where it has no header.
    """

    opening: Opening
    strangers: frozenset[int] = frozenset()
    unopened: frozenset[int] = frozenset()
    inside: Elementary = field(default_factory=Elementary)
    findings: tuple[Finding, ...] = field(default=())


def choose(path: Path, options: InputOptions) -> tuple[Choice, InputContainer]:
    """Find the film in a file, and open that so that no stream is missing; no packet is read yet.

    Raises OpenError, and OptionError for what is not in it.
    """
    container = open_source(path)
    try:
        inside = _inside(path, container)
        opening = _reaching(container, inside)
        if opening.options:
            container.close()
            container = open_source(path, opening)
        unopened = set(inside.first) - known_to(container)
        film, strangers = _film(container, inside, path, opening, options)
        found = [_left_out(container, index, inside, options) for index in sorted(strangers)]
    except BaseException:
        container.close()
        raise
    found += [_unopened(number, inside) for number in sorted(unopened)]
    choice = Choice(
        opening=Opening(options=opening.options, main=film),
        strangers=frozenset(strangers),
        unopened=frozenset(unopened),
        inside=inside,
        findings=tuple(found),
    )
    return choice, container


def _inside(path: Path, container: InputContainer) -> Elementary:
    """What the bytes tell of a file without a header, at some places; nothing of others."""
    try:
        return look_inside(path, container.format.name, whole=False) or Elementary()
    except OSError as cause:
        raise OpenError(f"reading {path}: {cause.strerror}", "check its disk") from cause


def _reaching(container: InputContainer, inside: Elementary) -> Opening:
    """An opening that looks as far as the last stream's beginning, where the usual one does not."""
    missing = set(inside.first) - known_to(container)
    missing |= {s.id for s in container.streams.audio if not s.codec_context or not s.rate}
    places = [at for number in missing if (at := inside.first.get(number)) is not None]
    reached = [at for at in places if at <= FARTHEST]
    if not reached:
        return Opening()
    size = str(max(reached) + PROBED)
    return Opening(options={"probesize": size, "analyzeduration": AS_LONG_AS_IT_TAKES})


def _film(
    container: InputContainer,
    inside: Elementary,
    path: Path,
    opening: Opening,
    options: InputOptions,
) -> tuple[int | None, set[int]]:
    """The index of the film, None where it is not to be chosen; the streams of other programmes."""
    videos = [v for v in container.streams.video if not v.disposition & STILL]
    wanted = _programme(inside, path, options)
    if wanted is not None:
        videos = [video for video in videos if video.id in wanted]
        if not videos:
            raise OptionError(f"programme {options.program} of {path} has no video", "name another")
    film = _named(videos, path, options)
    if film is None:
        film = videos[0] if len(videos) == 1 else _most(videos, path, opening)
    if film is None:
        return None, set()
    if wanted is None:
        own = [ids for ids in inside.programs.values() if film.id in ids]
        wanted = set().union(*own[:1])
    others = set().union(*inside.programs.values()) - wanted if wanted else set()
    return film.index, {s.index for s in container.streams if s.id in others}


def _programme(inside: Elementary, path: Path, options: InputOptions) -> set[int] | None:
    """The numbers of the streams of the programme that is asked for, if one is."""
    if options.program is None:
        return None
    if options.program not in inside.programs:
        listed = ", ".join(map(str, sorted(inside.programs))) or "none"
        raise OptionError(f"{path} has no programme {options.program}", f"it has {listed}")
    return inside.programs[options.program]


def _named(videos: Sequence[VideoStream], path: Path, options: InputOptions) -> VideoStream | None:
    """The video that is asked for, if one is."""
    if options.video is None:
        return None
    named = next((video for video in videos if video.index == options.video), None)
    if named is None:
        listed = ", ".join(str(describe(video)) for video in videos) or "no video"
        raise OptionError(f"stream {options.video} of {path} is no video", f"it has {listed}")
    return named


def _most(videos: Sequence[VideoStream], path: Path, opening: Opening) -> VideoStream | None:
    """The first of the large videos with many pictures; None where none has any."""
    counts = Counter({video.index: video.frames for video in videos})
    if not all(counts[video.index] for video in videos):  # no index tells
        counts = _counted(videos, path, opening)
    most = max(counts.values(), default=0)
    films = [v for v in videos if counts[v.index] * AS_MANY >= most > 0 and v.codec_context]
    largest = max((_pixels(video) for video in films), default=0)
    return next((video for video in films if _pixels(video) * AS_LARGE >= largest), None)


def _pixels(video: VideoStream) -> int:
    return video.codec_context.width * video.codec_context.height


def _counted(videos: Sequence[VideoStream], path: Path, opening: Opening) -> "Counter[int]":
    """How many pictures each video has near the beginning of a file, or near its own."""
    counts: Counter[int] = Counter()
    indices = [video.index for video in videos]
    with av_errors("reading", path, OpenError), open_source(path, opening) as container:
        for packet in container.demux([container.streams[index] for index in indices]):
            counts[packet.stream_index] += packet.size > 0
            if counts.total() >= PROBE_PACKETS:
                break
    return counts


def _left_out(
    container: InputContainer, index: int, inside: Elementary, options: InputOptions
) -> Finding:
    """That a stream belongs to another programme; a loss where nobody chose one."""
    av_stream = container.streams[index]
    info = describe(av_stream)
    numbers = [str(n) for n, ids in inside.programs.items() if av_stream.id in ids]
    text = f"{info} belongs to programme {', '.join(numbers)}: it is left out"
    kind = Kind.LOST if options.program is None else Kind.CHOSEN
    return Finding(kind=kind, subject=info.name, text=text)


def _unopened(number: int, inside: Elementary) -> Finding:
    text = (
        f"a stream (number {number:#x}) begins {inside.first[number]} bytes after the beginning and"
        " cannot be opened: it is left out"
    )
    return Finding(kind=Kind.LOST, subject="stream", text=text)

"""The other streams of a run with a system ffmpeg: where ffmpeg reads them, as options for it.

ffmpeg reads the streams of a whole file from the source. Those of a part are cut first, by
``StreamCopier``, into a temporary file beside the output, which ffmpeg then copies: ffmpeg can end
streams at a time, but cannot begin them as a part must. A file of streams cannot hold chapters
alone, so the chapters of a part are written as text.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from av.stream import Disposition, Stream

from ciaovideo.findings import Finding, Kind
from ciaovideo.media.clock import exact
from ciaovideo.media.source.opening import open_source
from ciaovideo.media.streams.copier import StreamCopier
from ciaovideo.media.streams.plan import StreamPlan
from ciaovideo.media.streams.targets import fresh_metadata, stream_metadata


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherStreams:
    """Streams before and after the video, the file where ffmpeg reads them, and options for them.

    All times are moved by ``offset``; in a ``cut`` file they have been moved already. ``chapters``
    is the file that holds the chapters, or empty.
    """

    source: str = ""
    early: tuple[int, ...] = ()
    late: tuple[int, ...] = ()
    offset: Fraction = Fraction(0)
    cut: bool = False
    chapters: str = ""
    words: tuple[str, ...] = ()
    codecs: tuple[str, ...] = ()

    @classmethod
    def of(cls, plan: StreamPlan, folder: Path) -> Self:
        """Those of a plan. Metadata is set entry by entry: some describes the source's bytes."""
        words = ["-map_metadata:g", "-1", "-map_metadata:s", "-1"]
        cut = plan.selection.cut
        source = chapters = f"file:{plan.source.resolve()}"
        kept = [(info.index, info.index, info.becomes) for info in plan.kept]
        with StreamCopier(plan) as copier:
            for name, value in copier.container_options.items():
                words += [f"-{name}", f"+{value}" if name == "movflags" else value]
            if cut:
                source, chapters = (f"file:{folder / name}" for name in ("streams", "chapters"))
                present = copier.write_apart(folder / "streams")
                kept = [(place, index, "") for place, index in enumerate(present)]
            listed = copier.chapters()
        if cut:
            (folder / "chapters").write_text(_as_text(listed), encoding="utf-8")
        early = [row for row in kept if row[1] < plan.main]
        late = [row for row in kept if row[1] > plan.main]
        with open_source(plan.source, plan.opening) as container:
            words += _metadata_words("", fresh_metadata(container.metadata))
            order = [*(row[1] for row in early), plan.main, *(row[1] for row in late)]
            for place, index in enumerate(order):
                av_stream = container.streams[index]
                words += _metadata_words(
                    f":s:{place}", stream_metadata(av_stream.metadata, plan.container)
                )
                words += [f"-disposition:{place}", _disposition(av_stream)]
        places = (*enumerate(early), *enumerate(late, len(early) + 1))
        return cls(
            source=source,
            early=tuple(row[0] for row in early),
            late=tuple(row[0] for row in late),
            offset=plan.offset,
            cut=cut,
            chapters=chapters if listed else "",
            words=tuple(words),
            codecs=tuple(word for place, row in places for word in _codec(place, row[2])),
        )

    @property
    def read_offset(self) -> str:
        """Seconds that ffmpeg adds to the times that it reads."""
        return f"{float(0 if self.cut else self.offset):.9f}"

    def with_chapters(self, args: list[str]) -> list[str]:
        """The arguments with the chapters' input, which is added if no other stream needs it."""
        if not self.chapters:
            return [*args, "-map_chapters", "-1"]
        inputs = [after for word, after in pairwise(args) if word == "-i"]
        if self.chapters not in inputs:
            at = args.index("-map")
            inputs.append(self.chapters)
            given = ["-itsoffset", self.read_offset, "-i", self.chapters]
            args = [*args[:at], *given, *args[at:]]
        return [*args, "-map_chapters", str(inputs.index(self.chapters))]


NOTHING = OtherStreams()


@contextmanager
def other_streams(plan: StreamPlan | None, folder: Path) -> Iterator[OtherStreams]:
    """The other streams of a plan, if any; cut ones are in a temporary folder inside ``folder``."""
    if plan is None:
        yield NOTHING
        return
    with TemporaryDirectory(prefix=".ciaovideo-", dir=folder) as own:
        yield OtherStreams.of(plan, Path(own).resolve())


def carried(plan: StreamPlan) -> StreamPlan:
    """The plan without the cover pictures that ffmpeg would turn into videos in Matroska."""
    if not plan.container.covers_attached:
        return plan
    covers = tuple(kept for kept in plan.kept if kept.index in plan.covers)
    lost = (
        Finding(
            kind=Kind.LOST,
            subject=cover.name,
            text=f"{cover}: dropped, ffmpeg cannot store it as a cover",
        )
        for cover in covers
    )
    return replace(
        plan,
        kept=tuple(kept for kept in plan.kept if kept not in covers),
        dropped=(*plan.dropped, *covers),
        findings=(*plan.findings, *lost),
    )


def _as_text(chapters: list[Any]) -> str:
    """Chapters in FFmpeg's metadata format, in which some characters need a backslash."""
    special = {ord(letter): f"\\{letter}" for letter in "=;#\\\n"}
    lines = [";FFMETADATA1"]
    for chapter in chapters:
        tick = exact(chapter["time_base"]) or Fraction(1)
        lines += ["[CHAPTER]", f"TIMEBASE={tick.numerator}/{tick.denominator}"]
        lines += [f"START={chapter['start']}", f"END={chapter['end']}"]
        for key, text in chapter["metadata"].items():
            lines.append(f"{key.translate(special)}={text.translate(special)}")
    return "\n".join(lines) + "\n"


def _metadata_words(place: str, metadata: dict[str, str]) -> list[str]:
    return [
        word for key, text in metadata.items() for word in (f"-metadata{place}", f"{key}={text}")
    ]


def _codec(place: int, becomes: str) -> tuple[str, ...]:
    """What becomes of a stream; ffmpeg leaves out what a copy has before its first key frame."""
    return (f"-c:{place}", becomes) if becomes else (f"-c:{place}", "copy", f"-copyinkf:{place}")


def _disposition(av_stream: Stream) -> str:
    names = [flag.name for flag in Disposition if flag & av_stream.disposition and flag.name]
    return "+".join(names) or "0"

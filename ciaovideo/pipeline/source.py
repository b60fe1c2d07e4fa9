"""A run's source: its facts, its frames from any position on, and its other streams."""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from ciaovideo.errors import OptionError
from ciaovideo.findings import Finding
from ciaovideo.media.frame import PlanePool
from ciaovideo.media.inspect.borders import find_crop
from ciaovideo.media.read.probe import Probed, SourceFacts, open_probed
from ciaovideo.media.read.reader import VideoReader
from ciaovideo.media.selection import Selection
from ciaovideo.media.streams.source import StreamSource
from ciaovideo.options import CROP_AUTO, InputOptions
from ciaovideo.pipeline.segmenting import SegmentPlan
from ciaovideo.pipeline.verification.witness import Witness
from ciaovideo.storage.endpoints import reads_once


@dataclass(frozen=True, slots=True, kw_only=True)
class InputWishes:
    """The request for a source: how to read it, how many frames, and whether to stop at damage."""

    options: InputOptions
    count: int | None
    strict: bool


class RunSource:
    """The source of a run, probed once and kept open. A context manager.

    ``options`` are the requested ones, with a box in place of an automatic crop; ``findings``
    report that box. ``asked`` is the requested part, with times from the first frame. ``reader``
    yields its frames, and ``at`` is the next one's number, None if unknown. ``others`` are the
    other streams; a pipe has none. If only ``described``, for a plan that is not carried out, the
    file is not opened again for the first frame of a part, and no frame can be read. Raises what
    ``probe`` and ``VideoReader`` raise.
    """

    def __init__(self, path: Path, wishes: InputWishes, *, described: bool = False) -> None:
        piped = reads_once(path)
        self.at: int | None = 0
        self._strict = wishes.strict
        with ExitStack() as stack:
            self.witness = None if piped else Witness.of(path)
            self.asked = Selection.asked(wishes.options, wishes.count)
            probed = None if piped else open_probed(path, self.asked, wishes.options)
            self.others = stack.enter_context(StreamSource(probed)) if probed else None
            facts = probed.facts if probed else None
            self.options, self.findings = _with_box(path, facts, wishes.options)
            self.reader = self._open(probed or path, describe=described)
            stack.callback(lambda: self.reader.close())  # the current one
            self.asked = replace(self.asked, film=self.reader.selection.film)
            self._stack = stack.pop_all()

    def __enter__(self) -> "RunSource":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def selection(self) -> Selection:
        """The requested part, on the file's own clock."""
        return replace(self.reader.selection, count=self.asked.count)

    def _open(self, source: Path | SourceFacts | Probed, *, describe: bool = False) -> VideoReader:
        return VideoReader(source, options=self.options, strict=self._strict, describe=describe)

    def rewind(self) -> None:
        """Open the source again if it was read; raises OptionError for a pipe."""
        if self.at == 0:
            return
        if self.reader.facts is None:
            raise OptionError(
                f"{self.reader.path} is a pipe, and was read already", "start a new run"
            )
        self.reader.close()
        self.reader = self._open(self.reader.facts)
        self.at = 0

    def stand_before(self, segment: SegmentPlan) -> None:
        """Bring the reader to the first frame of a segment."""
        if self.at == segment.start:
            return
        if segment.pts is not None:
            self.at = None  # the reader may be one frame ahead
            self.rewind()
            self.reader.skip_to(segment.pts, segment.anchor)
            return
        if self.at is None or self.at > segment.start:
            self.rewind()
        self.pass_over(segment.start - (self.at or 0))

    def pass_over(self, count: int) -> None:
        """Decode finished frames in this thread, so that an interrupt ends it."""
        pool = PlanePool(1)
        self.reader.use(pool)
        for frame in self.reader.frames(count):
            pool.release(frame.planes)


def _with_box(
    path: Path, facts: SourceFacts | None, options: InputOptions
) -> tuple[InputOptions, tuple[Finding, ...]]:
    """The options with a box in place of an automatic crop; raises OptionError for a pipe."""
    if options.crop != CROP_AUTO:
        return options, ()
    if facts is None:
        raise OptionError(
            f"{path} is a pipe: it cannot be searched for bars", "give the box to keep"
        )
    box, found = find_crop(facts)
    return replace(options, crop=box), found

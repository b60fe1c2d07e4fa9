"""Whether a video is interlaced: the evidence of its flags and of a sample of frames.

Flags are wrong in both directions: progressive pictures are broadcast in interlaced streams, and
converters drop the flag. So FFmpeg's filter ``idet`` examines a few dozen frames from three places
of the file: it compares fields with those of the frames before and after. Patterns and noise fool
it (it calls some test cards interlaced throughout). Where the flags do not support it, the combing
must be measured as well: in the moving parts of a combed frame, adjacent rows differ more than rows
two apart.

Hard telecine, film stretched to video's rate, is detected by its repeated fields (``pulldown``).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice

import av
import av.error
import torch
from av.container import InputContainer
from av.video.stream import VideoStream
from torch import Tensor

from ciaovideo.findings import Finding, Kind
from ciaovideo.media.clock import exact
from ciaovideo.media.interlacing.pulldown import (
    NO_FILM,
    Pulldown,
    joined,
    pulldown_in,
    telecine_rate,
)
from ciaovideo.media.source.header import codec_name
from ciaovideo.media.source.packets import packets_of
from ciaovideo.media.source.pictures import decoded
from ciaovideo.options import Deinterlace, Telecine

WHOLE_CODECS = {"gif", "apng", "webp"}  # never interlaced; idet mistakes dither for combing
FIELD_ORDERS = {2: "tff", 3: "bff", 4: "tff", 5: "bff"}  # AVFieldOrder, as fields are shown
PLACES = 3  # the start, and after each third of the file
FRAMES_AT_PLACE = 12
LONG_S = 3.0  # shorter files are sampled at the start only
ENOUGH = 8  # frames of one kind below which idet does not count
CLEARLY = 0.9  # share of one field order among interlaced frames, for it to count
FEW = 0.8  # share of progressive frames above which flags do not count, if none is combed
TELECINE = 1 / 3  # share of interlaced frames; of film at video's rate, two in five are
MOTION = 0.01  # share of moving pixels below which a sample cannot refute the flags
STEP = 8  # of 255: a larger difference between frames is motion, not noise
COMBED = 1.0  # differences of adjacent rows over those two apart: below 0.93 if progressive
COLUMNS = 480  # columns of a frame that are compared
FILM_FRAMES = 72  # sampled in a place where fields repeat as in telecine
FILM_PLACES = 4  # samples of each third of a file with film, to find sections of video
SUSPECT = 2  # repeats at telecine's places in the first frames that ask for more frames

IDET = "lavfi.idet.multiple.current_frame"
COMBED_KINDS = ("tff", "bff")  # results of idet


@dataclass(frozen=True, slots=True)
class FieldEvidence:
    """The evidence of a sample of frames: how many are flagged, and idet's counts.

    ``header`` means that there is no sample, only the flag in a pipe's header.
    ``unflagged_combed`` counts frames without a flag that idet calls interlaced. ``motion`` is the
    mean share of moving pixels, ``combing`` the measure of ``COMBED`` over the frames that idet
    calls interlaced, ``declared`` the container's field order. ``pulldown`` is the evidence of
    film.
    """

    header: bool = False
    frames: int = 0
    flagged: int = 0
    top_first: int = 0
    bottom_first: int = 0
    progressive: int = 0
    unflagged_combed: int = 0
    motion: float = 0.0
    combing: float = 0.0
    declared: str = ""
    pulldown: Pulldown = NO_FILM

    @property
    def interlaced(self) -> bool:
        """The decision: flags count unless the sample moves and is progressive throughout.

        Without flags, idet must call the sample interlaced, its field order must be clear or stated
        by the container, and it must be combed.
        """
        seen = self.top_first + self.bottom_first
        if self.flagged:
            refuted = self.progressive >= max(ENOUGH, FEW * self.frames)
            return not (refuted and not seen and self.motion >= MOTION)
        many = seen >= max(ENOUGH, TELECINE * self.frames)
        ordered = bool(self.order or self.declared)
        return many and ordered and self.motion >= MOTION and self.combing > COMBED

    @property
    def order(self) -> str:
        """``tff`` or ``bff`` by the field that is shown first, empty if idet is not sure."""
        seen = self.top_first + self.bottom_first
        for name, count in (("tff", self.top_first), ("bff", self.bottom_first)):
            if count >= ENOUGH and count >= CLEARLY * seen:
                return name
        return ""

    def __str__(self) -> str:
        if self.header:
            return f"the header says {'interlaced' if self.flagged else 'progressive'}"
        return (
            f"of {self.frames} frames sampled, {self.flagged} are flagged as interlaced; by content"
            f" {self.top_first} have the top field first, {self.bottom_first} the bottom field, and"
            f" {self.progressive} are progressive"
            + (f"; the container says {self.declared}" if self.declared and not self.order else "")
            + ("" if self.motion >= MOTION else "; they show hardly any motion")
        )


@dataclass(frozen=True, slots=True)
class FieldPolicy:
    """What to do with interlaced frames, from the evidence and the user's options.

    Film is detected from ``start`` to ``end``, in seconds after the first frame.
    """

    evidence: FieldEvidence
    deinterlace: Deinterlace = "auto"
    telecine: Telecine = "auto"
    force: bool = False
    start: Fraction = Fraction(0)
    end: Fraction | None = None

    @property
    def every_field(self) -> bool:
        """Whether each field becomes a frame."""
        return self.deinterlace == "field"

    @property
    def film(self) -> bool:
        """Whether telecine is reversed."""
        asked = self.telecine == self.deinterlace == "auto"
        return asked and self.evidence.pulldown.within(self.start, self.end).certain

    @property
    def deinterlaces(self) -> bool:
        """Whether the deinterlacer is needed from the first frame on."""
        if self.film:
            return False
        if self.deinterlace == "auto":
            return self.evidence.interlaced
        return self.every_field

    @property
    def refuses(self) -> bool:
        """Whether interlaced frames are an error."""
        return self.deinterlace == "off" and not self.force

    @property
    def forced(self) -> bool:
        """Whether interlaced frames pass unchanged."""
        return self.evidence.interlaced and self.deinterlace == "off"

    def whole(self, flagged: bool) -> bool:
        """Whether a frame with this flag counts as progressive."""
        if self.deinterlace == "off" and self.force:
            return True
        if self.evidence.interlaced:
            return not flagged and not self.evidence.unflagged_combed
        return not flagged or self.evidence.flagged > 0

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is done and why; empty for progressive video without flags."""
        text = self._decision()
        made = [Finding(kind=Kind.CHOSEN, subject="interlacing", text=text)] if text else []
        pulldown = self.evidence.pulldown
        if self.telecine == "auto" and pulldown.mixed and not self.every_field:
            film, video = (_when(at) for at in (pulldown.film, pulldown.video))
            here = (
                "" if self.film else ": none is reversed (select a part of film by start and end)"
            )
            text = f"telecined film at {film}, other video at {video}{here}"
            made.append(Finding(kind=Kind.CHOSEN, subject="telecine", text=text))
        return tuple(made)

    def _decision(self) -> str:
        evidence = self.evidence
        if self.film:
            return (
                "telecine is reversed: fields are matched, and one frame of five is dropped:"
                f" {evidence.pulldown}"
            )
        if self.every_field:
            doubt = "" if evidence.interlaced else ", though the video seems progressive"
            return f"every field becomes a frame{doubt}: {evidence}"
        if self.forced:
            return f"interlaced frames are kept as they are: {evidence}"
        if evidence.interlaced:
            return f"interlaced frames are deinterlaced: {evidence}"
        return f"flagged frames are treated as progressive: {evidence}" if evidence.flagged else ""


class FieldSample:
    """A sample of frames of an open file, from one to three places, as evidence of fields.

    Damage ends a place early; the reader of the whole file reports it. ``on_picture`` gets each
    picture, for other measurements.
    """

    def __init__(
        self,
        container: InputContainer,
        av_stream: VideoStream,
        on_picture: Callable[[av.VideoFrame], None] = lambda _: None,
    ) -> None:
        self._container = container
        self._on_picture = on_picture
        self._av_stream = av_stream
        long = (container.duration or 0) >= LONG_S * av.time_base
        self._places = PLACES if long else 1
        self._seen: list[_Look] = []
        self._pulldown: list[Pulldown] = []
        self._first: float | None = None  # time of the first frame, in seconds
        self._may_be_film = telecine_rate(
            exact(av_stream.average_rate) or exact(av_stream.guessed_rate)
        )
        if codec_name(av_stream) in WHOLE_CODECS:
            self._places = 0

    def look_at_start(self, pictures: Iterator[av.VideoFrame]) -> None:
        """Sample the first of the file's pictures, in order from the beginning."""
        if self._places:
            self._look(pictures)

    def look_later(self) -> None:
        """Sample the other places of a longer file; leaves the container at any position."""
        start, duration = self._container.start_time or 0, self._container.duration or 0
        for place in range(1, self._places):
            self._look_at(start + duration * place // PLACES)
        if self._places > 1 and any(one.film for one in self._pulldown):
            for place in range(1, FILM_PLACES * PLACES):
                if place % FILM_PLACES:
                    self._look_at(start + duration * place // (FILM_PLACES * PLACES))

    def _look_at(self, time: int) -> None:
        with suppress(av.error.FFmpegError, ValueError):
            self._container.seek(time)
            self._look(decoded(self._container, packets_of(self._container, self._av_stream)))

    def evidence(self, *, matched: bool) -> FieldEvidence:
        """The evidence; of film only if fields of the layout can be ``matched``."""
        if not self._places:
            return FieldEvidence()
        declared = declared_order(self._av_stream)
        pulldown = joined(self._pulldown) if matched else NO_FILM
        return replace(_summed(self._seen), declared=declared, pulldown=pulldown)

    def _look(self, pictures: Iterator[av.VideoFrame]) -> None:
        count = PLACES * FRAMES_AT_PLACE // self._places
        looks: list[_Look] = []
        with suppress(av.error.FFmpegError, ValueError):
            for look in _looks(self._shown(islice(pictures, max(count, FILM_FRAMES)))):
                looks.append(look)
                if len(looks) == count and not self._suspects(looks):
                    break
        self._seen += looks
        if self._may_be_film and looks:
            self._first = looks[0].time if self._first is None else self._first
            self._pulldown.append(_pulldown(looks, self._first))

    def _suspects(self, looks: "list[_Look]") -> bool:
        """Whether it may be film, so that the place needs more frames."""
        return self._may_be_film and _pulldown(looks).hits >= SUSPECT

    def _shown(self, pictures: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        for picture in pictures:
            self._on_picture(picture)
            yield picture


def declared_order(av_stream: VideoStream) -> str:
    """The field order that a container states: ``tff``, ``bff`` or empty."""
    return FIELD_ORDERS.get(av_stream.codec_context.field_order, "")


@dataclass(frozen=True, slots=True)
class _Look:
    """One frame: its flag, idet's result, the moving share, differences of near and far rows."""

    flagged: bool
    kind: str
    motion: float
    near: float
    far: float
    top: float  # mean difference of the top field from that of the frame before
    bottom: float
    time: float


def _looks(pictures: Iterator[av.VideoFrame]) -> Iterator[_Look]:
    """The looks at consecutive pictures, up to a change of size or layout."""
    first = next(pictures, None)
    if first is None:
        return
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=first.width, height=first.height, format=first.format, time_base=first.time_base
    )
    chain = [source, graph.add("format", "pix_fmts=gray"), graph.add("idet")]
    graph.link_nodes(*chain, graph.add("buffersink")).configure()
    shape = first.format.name, first.height, first.width
    flags: list[bool] = []
    before: Tensor | None = None
    for picture in (first, *pictures, None):
        if picture is not None:
            if (picture.format.name, picture.height, picture.width) != shape:
                break
            flags.append(picture.interlaced_frame)
        graph.push(picture)
        while (seen := _pull(graph)) is not None:
            luma = _luma(seen)
            kind = str(seen.metadata.get(IDET, ""))
            rows = _rows(luma, before, combed=kind in COMBED_KINDS)
            yield _Look(flags.pop(0), kind, *rows, *_fields(luma, before), seen.time or 0.0)
            before = luma


def _pull(graph: av.filter.Graph) -> av.VideoFrame | None:
    """The next picture that a graph has ready."""
    try:
        picture = graph.pull()
    except (av.error.BlockingIOError, av.error.EOFError):
        return None
    assert isinstance(picture, av.VideoFrame)
    return picture


def _luma(picture: av.VideoFrame) -> Tensor:
    """A subsample of a gray picture's columns, as a copy in int16."""
    plane = torch.from_dlpack(picture.planes[0])  # type: ignore[attr-defined]
    step = max(1, picture.width // COLUMNS)
    return plane[: picture.height, : picture.width : step].to(torch.int16)


def _rows(luma: Tensor, before: Tensor | None, *, combed: bool) -> tuple[float, float, float]:
    """The share of moving pixels, and their mean differences from rows one apart and two apart.

    The differences are computed only for frames that idet calls combed.
    """
    if before is None or luma.shape[0] < 5:
        return 0.0, 0.0, 0.0
    middle = luma[2:-2]
    moving = (middle - before[2:-2]).abs() > STEP
    pixels = float(moving.count_nonzero())
    if not pixels or not combed:
        return pixels / moving.numel(), 0.0, 0.0
    near = ((2 * middle - luma[1:-3] - luma[3:-1]).abs() * moving).sum()
    far = ((2 * middle - luma[:-4] - luma[4:]).abs() * moving).sum()
    return pixels / moving.numel(), float(near) / pixels, float(far) / pixels


def _fields(luma: Tensor, before: Tensor | None) -> tuple[float, float]:
    """The mean differences of the top and the bottom field from those of the frame before."""
    if before is None or luma.shape[0] < 2:
        return 0.0, 0.0
    off = (luma - before).abs_().float()
    return float(off[::2].mean()), float(off[1::2].mean())


def _pulldown(looks: list[_Look], first: float = 0.0) -> Pulldown:
    """The evidence of film in consecutive frames; ``first`` is the video's start in seconds."""
    moves = sum(look.motion for look in looks) >= MOTION * len(looks)
    tops, bottoms = [look.top for look in looks], [look.bottom for look in looks]
    return pulldown_in(tops, bottoms, looks[0].time - first, moves=moves)


def _when(seconds: Sequence[float]) -> str:
    return ", ".join(dict.fromkeys(f"{second:.0f} s" for second in seconds))


def _summed(looks: list[_Look]) -> FieldEvidence:
    combed = [look for look in looks if look.kind in COMBED_KINDS]
    moved = [look.motion for look in looks]
    far = sum(look.far for look in combed)
    return FieldEvidence(
        frames=len(looks),
        flagged=sum(look.flagged for look in looks),
        top_first=sum(look.kind == "tff" for look in looks),
        bottom_first=sum(look.kind == "bff" for look in looks),
        progressive=sum(look.kind == "progressive" for look in looks),
        unflagged_combed=sum(not look.flagged for look in combed),
        motion=sum(moved) / len(moved) if moved else 0.0,
        combing=sum(look.near for look in combed) / far if far else 0.0,
    )

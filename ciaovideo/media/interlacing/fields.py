"""Whether a video's frames hold two fields each: its flags, and a look at some of its frames.

Flags lie in both directions: progressive pictures are broadcast in interlaced streams, and
converters forget the flag. So a few dozen frames from three places of the file are looked at, with
FFmpeg's filter ``idet``, which compares fields with those of the frames before and after. Patterns
and noise fool it (test cards were found that it calls interlaced throughout); where the flags do
not back it, the combing itself must be measured, too: in the moving parts of a combed frame, the
nearest rows differ more than those two apart.

Film that was stretched to video's rate (hard telecine) is told by fields that repeat
(``pulldown``).
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
from ciaovideo.media.video_stream import codec_name, decoded, packets_of
from ciaovideo.options import Deinterlace, Telecine

WHOLE_CODECS = {"gif", "apng", "webp"}  # made for computers' screens; what idet sees is dither
FIELD_ORDERS = {2: "tff", 3: "bff", 4: "tff", 5: "bff"}  # AVFieldOrder, as fields are shown
PLACES = 3  # from the start, and from these many thirds of the file
FRAMES_AT_PLACE = 12
LONG_S = 3.0  # shorter files are looked at from the start only
ENOUGH = 8  # frames of one kind below which idet is not believed
CLEARLY = 0.9  # share of one field order among interlaced frames, for it to be believed
FEW = 0.8  # share of progressive frames above which flags are not believed, if none is combed
TELECINE = 1 / 3  # share of interlaced frames; of film at video's rate, two in five are
MOTION = 0.01  # share of pixels that must move for a sample to say anything against the flags
STEP = 8  # of 255: a larger difference between frames is motion, not noise
COMBED = 1.0  # differences of nearest rows over those two apart: below 0.93 in progressive video
COLUMNS = 480  # as many columns of a frame are enough
FILM_FRAMES = 72  # looked at of a place where fields repeat as film's do
FILM_PLACES = 4  # parts of each third of a file with film, to see whether all of it is
SUSPECT = 2  # repeated fields where film has them, among the first frames of a place

IDET = "lavfi.idet.multiple.current_frame"
COMBED_KINDS = ("tff", "bff")  # of what idet tells


@dataclass(frozen=True, slots=True)
class FieldEvidence:
    """What a sample of frames shows: how many are flagged, and how many idet takes for what.

    ``header`` says that there is no sample, only the flag that a pipe begins with.
    ``unflagged_combed`` counts frames that idet takes for interlaced and that carry no flag.
    ``motion`` is the mean share of pixels that move, ``combing`` the measure of ``COMBED`` over
    the frames that idet takes for interlaced, ``declared`` the order of fields that the container
    tells. ``pulldown`` is what it shows of film.
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
        """The judgement: flags hold unless the sample moves and is progressive throughout.

        Without flags, the sample must be interlaced for idet, clearly of one field order unless the
        container tells it, and combed.
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
        """``tff`` or ``bff`` for the field that is shown first, or nothing if idet is not sure."""
        seen = self.top_first + self.bottom_first
        for name, count in (("tff", self.top_first), ("bff", self.bottom_first)):
            if count >= ENOUGH and count >= CLEARLY * seen:
                return name
        return ""

    def __str__(self) -> str:
        if self.header:
            return f"the header says {'interlaced' if self.flagged else 'progressive'}"
        return (
            f"of {self.frames} frames looked at, {self.flagged} are flagged as interlaced; by their"
            f" content {self.top_first} have the top field first, {self.bottom_first} the bottom"
            f" field, {self.progressive} are progressive"
            + (f"; the container says {self.declared}" if self.declared and not self.order else "")
            + ("" if self.motion >= MOTION else "; hardly anything moves in them")
        )


@dataclass(frozen=True, slots=True)
class FieldPolicy:
    """What is done with interlaced frames, from what a sample shows and a user wants.

    Film is looked for from ``start`` to ``end``, in seconds after the first frame.
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
        """Whether film is taken out of video's frames."""
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
        """Whether interlaced frames are handed out as they are."""
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
        """What is done and why; nothing for progressive video without flags."""
        text = self._decision()
        made = [Finding(kind=Kind.CHOSEN, subject="interlacing", text=text)] if text else []
        pulldown = self.evidence.pulldown
        if self.telecine == "auto" and pulldown.mixed and not self.every_field:
            film, video = (_when(at) for at in (pulldown.film, pulldown.video))
            here = (
                "" if self.film else ": nothing is undone (a part of film can be, by start and end)"
            )
            text = f"film at video's rate at {film}, other video at {video}{here}"
            made.append(Finding(kind=Kind.CHOSEN, subject="telecine", text=text))
        return tuple(made)

    def _decision(self) -> str:
        evidence = self.evidence
        if self.film:
            return (
                "film is taken out of video's frames: fields are matched, and one frame of five is"
                f" left out: {evidence.pulldown}"
            )
        if self.every_field:
            doubt = "" if evidence.interlaced else ", though the video seems to be progressive"
            return f"every field becomes a frame{doubt}: {evidence}"
        if self.forced:
            return f"interlaced frames are taken as they are: {evidence}"
        if evidence.interlaced:
            return f"interlaced frames are made whole: {evidence}"
        return f"flagged frames are taken for progressive: {evidence}" if evidence.flagged else ""


class FieldSample:
    """Frames of an open file that are looked at for fields, from one to three places of it.

    Damage found on the way ends a place early, for the reader of the whole file will report it.
    ``on_picture`` is shown each picture, for what else is to be seen of it.
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
        self._first: float | None = None  # when the first frame appears, in seconds
        self._may_be_film = telecine_rate(
            exact(av_stream.average_rate) or exact(av_stream.guessed_rate)
        )
        if codec_name(av_stream) in WHOLE_CODECS:
            self._places = 0

    def look_at_start(self, pictures: Iterator[av.VideoFrame]) -> None:
        """Look at the first of the pictures that follow each other from the beginning on."""
        if self._places:
            self._look(pictures)

    def look_later(self) -> None:
        """Look at the other places of a longer file; afterwards the container stands anywhere."""
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
        """What all of them show; of film only where fields of the layout can be ``matched``."""
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
        """Whether it may be film, so that more of the place is looked at."""
        return self._may_be_film and _pulldown(looks).hits >= SUSPECT

    def _shown(self, pictures: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        for picture in pictures:
            self._on_picture(picture)
            yield picture


def declared_order(av_stream: VideoStream) -> str:
    """The order of fields that a container tells: ``tff``, ``bff`` or nothing."""
    return FIELD_ORDERS.get(av_stream.codec_context.field_order, "")


@dataclass(frozen=True, slots=True)
class _Look:
    """One frame: its flag, idet's word, the share that moves, differences of rows near and far."""

    flagged: bool
    kind: str
    motion: float
    near: float
    far: float
    top: float  # mean difference of the top field from that of the frame before
    bottom: float
    time: float


def _looks(pictures: Iterator[av.VideoFrame]) -> Iterator[_Look]:
    """What idet says of pictures that follow each other, up to a change of size or layout."""
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
    """Some columns of a gray picture, as int16, in memory of their own."""
    plane = torch.from_dlpack(picture.planes[0])  # type: ignore[attr-defined]
    step = max(1, picture.width // COLUMNS)
    return plane[: picture.height, : picture.width : step].to(torch.int16)


def _rows(luma: Tensor, before: Tensor | None, *, combed: bool) -> tuple[float, float, float]:
    """The share of moving pixels, and there the mean difference of rows one apart and two apart.

    The differences are taken of frames that idet takes for combed; of others nobody asks for them.
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
    """How much the top and the bottom field differ from those of the frame before, on average."""
    if before is None or luma.shape[0] < 2:
        return 0.0, 0.0
    off = (luma - before).abs_().float()
    return float(off[::2].mean()), float(off[1::2].mean())


def _pulldown(looks: list[_Look], first: float = 0.0) -> Pulldown:
    """What frames that follow each other show of film; the ``first`` of all appears then."""
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

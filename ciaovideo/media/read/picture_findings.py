"""What is odd about the pictures of a file: damaged ones, and what they lose on their way."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
from av.sidedata.sidedata import Type

from ciaovideo.color import ColorSpec, PixelLayout
from ciaovideo.errors import DecodeError, LossError
from ciaovideo.findings import Finding, Kind
from ciaovideo.media.frame import VideoInfo
from ciaovideo.media.inspect.borders import margins_of, vbi_rows
from ciaovideo.media.sequence.numbered import is_sequence
from ciaovideo.media.side_data import NAMES, StreamMarks, lost_of, turn_of
from ciaovideo.media.video_stream import tagged_color
from ciaovideo.notation import parse_box
from ciaovideo.options import CROP_SOURCE

LISTED = 5  # damaged pictures whose times the text gives


class PictureFindings:
    """Findings of a file, gathered while its pictures are read; ``strict`` makes errors of them."""

    def __init__(self, path: Path, *, strict: bool) -> None:
        self._path = path
        self._strict = strict
        self._found: list[Finding] = []
        self._damaged: list[Fraction | int] = []  # when each is shown, or its number
        # What hung on pictures up to now, and is lost; the timecode of numbered ones is a tag.
        self._met = {NAMES[Type.S12M_TIMECODE]} if is_sequence(path) else set[str]()
        self._turned = False  # whether the picture was seen to be turned otherwise
        self._colors: dict[ColorSpec, ColorSpec | None] = {}  # what tags mean, by what they are

    def add(self, kind: Kind, subject: str, text: str) -> None:
        """Add one."""
        self._found.append(Finding(kind=kind, subject=subject, text=text))

    def take(self, findings: Iterable[Finding]) -> None:
        """Add those that are known already."""
        self._found += findings

    def begin(self, picture: av.VideoFrame, info: VideoInfo) -> None:
        """Report the side data of the first picture that is dropped; no error yet."""
        self._found += _lost_marks(info.marks)
        self._met |= set(info.marks.lost)
        self._found += self._lost(picture, info, None)
        display = info.hdr10.display if info.hdr10 else None
        hanging = {block.type for block in picture.side_data.values()}
        if Type.MASTERING_DISPLAY_METADATA in hanging and not display:
            text = "HDR10's mastering display is not whole: not carried over"
            self.add(Kind.LOST, "HDR10", text)

    def without_margins(self, info: VideoInfo, layout: PixelLayout, crop: str | None) -> VideoInfo:
        """The video without what is to be cut off at its sides; reports where that is not all."""
        if crop is None:
            if blank := vbi_rows(info.stored_size):
                height, width = info.height - blank, info.width
                text = (
                    f"the first {blank} rows are the vertical blanking interval, and are enlarged"
                    f" (crop {width}x{height}+0+{blank} cuts them off)"
                )
                self.add(Kind.CHOSEN, "crop", text)
            return info
        asked = info.marks.crop
        if crop != CROP_SOURCE:
            asked = margins_of(parse_box(crop), info.stored_size)
        cut = asked.aligned(layout, fields=info.interlaced)
        height, width = cut.inner(*info.stored_size)
        if not asked and crop == CROP_SOURCE:
            self.add(Kind.CHOSEN, "crop", "the input states no crop: nothing is cut off")
        elif cut != asked:
            text = f"{cut} are cut off instead of {asked}: chroma begins at a whole sample there"
            self.add(Kind.CHANGED, "crop", text)
        return replace(info, height=height, width=width, cut=cut)

    def meet(
        self, picture: av.VideoFrame, number: int, info: VideoInfo, at: Fraction | None
    ) -> None:
        """Add, once each, what the pictures before did not have; LossError under ``strict``.

        ``at`` is when the picture, the ``number``-th, is shown.
        """
        losses = self._lost(picture, info, at)
        if not self._turned and turn_of(picture) not in ((), info.display_matrix):
            self._turned = True
            text = "the rotation changes midway, and that of the first picture is used throughout"
            losses.append(Finding(kind=Kind.LOST, subject="rotation", text=text, at=at))
        tags = tagged_color(picture)
        if tags != info.color and tags not in self._colors:
            since = number if at is None else at
            losses += _other_light(tags, info, since)
            self._found += _other_codes(self.own_color(picture, info), info, since)
        if losses and self._strict:
            told = "; ".join(map(str, losses))
            raise LossError(f"strict: {self._path}: frame {number}: {told}")
        self._found += losses

    def own_color(self, picture: av.VideoFrame, info: VideoInfo) -> ColorSpec | None:
        """What a picture's samples are taken for, where that is not what the video's are."""
        tags = tagged_color(picture)
        if tags == info.color:
            return None
        if tags not in self._colors:
            mine, video = (_resolved(spec, info) for spec in (tags, info.color))
            # Light is not converted, so that only codes may differ.
            mine = replace(mine, primaries=video.primaries, transfer=video.transfer)
            self._colors[tags] = None if mine == video else mine
        return self._colors[tags]

    def lose_film(self, since: Fraction, until: Fraction) -> None:
        """Add that a part of film at video's rate is none; LossError under ``strict``."""
        text = (
            f"from {_when(since)} to {_when(until)} no frame repeats another, as film at video's"
            " rate does: one of five is left out all the same (telecine off keeps all)"
        )
        loss = Finding(kind=Kind.LOST, subject="telecine", text=text, at=since)
        if self._strict:
            raise LossError(f"strict: {self._path}: {loss}")
        self._found.append(loss)

    def damage(self, shown: Fraction | int) -> None:
        """Add that a picture is damaged, by its time or number; DecodeError under ``strict``."""
        if self._strict:
            raise DecodeError(
                f"strict: the picture of {self._path} at {_when(shown)} is damaged",
                "leave strict out to have the decoder patch it",
            )
        self._damaged.append(shown)

    def forget_damage(self, since: Fraction | None = None) -> None:
        """Leave out damaged pictures that are not wanted: those from a time on, or all."""
        kept = (
            (w for w in self._damaged if isinstance(w, int) or w < since)
            if since is not None
            else ()
        )
        self._damaged = list(kept)

    def listed(self) -> tuple[Finding, ...]:
        """All of them; that on the damaged pictures comes last, with the time of the first."""
        if not self._damaged:
            return tuple(self._found)
        places = ", ".join(map(_when, self._damaged[:LISTED]))
        more = " and more" if len(self._damaged) > LISTED else ""
        text = f"damaged frames, patched by the decoder: {len(self._damaged)}, at {places}{more}"
        times = (shown for shown in self._damaged if not isinstance(shown, int))
        damaged = Finding(kind=Kind.DAMAGED, subject="video", text=text, at=next(times, None))
        return (*self._found, damaged)

    def _lost(self, picture: av.VideoFrame, info: VideoInfo, at: Fraction | None) -> list[Finding]:
        names = [name for name in lost_of(picture, info.marks) if name not in self._met]
        self._met.update(names)
        return [_not_carried_over(name, at) for name in names]


def _resolved(tags: ColorSpec, info: VideoInfo) -> ColorSpec:
    layout = PixelLayout.of(info.pix_fmt)
    return tags.resolved(*info.stored_size, layout, info.codec)[0]


def _other_light(tags: ColorSpec, info: VideoInfo, since: Fraction | int) -> Iterator[Finding]:
    """That primaries or transfer change: pictures are not converted from one to the other."""
    for name in ("primaries", "transfer"):
        before, after = getattr(info.color, name), getattr(tags, name)
        if before != after:
            text = (
                f"the {name} change from {before.name} to {after.name} at {_when(since)}, and those"
                " of the first frame are used throughout"
            )
            at = None if isinstance(since, int) else since
            yield Finding(kind=Kind.LOST, subject=f"color {name}", text=text, at=at)


def _other_codes(mine: ColorSpec | None, info: VideoInfo, since: Fraction | int) -> list[Finding]:
    """That range, matrix or siting change: pictures are converted into those of the first."""
    if mine is None:
        return []
    video = _resolved(info.color, info)
    names = [
        n for n in ("matrix", "color_range", "siting") if getattr(mine, n) != getattr(video, n)
    ]
    was, becomes = (" ".join(getattr(spec, name).name for name in names) for spec in (mine, video))
    text = f"pictures from {_when(since)} on are {was}: converted to {becomes} like those before"
    at = None if isinstance(since, int) else since
    return [Finding(kind=Kind.CHANGED, subject="color", text=text, at=at)]


def _lost_marks(marks: StreamMarks) -> Iterator[Finding]:
    """What hangs on the video as a whole and no container here holds."""
    if marks.dolby_vision:
        text = f"{marks.dolby_vision}: its base layer is enlarged, its metadata not carried over"
        yield Finding(kind=Kind.LOST, subject="Dolby Vision", text=text)
    for name in marks.lost:
        yield _not_carried_over(name, None)


def _not_carried_over(name: str, at: Fraction | None) -> Finding:
    text = name if ":" in name else f"{name}: not carried over"
    return Finding(kind=Kind.LOST, subject="side data", text=text, at=at)


def _when(shown: Fraction | int) -> str:
    """A time in seconds, or the number of a frame that has none, in words."""
    return f"frame {shown}" if isinstance(shown, int) else f"{float(shown):.3f} s"

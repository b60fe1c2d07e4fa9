"""Findings on the pictures of a file: damage, and what is not carried over."""

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
from ciaovideo.media.read.aspects import SUBJECT, other_sar, same_sar
from ciaovideo.media.sequence.numbered import is_sequence
from ciaovideo.media.side_data import NAMES, StreamMarks, lost_of, turn_of
from ciaovideo.media.source.header import tagged_color
from ciaovideo.notation import parse_box
from ciaovideo.options import CROP_SOURCE

LISTED = 5  # damaged pictures whose times are listed


class PictureFindings:
    """Collects findings while a file's pictures are read; ``strict`` raises them as errors.

    ``origin`` is the time of the first frame on the file's clock, in seconds.
    """

    def __init__(self, path: Path, *, strict: bool) -> None:
        self._path = path
        self._strict = strict
        self.origin = Fraction(0)
        self._found: list[Finding] = []
        self._damaged: list[Fraction | int] = []  # time of each, or its number
        # Lost side data reported so far; the timecode of numbered pictures is kept as a tag.
        self._met = {NAMES[Type.S12M_TIMECODE]} if is_sequence(path) else set[str]()
        self._turned = False  # whether a change of rotation was reported
        self._colors: dict[ColorSpec, ColorSpec | None] = {}  # the resolved colours by tags

    def add(self, kind: Kind, subject: str, text: str) -> None:
        """Add one finding."""
        self._found.append(Finding(kind=kind, subject=subject, text=text))

    def take(self, findings: Iterable[Finding]) -> None:
        """Add findings that are known already."""
        self._found += findings

    def begin(self, picture: av.VideoFrame, info: VideoInfo) -> None:
        """Report the side data of the first picture that is dropped; no error yet."""
        self._found += _lost_marks(info.marks)
        self._met |= set(info.marks.lost)
        self._found += self._lost(picture, info, None)
        display = info.hdr10.display if info.hdr10 else None
        hanging = {block.type for block in picture.side_data.values()}
        if Type.MASTERING_DISPLAY_METADATA in hanging and not display:
            text = "the HDR10 mastering display metadata is incomplete: not carried over"
            self.add(Kind.LOST, "HDR10", text)

    def without_margins(self, info: VideoInfo, layout: PixelLayout, crop: str | None) -> VideoInfo:
        """The video with its crop applied; reports a crop that is missing or was aligned."""
        if crop is None:
            if blank := vbi_rows(info.stored_size):
                height, width = info.height - blank, info.width
                text = (
                    f"the first {blank} rows are the vertical blanking interval, and are enlarged"
                    f" (crop {width}x{height}+0+{blank} removes them)"
                )
                self.add(Kind.CHOSEN, "crop", text)
            return info
        asked = info.marks.crop
        if crop != CROP_SOURCE:
            asked = margins_of(parse_box(crop), info.stored_size)
        cut = asked.aligned(layout, fields=info.interlaced)
        height, width = cut.inner(*info.stored_size)
        if not asked and crop == CROP_SOURCE:
            self.add(Kind.CHOSEN, "crop", "the input states no crop: nothing is cropped")
        elif cut != asked:
            text = f"{cut} are cropped instead of {asked}, to begin at a whole chroma sample"
            self.add(Kind.CHANGED, "crop", text)
        return replace(info, height=height, width=width, cut=cut)

    def meet(
        self, picture: av.VideoFrame, number: int, info: VideoInfo, at: Fraction | None
    ) -> None:
        """Report losses and changes that earlier pictures did not have; LossError if ``strict``.

        ``at`` is the time of this picture, the ``number``-th.
        """
        losses = self._lost(picture, info, at)
        if not self._turned and turn_of(picture) not in ((), info.display_matrix):
            self._turned = True
            text = "the rotation changes midway: that of the first picture is used throughout"
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

    def meet_sar(self, sar: Fraction | None, info: VideoInfo, number: int, at: Fraction) -> None:
        """Report, once, a picture of another sample aspect ratio; LossError if ``strict``.

        ``at`` is the time of the ``number``-th picture on the file's clock.
        """
        told = any(finding.subject == SUBJECT for finding in self._found)
        if told or same_sar(sar, info.sar):
            return
        loss = other_sar(info.sar, sar, at - self.origin, at)
        if self._strict:
            raise LossError(f"strict: {self._path}: frame {number}: {loss}")
        self._found.append(loss)

    def own_color(self, picture: av.VideoFrame, info: VideoInfo) -> ColorSpec | None:
        """How to interpret a picture's samples, if differently from the video's; else None."""
        tags = tagged_color(picture)
        if tags == info.color:
            return None
        if tags not in self._colors:
            mine, video = (_resolved(spec, info) for spec in (tags, info.color))
            # Primaries and transfer are not converted, so only codes may differ.
            mine = replace(mine, primaries=video.primaries, transfer=video.transfer)
            self._colors[tags] = None if mine == video else mine
        return self._colors[tags]

    def lose_film(self, since: Fraction, until: Fraction) -> None:
        """Report a section of telecined film that is no film; LossError if ``strict``."""
        text = (
            f"from {_when(since)} to {_when(until)} no frame is a repeat, as telecined film has:"
            " one frame of five is dropped all the same (telecine off keeps all)"
        )
        loss = Finding(kind=Kind.LOST, subject="telecine", text=text, at=since)
        if self._strict:
            raise LossError(f"strict: {self._path}: {loss}")
        self._found.append(loss)

    def damage(self, shown: Fraction | int) -> None:
        """Report a damaged picture by its time or number; DecodeError if ``strict``."""
        if self._strict:
            raise DecodeError(
                f"strict: the picture of {self._path} at {_when(shown)} is damaged",
                "run without strict to keep the decoder's concealment",
            )
        self._damaged.append(shown)

    def forget_damage(self, since: Fraction | None = None) -> None:
        """Drop reports of damage outside the part: those from a time on, or all."""
        kept = (
            (w for w in self._damaged if isinstance(w, int) or w < since)
            if since is not None
            else ()
        )
        self._damaged = list(kept)

    def listed(self) -> tuple[Finding, ...]:
        """All findings; the one on damaged pictures is last, with the time of the first."""
        if not self._damaged:
            return tuple(self._found)
        places = ", ".join(map(_when, self._damaged[:LISTED]))
        more = " and more" if len(self._damaged) > LISTED else ""
        text = f"damaged frames, concealed by the decoder: {len(self._damaged)}, at {places}{more}"
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
    """Findings on a change of primaries or transfer, which is not converted."""
    for name in ("primaries", "transfer"):
        before, after = getattr(info.color, name), getattr(tags, name)
        if before != after:
            text = (
                f"the {name} change from {before.name} to {after.name} at {_when(since)}: those of"
                " the first frame are used throughout"
            )
            at = None if isinstance(since, int) else since
            yield Finding(kind=Kind.LOST, subject=f"color {name}", text=text, at=at)


def _other_codes(mine: ColorSpec | None, info: VideoInfo, since: Fraction | int) -> list[Finding]:
    """Findings on a change of range, matrix or siting, which is converted to the first's."""
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
    """Losses of side data of the whole video."""
    if marks.dolby_vision:
        text = f"{marks.dolby_vision}: the base layer is enlarged, the metadata is not carried over"
        yield Finding(kind=Kind.LOST, subject="Dolby Vision", text=text)
    for name in marks.lost:
        yield _not_carried_over(name, None)


def _not_carried_over(name: str, at: Fraction | None) -> Finding:
    text = name if ":" in name else f"{name}: not carried over"
    return Finding(kind=Kind.LOST, subject="side data", text=text, at=at)


def _when(shown: Fraction | int) -> str:
    """A time in seconds as text, or the number of a frame without a time."""
    return f"frame {shown}" if isinstance(shown, int) else f"{float(shown):.3f} s"

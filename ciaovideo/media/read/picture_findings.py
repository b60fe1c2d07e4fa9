"""What is odd about the pictures of a file: damaged ones, and what they lose on their way."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
from av.sidedata.sidedata import Type

from ciaovideo.errors import DecodeError, LossError
from ciaovideo.findings import Finding, Kind
from ciaovideo.media.frame import VideoInfo
from ciaovideo.media.video_stream import tagged_color

# What hangs on pictures and is not carried over.
LOST = {
    Type.DYNAMIC_HDR_PLUS: "HDR10+ metadata",
    Type.DOVI_METADATA: "Dolby Vision metadata",
    Type.DYNAMIC_HDR_VIVID: "HDR Vivid metadata",
    Type.AMBIENT_VIEWING_ENVIRONMENT: "the ambient viewing environment",
    Type.A53_CC: "closed captions inside the pictures",
    Type.SPHERICAL: "the projection of a spherical video",
    Type.ICC_PROFILE: "an ICC colour profile",
    Type.AFD: "the active format description",
}
LISTED = 5  # damaged pictures whose times the text gives


class PictureFindings:
    """Findings of a file, gathered while its pictures are read; ``strict`` makes errors of them."""

    def __init__(self, path: Path, *, strict: bool) -> None:
        self._path = path
        self._strict = strict
        self._found: list[Finding] = []
        self._damaged: list[Fraction | int] = []  # when each is shown, or its number
        self._met: set[Type] = set()  # what hung on pictures up to now
        self._retagged = False  # whether the colour tags were seen to change

    def add(self, kind: Kind, subject: str, text: str) -> None:
        """Add one."""
        self._found.append(Finding(kind=kind, subject=subject, text=text))

    def take(self, findings: Iterable[Finding]) -> None:
        """Add those that are known already."""
        self._found += findings

    def begin(self, picture: av.VideoFrame, info: VideoInfo) -> None:
        """Report the side data of the first picture that is dropped; no error yet."""
        self._found += self._lost(picture, None)
        display = info.hdr10.display if info.hdr10 else None
        if Type.MASTERING_DISPLAY_METADATA in self._met and not display:
            text = "HDR10's mastering display is not whole: not carried over"
            self.add(Kind.LOST, "HDR10", text)

    def meet(
        self, picture: av.VideoFrame, number: int, info: VideoInfo, at: Fraction | None
    ) -> None:
        """Add, once each, what the pictures before did not have; LossError under ``strict``.

        ``at`` is when the picture, the ``number``-th, is shown.
        """
        losses = self._lost(picture, at)
        if not self._retagged and tagged_color(picture) != info.color:
            self._retagged = True
            text = (
                f"the colour tags change at frame {number}, and those of the first frame are used"
                " throughout"
            )
            losses.append(Finding(kind=Kind.LOST, subject="color", text=text, at=at))
        if losses and self._strict:
            told = "; ".join(map(str, losses))
            raise LossError(f"strict: {self._path}: frame {number}: {told}")
        self._found += losses

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

    def _lost(self, picture: av.VideoFrame, at: Fraction | None) -> list[Finding]:
        hanging = {data.type for data in picture.side_data.values()} - self._met
        self._met |= hanging
        return [
            Finding(kind=Kind.LOST, subject="side data", text=f"{name}: not carried over", at=at)
            for kind, name in LOST.items()
            if kind in hanging
        ]


def _when(shown: Fraction | int) -> str:
    """A time in seconds, or the number of a frame that has none, in words."""
    return f"frame {shown}" if isinstance(shown, int) else f"{float(shown):.3f} s"

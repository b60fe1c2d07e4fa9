"""What is odd about the pictures of a file: damaged ones, and what they lose on their way."""

from fractions import Fraction
from pathlib import Path

import av
from av.sidedata.sidedata import Type

from ciaovideo.errors import DecodeError, LossError
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
LISTED = 5  # damaged pictures whose times are told


class Remarks:
    """Notes on a file, gathered while its pictures are read; ``strict`` makes errors of them."""

    def __init__(self, path: Path, *, strict: bool) -> None:
        self._path = path
        self._strict = strict
        self._notes: list[str] = []
        self._damaged: list[Fraction | int] = []  # when each is shown, or its number
        self._met: set[Type] = set()  # what hung on pictures up to now
        self._retagged = False  # whether the colour tags were seen to change

    def add(self, note: str) -> None:
        """Note something."""
        self._notes.append(note)

    def begin(self, picture: av.VideoFrame, info: VideoInfo) -> None:
        """Note what is lost of that which hangs on the first picture; no error yet."""
        self._notes += self._lost(picture)
        display = info.hdr10.display if info.hdr10 else None
        if Type.MASTERING_DISPLAY_METADATA in self._met and not display:
            self.add("HDR10's mastering display is not whole: not carried over")

    def meet(self, picture: av.VideoFrame, number: int, info: VideoInfo) -> None:
        """Note, once each, what the pictures before did not have; LossError under ``strict``."""
        losses = self._lost(picture)
        if not self._retagged and tagged_color(picture) != info.color:
            self._retagged = True
            losses.append(
                f"the colour tags change at frame {number}, and those of the first frame are used"
                " throughout"
            )
        if losses and self._strict:
            raise LossError(f"strict: {self._path}: frame {number}: {'; '.join(losses)}")
        self._notes += losses

    def damage(self, shown: Fraction | int) -> None:
        """Note that a picture is damaged, by its time or number; DecodeError under ``strict``."""
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

    def listed(self) -> list[str]:
        """All notes; that on the damaged pictures comes last."""
        if not self._damaged:
            return self._notes.copy()
        places = ", ".join(map(_when, self._damaged[:LISTED]))
        more = " and more" if len(self._damaged) > LISTED else ""
        count = len(self._damaged)
        return [*self._notes, f"damaged frames, patched by the decoder: {count}, at {places}{more}"]

    def _lost(self, picture: av.VideoFrame) -> list[str]:
        hanging = {data.type for data in picture.side_data.values()} - self._met
        self._met |= hanging
        return [f"{LOST[kind]}: not carried over" for kind in LOST if kind in hanging]


def _when(shown: Fraction | int) -> str:
    """A time in seconds, or the number of a frame that has none, in words."""
    return f"frame {shown}" if isinstance(shown, int) else f"{float(shown):.3f} s"

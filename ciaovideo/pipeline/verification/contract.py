"""What an output must be, and what a verification found."""

from dataclasses import dataclass
from fractions import Fraction

from ciaovideo.color import ColorSpec
from ciaovideo.findings import Finding, Kind
from ciaovideo.media.inspect.scan import FileScan
from ciaovideo.media.margins import NO_MARGINS, Margins
from ciaovideo.media.selection import EVERYTHING, Selection
from ciaovideo.media.streams.plan import StreamPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What an output must be, besides its source enlarged: the streams it keeps, and its look.

    ``selection`` says which frames of the source it has, counted from the first one. What a run
    decided for its output is empty where it is not known: then any size and layout goes, and the
    source's own tags, ``given_color`` being those of its first picture. ``hdr10`` says whether its
    encoder holds HDR10's metadata; where it is not known, the codec is asked. ``counted`` is what
    came from a source that cannot be read twice: frames and times are held against it, but no
    picture. ``given_size`` is the (height, width) of the source's pictures as they are stored: a
    part may have another one than the file begins with. ``cut`` was cut off of them; ``crop`` is
    what the output must say to cut off, None where that is not known. ``pad`` is the black around
    its pictures, which counts to no ``size``.
    """

    streams: StreamPlan
    selection: Selection = EVERYTHING
    size: tuple[int, int] | None = None
    pix_fmt: str = ""
    color: ColorSpec | None = None
    given_color: ColorSpec | None = None
    hdr10: bool | None = None
    counted: FileScan | None = None
    given_size: tuple[int, int] | None = None
    cut: Margins = NO_MARGINS
    crop: Margins | None = None
    pad: Margins = NO_MARGINS


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was compared, and what was found: nothing wrong, if the output is what it should be."""

    frames: int
    streams: int
    packets: int
    pictures: int
    findings: tuple[Finding, ...] = ()

    @property
    def wrong(self) -> tuple[Finding, ...]:
        """In what the output is not what it should be."""
        return tuple(finding for finding in self.findings if finding.kind == Kind.WRONG)


def wrong(subject: str, text: str, at: Fraction | None = None) -> Finding:
    """A finding that the output is not what it should be."""
    return Finding(kind=Kind.WRONG, subject=subject, text=text, at=at)

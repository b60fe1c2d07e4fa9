"""The expected output, and the result of a verification."""

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
    """The expected output: the streams that it keeps, and the properties of its video.

    ``selection`` is the part of the source, with times from its first frame. Decisions of a run
    that are unknown are empty: any size and layout is accepted then, and the tags must be the
    source's, which are ``given_color`` for its first picture. ``hdr10`` is whether the encoder
    stores HDR10's metadata; if None, the codec decides. ``counted`` replaces a source that cannot
    be read twice: frames and times are compared with it, pictures are not. ``given_size`` is the
    stored (height, width) of the source's pictures, ``given_sar`` their sample aspect ratio: a part
    may have others than the beginning of the file. ``cut`` was cropped from them; ``crop`` is the
    crop that the output must state, None if unknown. ``pad`` is the black around its pictures,
    which is not part of ``size``.
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
    given_sar: Fraction | None = None
    cut: Margins = NO_MARGINS
    crop: Margins | None = None
    pad: Margins = NO_MARGINS


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was compared, and the findings; without a wrong one the output is verified."""

    frames: int
    streams: int
    packets: int
    pictures: int
    findings: tuple[Finding, ...] = ()

    @property
    def wrong(self) -> tuple[Finding, ...]:
        """The findings on differences from the expected output."""
        return tuple(finding for finding in self.findings if finding.kind == Kind.WRONG)


def wrong(subject: str, text: str, at: Fraction | None = None) -> Finding:
    """A finding on a difference from the expected output."""
    return Finding(kind=Kind.WRONG, subject=subject, text=text, at=at)

"""Options for reading a source: fields, streams, crop, colour, part."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from ciaovideo.config import check_word, opt
from ciaovideo.errors import OptionError
from ciaovideo.notation import parse_box, parse_rate, parse_time

Deinterlace = Literal["auto", "field", "off"]
Telecine = Literal["auto", "off"]
TransferName = Literal[
    "bt709",
    "smpte170m",
    "gamma22",
    "gamma28",
    "linear",
    "log",
    "log-sqrt",
    "srgb",
    "pq",
    "hlg",
    "smpte428",
]
CROP_AUTO = "auto"  # removes the bars and noise that a scan of the whole file finds
CROP_SOURCE = "source"  # the crop that the container of the input states


@dataclass(frozen=True, slots=True, kw_only=True)
class InputOptions:
    """Input. How to read the file."""

    deinterlace: Deinterlace = opt(
        "auto",
        "interlaced video: auto makes one frame of two fields, field makes one of each (twice the"
        " frame rate), off refuses it",
    )
    telecine: Telecine = opt(
        "auto",
        "hard telecine (film at video's 30000/1001 frames a second): auto detects it and"
        " restores the film's frames, off treats it as interlaced video",
    )
    force: bool = opt(
        False,
        "allow cases that are refused otherwise: interlaced frames unchanged, if deinterlacing is"
        " off; varying frame times at a constant rate, in -, .y4m, .mxf and .avi; Dolby Vision"
        " profile 5 read as Y'CbCr",
    )
    video: int | None = opt(
        None,
        "the video stream to enlarge, by the number that messages show; without it, the one with"
        " the most and largest pictures",
        "N",
    )
    program: int | None = opt(
        None,
        "the programme of a multiplex, by its own number; without it, that of the video. Streams"
        " of other programmes are dropped",
        "N",
    )
    crop: str | None = opt(
        None,
        "crop before enlarging: WxH+X+Y keeps a box of that size, X from the left and"
        " Y from the top; auto finds black bars and the head-switching noise of tapes in the whole"
        " file; source applies the crop that the input's container states. Without it that crop is"
        " scaled and stored, where the output can hold it",
        "WxH+X+Y|auto|source",
    )
    rate: Fraction | str | None = opt(
        None,
        "frames a second of numbered pictures (frames/%%06d.dpx), exactly: 24, or 24000/1001",
        "N[/D]",
    )
    transfer: TransferName | None = opt(
        None, "transfer characteristics in place of the input's tag; the output gets this tag"
    )
    start: Fraction | str | None = opt(
        None,
        "begin with the first frame at this time or later, in seconds or [HH:]MM:SS[.FRACTION]"
        " after the video's first frame. The part begins at time zero (in Matroska with the sound"
        " under its first frame). Sound is cut between packets, subtitles and chapters exactly",
        "TIME",
    )
    end: Fraction | str | None = opt(
        None,
        "drop the frames at this time or later. The last frame keeps its duration",
        "TIME",
    )

    def __post_init__(self) -> None:
        check_word("deinterlacing", self.deinterlace, Deinterlace)
        check_word("telecine", self.telecine, Telecine)
        if self.crop not in (None, CROP_SOURCE, CROP_AUTO):
            parse_box(self.crop)
        if self.transfer is not None:
            check_word("transfer", self.transfer, TransferName)
        if self.rate is not None:
            object.__setattr__(self, "rate", parse_rate(self.rate))
        start, end = self.times
        if end is not None and end <= start:
            raise OptionError(
                f"the end {self.end} is not after the start {self.start or 0}",
                "both are counted from the video's first frame",
            )
        for name, time in (("start", self.start and start), ("end", end)):
            object.__setattr__(self, name, time)  # text is parsed once

    @property
    def times(self) -> tuple[Fraction, Fraction | None]:
        """``start`` and ``end`` in seconds."""
        return parse_time(self.start or "0"), None if self.end is None else parse_time(self.end)

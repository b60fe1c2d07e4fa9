"""What a user can set, as frozen dataclasses: command line, library and TOML read them here.

This module imports neither torch nor av, so that ``--help`` is quick.
"""

import math
import re
from dataclasses import dataclass, fields, is_dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, get_args

from ciaovideo.config import check_word, opt
from ciaovideo.errors import OptionError, UnsupportedScaleError
from ciaovideo.notation import (
    check_shape,
    fitting_sides,
    nearest_side,
    parse_box,
    parse_rate,
    parse_size,
    parse_time,
)

MAX_SCALE = 30.0  # beyond it no published network of this family was ever measured

Precision = Literal["auto", "fp32", "bf16", "fp16"]
Deinterlace = Literal["auto", "field", "off"]
Telecine = Literal["auto", "off"]
Chroma = Literal["auto", "420", "422", "444"]
Dithering = Literal["none", "ordered"]
SoundPolicy = Literal["copy", "auto"]
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
BIT_DEPTHS = (8, 10, 12, 14, 16)
CROP_AUTO = "auto"  # removes the bars and noise that a scan of the whole file finds
CROP_SOURCE = "source"  # the crop that the container of the input states
PIPE = Path("-")  # in place of a file: standard input or output, as YUV4MPEG2


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeOptions:
    """Output size. Give one of these; without any, the scale is 2."""

    scale: float | None = opt(None, "output side over input side, any number from 1 to 30", "S")
    size: str | None = opt(None, "exact output size, for example 1920x1080", "WxH")
    width: int | None = opt(None, "output width; the height follows", "PX")
    height: int | None = opt(None, "output height; the width follows", "PX")
    square_pixels: bool = opt(
        False, "resample to square pixels; sizes then follow the picture's shape on screen"
    )

    pad: str | None = opt(
        None,
        "add black around the enlarged picture up to this size, the picture in the middle; without"
        " another size the picture is as large as fits",
        "WxH",
    )

    def __post_init__(self) -> None:
        names = ("scale", "size", "width", "height")
        given = [name for name in names if getattr(self, name) is not None]
        if len(given) > 1:
            raise OptionError(f"{' and '.join(given)} contradict each other", "give only one")
        if self.scale is not None and not -math.inf < self.scale < math.inf:
            raise OptionError(f"scale must be finite, got {self.scale}", "for example 2.5")
        for text in (self.size, self.pad):
            if text is not None:
                parse_size(text)

    def padded(self, picture: tuple[int, int]) -> tuple[int, int]:
        """The output's (height, width) for a picture's; OptionError where that is larger."""
        if self.pad is None:
            return picture
        height, width = parse_size(self.pad)
        if picture[0] > height or picture[1] > width:
            raise OptionError(
                f"the picture of {picture[1]}x{picture[0]} does not fit into {self.pad}",
                "pad to a larger size, or leave the picture's size out",
            )
        return height, width

    def resolve(
        self,
        height: int,
        width: int,
        *,
        even: bool | tuple[bool, bool] = False,
        sar: Fraction | None = None,
    ) -> tuple[int, int]:
        """The exact output (height, width) for an input of this height and width.

        ``even`` rounds what was derived (not what was asked for exactly) to even sides, or to an
        even (height, width), as encoders want them for 4:2:0. ``sar``, the input's sample aspect
        ratio, counts only for square pixels: there a scale is that of the smallest square-pixel
        picture that has all of the input's rows and columns. Raises UnsupportedScaleError outside
        1 to 30 times the input, and OptionError for a size that would distort the picture.
        """
        stretch = sar if self.square_pixels and sar else Fraction(1)
        shape = height / min(stretch, Fraction(1)), width * max(stretch, Fraction(1))
        pair = (even, even) if isinstance(even, bool) else even
        target = self._target(shape, (height, width), pair)
        if self.square_pixels and self.size is not None:
            check_shape(target, shape)
        for name, new, old in (("height", target[0], height), ("width", target[1], width)):
            if new < old:
                raise UnsupportedScaleError(
                    f"the output {name} {new} is below the input's {old}",
                    "ask for a size at or above the input's",
                )
            if new > old * MAX_SCALE:
                raise UnsupportedScaleError(
                    f"the output {name} {new} is more than {MAX_SCALE:g} times the input's {old}",
                    f"ask for at most {int(old * MAX_SCALE)}",
                )
        return target

    def _target(
        self, shape: tuple[Fraction, Fraction], least: tuple[int, int], even: tuple[bool, bool]
    ) -> tuple[int, int]:
        """The output's sides from the input's on screen; ``least`` are those of its samples."""
        height, width = shape
        if self.size is not None:
            return parse_size(self.size)
        if self.width is not None:
            return nearest_side(height * self.width / width, least[0], even[0]), self.width
        if self.height is not None:
            return self.height, nearest_side(width * self.height / height, least[1], even[1])
        if self.pad is not None and self.scale is None:
            return fitting_sides(shape, parse_size(self.pad), even)
        scale = 2.0 if self.scale is None else self.scale
        if not 1 <= scale <= MAX_SCALE:
            raise UnsupportedScaleError(
                f"scale {scale} is outside 1 to {MAX_SCALE:g}",
                "to make a picture smaller, use a resizer"
                if scale < 1
                else f"ask for at most {MAX_SCALE:g}",
            )
        return (
            nearest_side(height * scale, least[0], even[0]),
            nearest_side(width * scale, least[1], even[1]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class InputOptions:
    """Input. How the file is read."""

    deinterlace: Deinterlace = opt(
        "auto",
        "interlaced video: auto makes one frame of two fields, field makes one of each (twice the"
        " frame rate), off refuses it",
    )
    telecine: Telecine = opt(
        "auto",
        "film that was stretched to video's 30000/1001 frames a second (hard telecine): auto"
        " recognises it and brings back its frames, off takes it for interlaced video",
    )
    force: bool = opt(
        False,
        "allow what is refused otherwise: interlaced frames unchanged, where deinterlacing is off;"
        " varying frame times at a constant rate, in -, .y4m, .mxf and .avi; Dolby Vision profile 5"
        " read as Y'CbCr",
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
        "cut the sides off before enlarging: WxH+X+Y keeps a box of that size, X from the left and"
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """Network. Which weights make the picture."""

    model: str = opt(
        "auto",
        "name of bundled weights, or auto for the best on this device; bicubic and lanczos use no"
        " network, for comparison",
        "NAME",
    )
    weights: Path | None = opt(None, "a file of weights instead of bundled ones", "FILE")
    restore: float | Literal["auto"] = opt(
        "auto",
        "0 enlarges faithfully, 0.5 also removes codec artefacts, 1 repairs worn film and tape; any"
        " number between. auto: 0 to 0.5, by the video's quantiser",
        "R",
    )

    def __post_init__(self) -> None:
        if self.restore != "auto" and not 0 <= self.restore <= 1:
            raise OptionError(f"restore {self.restore} is outside 0 to 1", "1 restores most")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """Computing. Where and how the network runs; the picture does not depend on tile or batch."""

    device: str = opt("auto", "auto, cpu, cuda, cuda:N or mps", "DEV")
    precision: Precision = opt("auto", "arithmetic of the network: auto, fp32, bf16 or fp16")
    tile: int = opt(0, "side of the tiles that a frame is computed in; 0 fits them to memory", "PX")
    batch: int = opt(0, "frames computed at once; 0 chooses by device and frame size", "N")
    deterministic: bool = opt(
        False,
        "the same bits in every run on one machine: kernels sum in a fixed order, and tiles are 512"
        " px, or the given side, regardless of free memory",
    )
    consistent: bool = opt(
        False,
        "correct pictures so that, reduced again by anti-aliased bicubic, they equal the source to"
        " 1/40 of a step of 8 bits, before they are rounded; its noise and blocks stay",
    )

    def __post_init__(self) -> None:
        check_word("precision", self.precision, Precision)
        for name in ("tile", "batch"):
            if getattr(self, name) < 0:
                raise OptionError(f"{name} {getattr(self, name)} is negative", "0 means automatic")
        if not re.fullmatch(r"auto|cpu|mps|cuda(:[0-9]{1,3})?", self.device):
            raise OptionError(
                f"no device is called {self.device!r}", "auto, cpu, cuda, cuda:N or mps"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeOptions:
    """Encoding. How the result is written."""

    codec: str = opt("auto", "video encoder; auto goes by container and source", "NAME")
    crf: float | None = opt(
        None,
        "quality, lower is better, 16 if not given, on libx264's scale for every lossy encoder."
        " libx264 16, 20, 24, 28 equal libx265 17.2, 21.4, 25.5, 29.4 and libsvtav1 20, 29, 39, 49"
        " on their own scales; for those, set the encoder's option crf (nvenc: cq). ffv1 and"
        " utvideo are lossless",
        "Q",
    )
    preset: str | None = opt(
        None, "the encoder's speed preset; for prores_ks and dnxhd the profile", "NAME"
    )
    bit_depth: int | None = opt(None, "bits per sample: 8, 10, 12, 14 or 16 (the source's)", "N")
    chroma: Chroma = opt(
        "auto", "chroma subsampling; auto keeps the source's, or takes a finer one"
    )
    dither: Dithering = opt(
        "none",
        "rounding of colours: none rounds to the nearest code, ordered adds a fine pattern first,"
        " the same in every frame, against banding",
    )
    codec_option: tuple[str, ...] = opt(
        (), "an encoder option by FFmpeg's name; may be repeated", "NAME=VALUE"
    )
    via_ffmpeg: str | None = opt(
        None,
        "encode with the system's ffmpeg (5 or later) and these options, for example"
        ' "-c:v libaom-av1 -crf 20"; other streams, times and tags are added',
        "WORDS",
    )

    def __post_init__(self) -> None:
        if self.crf is not None and not math.isfinite(self.crf):
            raise OptionError(f"crf must be finite, got {self.crf}", "for example 18")
        if self.bit_depth is not None and self.bit_depth not in BIT_DEPTHS:
            raise OptionError(f"unsupported bit depth {self.bit_depth}", "use 8, 10, 12, 14 or 16")
        check_word("chroma", self.chroma, Chroma)
        check_word("dithering", self.dither, Dithering)
        for word in self.codec_option:
            if not re.fullmatch(r"[^=\s]+=.*", word):
                raise OptionError(f"{word!r} is not NAME=VALUE", "for example tune=film")
        if self.via_ffmpeg is not None:
            self.check_no_encoder("a system ffmpeg", "put it into the options for ffmpeg")

    def check_no_encoder(self, place: str, hint: str) -> None:
        """Raise OptionError if an option is set that only PyAV's encoders know."""
        given = [name for name in ("crf", "preset") if getattr(self, name) is not None]
        given += ["codec"] if self.codec != "auto" else []
        given += ["codec option"] if self.codec_option else []
        if given:
            raise OptionError(f"{given[0]} does not apply to {place}", hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions:
    """Keeping. How losses and guesses are handled, and which tags are written."""

    audio: SoundPolicy = opt(
        "copy", "sound that the output cannot hold: copy refuses it, auto transcodes it"
    )
    strict: bool = opt(
        False,
        "refuse to start if anything would be lost or guessed, and stop at a damaged picture",
    )
    tag_guessed: bool = opt(False, "write guessed colour tags into the output")
    tags: bool = opt(True, "record in the tags of a resumable run's output how it was made")

    def __post_init__(self) -> None:
        if self.audio not in get_args(SoundPolicy):
            raise OptionError(f"audio cannot be {self.audio!r}", ", ".join(get_args(SoundPolicy)))


@dataclass(frozen=True, slots=True, kw_only=True)
class UpscaleOptions:
    """Run. Everything that shapes one run from one file to another."""

    size: SizeOptions = SizeOptions()
    input: InputOptions = InputOptions()
    model: ModelOptions = ModelOptions()
    engine: EngineOptions = EngineOptions()
    encode: EncodeOptions = EncodeOptions()
    streams: StreamOptions = StreamOptions()
    frames: int | None = opt(None, "stop after this many frames", "N")
    overwrite: bool = opt(False, "replace an output that is already there")
    resume: bool = opt(
        False,
        "keep finished segments beside the output until it is complete. The same command resumes a"
        " stopped run, with the same bits on one machine. Implies deterministic, and a key frame"
        " every 120 frames",
    )
    segment: int | None = opt(None, "frames of a segment that is kept, 120 if not given", "N")

    def __post_init__(self) -> None:
        if self.frames is not None and self.frames < 1:
            raise OptionError(f"frames {self.frames} is below 1", "ask for at least one frame")
        if self.segment is not None and self.segment < 2:
            raise OptionError(f"segment {self.segment} is below 2", "for example 120")


def option_groups() -> dict[str, type[Any]]:
    """The groups of ``UpscaleOptions`` by the name of their field, in order."""
    groups = (field for field in fields(UpscaleOptions) if is_dataclass(field.default))
    return {field.name: type(field.default) for field in groups}

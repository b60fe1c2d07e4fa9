"""What a user can set, as frozen dataclasses: command line, library and TOML read them here.

This module imports neither torch nor av, so that ``--help`` is quick.
"""

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, get_args

from ciaovideo.config import opt
from ciaovideo.errors import OptionError, UnsupportedScaleError

MAX_SCALE = 30.0  # beyond it no published network of this family was ever measured

Precision = Literal["auto", "fp32", "bf16", "fp16"]
Deinterlace = Literal["auto", "field", "off"]
Chroma = Literal["auto", "420", "422", "444"]
Dithering = Literal["none", "ordered"]
SoundPolicy = Literal["copy", "auto"]
BIT_DEPTHS = (8, 10, 12, 14, 16)
CROP_AUTO = "auto"  # what a look at the whole file finds to be no picture
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
        False, "make pixels square; a size then counts from the picture's shape on screen"
    )

    def __post_init__(self) -> None:
        names = ("scale", "size", "width", "height")
        given = [name for name in names if getattr(self, name) is not None]
        if len(given) > 1:
            raise OptionError(f"{' and '.join(given)} contradict each other", "give only one")
        if self.scale is not None and not -math.inf < self.scale < math.inf:
            raise OptionError(f"scale {self.scale} is not a number", "for example 2.5")
        if self.size is not None:
            parse_size(self.size)

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
            _check_shape(target, shape)
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
            return _nearest(height * self.width / width, least[0], even[0]), self.width
        if self.height is not None:
            return self.height, _nearest(width * self.height / height, least[1], even[1])
        scale = 2.0 if self.scale is None else self.scale
        if not 1 <= scale <= MAX_SCALE:
            raise UnsupportedScaleError(
                f"scale {scale} is outside 1 to {MAX_SCALE:g}",
                "to make a picture smaller, use a resizer"
                if scale < 1
                else f"ask for at most {MAX_SCALE:g}",
            )
        return (
            _nearest(height * scale, least[0], even[0]),
            _nearest(width * scale, least[1], even[1]),
        )


def _check_shape(target: tuple[int, int], shape: tuple[Fraction, Fraction]) -> None:
    """Refuse sides that are further from a shape than rounding each to an even number explains."""
    fitting = round(shape[1] * target[0] / shape[0])
    if abs(fitting - target[1]) > 1 + fitting / target[0]:
        raise OptionError(
            f"{target[1]}x{target[0]} of square pixels would distort the picture",
            f"{fitting}x{target[0]} would not; with only a height, the width follows",
        )


def parse_size(text: str) -> tuple[int, int]:
    """``"WIDTHxHEIGHT"`` as (height, width); raises OptionError for anything else."""
    match = re.fullmatch(r"([1-9][0-9]{0,5})[xX]([1-9][0-9]{0,5})", text)
    if match is None:
        raise OptionError(f"{text!r} is not a size", "write WIDTHxHEIGHT, for example 1920x1080")
    return int(match[2]), int(match[1])


def parse_box(text: str) -> tuple[int, int, int, int]:
    """``"WIDTHxHEIGHT+LEFT+TOP"`` as (width, height, left, top); OptionError for anything else."""
    side, place = r"([1-9][0-9]{0,5})", r"\+([0-9]{1,6})"
    match = re.fullmatch(f"{side}[xX]{side}{place}{place}", text)
    if match is None:
        raise OptionError(
            f"{text!r} is not a crop", "write WIDTHxHEIGHT+LEFT+TOP, such as 704x464+8+8, or auto"
        )
    width, height, left, top = map(int, match.groups())
    return width, height, left, top


def parse_time(text: str | Fraction) -> Fraction:
    """Seconds, exactly, from a time as people write it: 90, 90.25, 1:30.25 or 0:01:30.25."""
    if isinstance(text, Fraction):
        return text
    match = re.fullmatch(
        r"(?:(?:([0-9]{1,6}):)?([0-9]{1,6}):)?([0-9]{1,9}(?:\.[0-9]{1,18})?)", text
    )
    hint = "seconds such as 90.25, or [HH:]MM:SS[.FRACTION] such as 1:30.25"
    if match is None:
        raise OptionError(f"{text!r} is not a time", hint)
    hours, minutes = (int(part or 0) for part in match.groups()[:2])
    seconds = Fraction(match[3])
    if (match[1] is not None and minutes >= 60) or (match[2] is not None and seconds >= 60):
        raise OptionError(f"{text!r} is not a time: 60 minutes or seconds are one more", hint)
    return 3600 * hours + 60 * minutes + seconds


def _nearest(side: Fraction | float, least: int, even: bool) -> int:
    """Round to a whole number of pixels, halves to even as the papers' code does.

    To an even number if asked, though never from at or above ``least`` to below it.
    """
    if not even:
        return round(side)
    nearest = 2 * round(side / 2)
    return nearest + 2 if nearest < least <= round(side) else nearest


@dataclass(frozen=True, slots=True, kw_only=True)
class InputOptions:
    """Input. How the file is read."""

    deinterlace: Deinterlace = opt(
        "auto",
        "interlaced frames: auto makes each one whole, field makes a frame of every field (twice"
        " the frame rate), off refuses them",
    )
    force: bool = opt(
        False,
        "process interlaced frames unchanged where deinterlacing is off. Write frames of varying"
        " times at a constant rate into -, .y4m and .mxf, which hold no other. Take the samples of"
        " Dolby Vision profile 5 for Y'CbCr",
    )
    video: int | None = opt(
        None,
        "enlarge this stream of the file, by the number that messages give it; without it, the one"
        " with many and large pictures",
        "N",
    )
    program: int | None = opt(
        None,
        "take this programme of a multiplex, by its own number; without it, the one of the video."
        " Streams of others are left out",
        "N",
    )
    crop: str | None = opt(
        None,
        "cut pixels off at the sides before enlarging: WxH+X+Y keeps a box of that size, X from the"
        " left and Y from the top. auto looks for black bars and the head-switching noise of tapes"
        " in the whole file. source takes the crop that the input's container states, which"
        " otherwise goes along, scaled, where the output can state it",
        "WxH+X+Y|auto|source",
    )
    start: Fraction | str | None = opt(
        None,
        "begin with the first frame that appears at this time or later, in seconds or"
        " [HH:]MM:SS[.FRACTION] counted from the video's first frame; that frame then comes at"
        " zero (in Matroska where the sound under it begins), and all else is moved as much: sound"
        " in whole packets, subtitles and chapters cut",
        "TIME",
    )
    end: Fraction | str | None = opt(
        None,
        "leave out the frames that appear at this time or later; the last one stays for as long as"
        " in the input",
        "TIME",
    )

    def __post_init__(self) -> None:
        if self.deinterlace not in get_args(Deinterlace):
            raise OptionError(
                f"no deinterlacing is called {self.deinterlace!r}", ", ".join(get_args(Deinterlace))
            )
        if self.crop not in (None, CROP_SOURCE, CROP_AUTO):
            parse_box(self.crop)
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
        "name of bundled weights, or auto for the best on this device; bicubic and lanczos do"
        " without a network, to compare with",
        "NAME",
    )
    weights: Path | None = opt(None, "a file of weights instead of bundled ones", "FILE")
    restore: float | Literal["auto"] = opt(
        "auto",
        "0 enlarges faithfully, 0.5 also takes away what codecs add, 1 repairs worn film and tape;"
        " any number between. auto: 0 to 0.5, by how coarsely the video was quantised",
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
    tile: int = opt(0, "side of the tiles that a frame is cut into; 0 fits it to memory", "PX")
    batch: int = opt(0, "frames computed at once; 0 chooses by device and frame size", "N")
    deterministic: bool = opt(
        False,
        "the same bits in every run on one machine: kernels that add up in one order, and tiles of"
        " 512 px, or of the side given, whatever memory is free",
    )

    def __post_init__(self) -> None:
        if self.precision not in get_args(Precision):
            raise OptionError(
                f"no precision is called {self.precision!r}", ", ".join(get_args(Precision))
            )
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
        "quality, lower is better, 16 if not given: the scale of libx264 for every lossy encoder;"
        " libx264 16, 20, 24, 28 is as good as libx265 17.2, 21.4, 25.5, 29.4 or"
        " libsvtav1 20, 29, 39, 49 on their own scales, which are reached by crf (of nvenc: cq) as"
        " an option of the encoder; ffv1 and utvideo are lossless",
        "Q",
    )
    preset: str | None = opt(
        None, "speed preset of the encoder; of prores_ks and dnxhd the profile", "NAME"
    )
    bit_depth: int | None = opt(None, "bits a sample: 8, 10, 12, 14 or 16 (the source's)", "N")
    chroma: Chroma = opt("auto", "chroma resolution; auto keeps the source's, or takes a finer one")
    dither: Dithering = opt(
        "none",
        "how colours become whole codes: none takes the nearest, ordered adds a fine pattern first,"
        " the same in every frame, that hides the bands of slow gradients",
    )
    codec_option: tuple[str, ...] = opt(
        (), "an option of the encoder by FFmpeg's name; may be given several times", "NAME=VALUE"
    )
    via_ffmpeg: str | None = opt(
        None,
        "encode with the ffmpeg of this system, version 5 or later, given these words, for example"
        ' "-c:v libaom-av1 -crf 20"; other streams, times and tags are seen to',
        "WORDS",
    )

    def __post_init__(self) -> None:
        if self.crf is not None and not math.isfinite(self.crf):
            raise OptionError(f"crf {self.crf} is not a number", "for example 18")
        if self.bit_depth is not None and self.bit_depth not in BIT_DEPTHS:
            raise OptionError(f"no video has {self.bit_depth} bits a sample", "8, 10, 12, 14 or 16")
        if self.chroma not in get_args(Chroma):
            raise OptionError(f"no chroma is called {self.chroma!r}", ", ".join(get_args(Chroma)))
        if self.dither not in get_args(Dithering):
            raise OptionError(
                f"no dithering is called {self.dither!r}", ", ".join(get_args(Dithering))
            )
        for word in self.codec_option:
            if not re.fullmatch(r"[^=\s]+=.*", word):
                raise OptionError(f"{word!r} is not NAME=VALUE", "for example tune=film")
        if self.via_ffmpeg is not None:
            self.check_no_encoder("an ffmpeg of the system", "say it in the words for ffmpeg")

    def check_no_encoder(self, place: str, hint: str) -> None:
        """Raise OptionError if anything is set that only our own encoders understand."""
        given = [name for name in ("crf", "preset") if getattr(self, name) is not None]
        given += ["codec"] if self.codec != "auto" else []
        given += ["codec option"] if self.codec_option else []
        if given:
            raise OptionError(f"{given[0]} means nothing to {place}", hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions:
    """Keeping. What happens to that which the output cannot hold, or which had to be guessed."""

    audio: SoundPolicy = opt(
        "copy", "sound that the output cannot hold: copy makes it an error, auto transcodes it"
    )
    strict: bool = opt(
        False,
        "refuse to start if anything would be lost or guessed. Stop at a damaged picture",
    )
    tag_guessed: bool = opt(False, "write guessed colour tags into the output")

    def __post_init__(self) -> None:
        if self.audio not in get_args(SoundPolicy):
            raise OptionError(f"audio cannot be {self.audio!r}", ", ".join(get_args(SoundPolicy)))


@dataclass(frozen=True, slots=True, kw_only=True)
class UpscaleOptions:
    """Run. Everything that shapes one run from one file to another."""

    size: SizeOptions = SizeOptions()
    model: ModelOptions = ModelOptions()
    engine: EngineOptions = EngineOptions()
    input: InputOptions = InputOptions()
    encode: EncodeOptions = EncodeOptions()
    streams: StreamOptions = StreamOptions()
    frames: int | None = opt(None, "stop after this many frames", "N")
    overwrite: bool = opt(False, "replace an output that is already there")
    resume: bool = opt(
        False,
        "keep finished segments beside the output until that is complete. The same command resumes"
        " a stopped run. On one machine the output is identical to the last bit. Implies"
        " deterministic, and one key frame every 120 frames",
    )

    def __post_init__(self) -> None:
        if self.frames is not None and self.frames < 1:
            raise OptionError(f"frames {self.frames} is below 1", "ask for at least one frame")

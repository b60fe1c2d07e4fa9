"""A system ffmpeg as the encoder: it gets raw frames, the user's words, and the source's streams.

Frames go to its standard input as NUT, written by PyAV: of what ffmpeg reads from a pipe, NUT alone
holds every layout and any time base (Matroska counts milliseconds and refuses most layouts,
YUV4MPEG2 has one rate). NUT stores neither colour tags nor, through PyAV, the sample aspect ratio:
these go in as options before the input and as a filter before the user's own. Times come out as
they went in by ``-copyts``, ``-fps_mode passthrough`` and ``-enc_time_base``.

Which streams go along, and what they become, is the same ``StreamPlan`` as ever
(``streams``). The words may say anything of the coding of the video and of the container,
and nothing of what the run decides: inputs, streams, times (``DECIDED``). ``writer`` runs
what is put together here.
"""

import importlib
import math
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from ciaovideo.color import ColorSpec
from ciaovideo.errors import OptionError
from ciaovideo.findings import Finding
from ciaovideo.media.ffmpeg.streams import OtherStreams
from ciaovideo.media.write.encoder import MAX_SAR_SIDE, VideoTarget
from ciaovideo.media.write.y4m import color_words

LEAST_VERSION = (57, 0)  # of libavutil, in FFmpeg 5.0
FPS_MODE_SINCE = (57, 28)  # FFmpeg 5.1; before, the option has another name
DISPLAY_ROTATION_SINCE = (58, 0)  # FFmpeg 6.0; before, nothing turns the picture
FILTERS = ("vf", "filter", "filter:v", "filter:v:0")
# What the run decides; stream specifiers are cut off but for those in VIDEO.
DECIDED = re.compile(
    r"i|f|y|n|map(_metadata|_chapters)?|c|codec|[asd]codec|af|[avsd]n|t|to|ss|sseof|v?frames|r|vsync"
    r"|fps_mode|copyts|shortest|fs|its(offset|scale)|attach|filter(_complex)?|enc_time_base|lavfi"
)
VIDEO = {"c:v", "codec:v", "c:v:0", "codec:v:0"}
SOURCE = "<source>"  # in place of its name
WORDS_HINT = "write options and values, for example -c:v libaom-av1 -crf 20"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalEncoder:
    """A system ffmpeg and the user's words for it, as options with their values.

    ``version`` is libavutil's. ``pix_fmt`` and ``color`` are what a trial got back, ``findings``
    what it changed and lost; all empty before.
    """

    program: str
    version: tuple[int, int]
    options: tuple[tuple[str, str | None], ...]
    filters: str = ""
    pix_fmt: str = ""
    color: ColorSpec = ColorSpec()
    findings: tuple[Finding, ...] = ()


def find_encoder(words: str) -> ExternalEncoder:
    """The ffmpeg of this system with these words.

    Raises OptionError for words that cannot be meant, and where ffmpeg or ffmpeg-python is missing
    or ffmpeg is older than version 5.
    """
    options = _parse(words)
    filters = ",".join(value for name, value in options if name in FILTERS and value)
    _builder()
    program = shutil.which("ffmpeg")
    if program is None:
        raise OptionError("there is no ffmpeg on this system", "install ffmpeg 5 or later")
    said = subprocess.run([program, "-version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"libavutil\s+(\d+)\.\s*(\d+)", said)
    version = (int(found[1]), int(found[2])) if found else (0, 0)
    if version < LEAST_VERSION:
        name = said.partition("Copyright")[0].strip() or "it does not say its version"
        raise OptionError(f"{program} is too old ({name})", "install ffmpeg 5 or later")
    return ExternalEncoder(
        program=program,
        version=version,
        options=tuple(option for option in options if option[0] not in FILTERS),
        filters=filters,
    )


def _parse(words: str) -> tuple[tuple[str, str | None], ...]:
    """Options with their values; raises OptionError for what is none, or is not the user's."""
    try:
        left = shlex.split(words)
    except ValueError as cause:
        raise OptionError(f"{words!r} are not words for ffmpeg: {cause}", WORDS_HINT) from cause
    found: list[tuple[str, str | None]] = []
    while left:
        word = left.pop(0)
        if not re.match(r"-[A-Za-z]", word):
            raise OptionError(f"{word!r} is not an option of ffmpeg", WORDS_HINT)
        name = word[1:]
        if name not in (*VIDEO, *FILTERS) and DECIDED.fullmatch(name.partition(":")[0]):
            raise OptionError(
                f"{word} is decided by the run, not by the words for ffmpeg",
                "leave it out; other streams, times and the container are seen to",
            )
        value = left.pop(0) if left and not re.match(r"-[A-Za-z]", left[0]) else None
        found.append((name, value))
    return tuple(found)


def _builder() -> Any:
    """The module of ffmpeg-python, which has no types."""
    try:
        module = importlib.import_module("ffmpeg")
    except ImportError:
        module = None
    if not hasattr(module, "get_args"):  # another package goes by this name, too
        raise OptionError(
            "encoding by an ffmpeg of the system needs the package ffmpeg-python",
            "pip install 'ciaovideo[ffmpeg]'",
        )
    return module


def command(
    encoder: ExternalEncoder, target: VideoTarget, path: Path, others: OtherStreams
) -> list[str]:
    """The whole command line. The user's words win over ours, but for streams that are copied."""
    ffmpeg = _builder()
    tags = color_words(target.color)
    frames = ffmpeg.input(
        "pipe:0",
        format="nut",
        **{name[1:]: value for name, value in zip(tags[::2], tags[1::2], strict=True)},
        **_turning(encoder, target),
    )
    place = len(others.early)  # of the video among the output's streams
    # ffmpeg-python computes with names as UTF-8, which not every name is: it gets others.
    given = ffmpeg.input(SOURCE, itsoffset=others.read_offset)
    made = ffmpeg.output(
        *(given[str(index)] for index in others.early),
        frames["0"],
        *(given[str(index)] for index in others.late),
        "made",
        format=target.encoding.container.name,
        **{f"enc_time_base:{place}": _ratio(target.time_base), **_passing(encoder, place)},
    )
    args = [others.source if word == SOURCE else word for word in made.get_args()[:-1]]
    own = [word for name, value in encoder.options for word in (f"-{name}", value) if word]
    chain = ",".join(filter(None, (_shape(target), encoder.filters)))
    own += [f"-filter:{place}", chain] if chain else []
    first = [encoder.program, "-v", "error", "-nostdin", "-y", "-copyts"]
    own += ["-avoid_negative_ts", "disabled"]
    return [
        *first,
        *others.with_chapters(args),
        *others.words,
        *own,
        *others.codecs,
        f"file:{path}",
    ]


def _ratio(tick: Fraction) -> str:
    return f"{tick.numerator}:{tick.denominator}"


def _passing(encoder: ExternalEncoder, place: int) -> dict[str, str]:
    """The option that leaves all times alone."""
    if encoder.version < FPS_MODE_SINCE:
        return {"vsync": "passthrough"}
    return {f"fps_mode:{place}": "passthrough"}


def _shape(target: VideoTarget) -> str:
    """A filter that says the sample aspect ratio, where there is one to say."""
    sar = target.sar
    return f"setsar=sar={sar.numerator}/{sar.denominator}:max={MAX_SAR_SIDE}" if sar else ""


def _degrees(target: VideoTarget) -> int:
    """How far a player turns the picture clockwise."""
    across, down = target.display_matrix[:2]
    return round(math.degrees(math.atan2(down, across))) % 360


def _turning(encoder: ExternalEncoder, target: VideoTarget) -> dict[str, str | None]:
    """Input options that turn the picture on screen, of an ffmpeg that has them."""
    if not target.display_matrix or encoder.version < DISPLAY_ROTATION_SINCE:
        return {}
    return {"display_rotation": str(-_degrees(target) % 360), "noautorotate": None}

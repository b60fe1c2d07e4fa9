"""The command line of a system ffmpeg: raw frames, the user's options, the source's streams.

PyAV writes the frames to ffmpeg's standard input as NUT. No other format that ffmpeg reads from a
pipe supports every pixel format and any time base: Matroska counts milliseconds and refuses most
pixel formats, YUV4MPEG2 has one rate. NUT stores neither colour tags nor, through PyAV, the sample
aspect ratio: options before the input set the tags, and a filter before the user's own sets the
ratio. ``-copyts``, ``-fps_mode passthrough`` and ``-enc_time_base`` keep the timestamps.

Other streams follow the same ``StreamPlan`` as with any encoder (``streams``). The user's options
may set how the video and the container are written. They may not set what the run decides: inputs,
streams, times (``DECIDED``). ``writer`` runs the command that is built here.
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
FPS_MODE_SINCE = (57, 28)  # FFmpeg 5.1; the option had another name before
DISPLAY_ROTATION_SINCE = (58, 0)  # FFmpeg 6.0; before, no option sets a rotation
FILTERS = ("vf", "filter", "filter:v", "filter:v:0")
# Options that the run sets; matched without stream specifiers, except those in VIDEO.
DECIDED = re.compile(
    r"i|f|y|n|map(_metadata|_chapters)?|c|codec|[asd]codec|af|[avsd]n|t|to|ss|sseof|v?frames|r|vsync"
    r"|fps_mode|copyts|shortest|fs|its(offset|scale)|attach|filter(_complex)?|enc_time_base|lavfi"
)
VIDEO = {"c:v", "codec:v", "c:v:0", "codec:v:0"}
SOURCE = "<source>"  # in place of its name
WORDS_HINT = "write options and values, for example -c:v libaom-av1 -crf 20"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalEncoder:
    """A system ffmpeg and the user's options for it, with their values.

    ``version`` is libavutil's. A trial sets ``pix_fmt`` and ``color``, which it read back, and
    ``findings``, what it changed and lost; all are empty before.
    """

    program: str
    version: tuple[int, int]
    options: tuple[tuple[str, str | None], ...]
    filters: str = ""
    pix_fmt: str = ""
    color: ColorSpec = ColorSpec()
    findings: tuple[Finding, ...] = ()


def find_encoder(words: str) -> ExternalEncoder:
    """The system's ffmpeg with these options.

    Raises OptionError for invalid options, for a missing ffmpeg or ffmpeg-python, and for an ffmpeg
    older than version 5.
    """
    options = _parse(words)
    filters = ",".join(value for name, value in options if name in FILTERS and value)
    _builder()
    program = shutil.which("ffmpeg")
    if program is None:
        raise OptionError("ffmpeg is not installed on this system", "install ffmpeg 5 or later")
    said = subprocess.run([program, "-version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"libavutil\s+(\d+)\.\s*(\d+)", said)
    version = (int(found[1]), int(found[2])) if found else (0, 0)
    if version < LEAST_VERSION:
        name = said.partition("Copyright")[0].strip() or "unknown version"
        raise OptionError(f"{program} is too old ({name})", "install ffmpeg 5 or later")
    return ExternalEncoder(
        program=program,
        version=version,
        options=tuple(option for option in options if option[0] not in FILTERS),
        filters=filters,
    )


def _parse(words: str) -> tuple[tuple[str, str | None], ...]:
    """Options with their values; raises OptionError for invalid ones, and for those of the run."""
    try:
        left = shlex.split(words)
    except ValueError as cause:
        raise OptionError(
            f"{words!r} cannot be split into ffmpeg options: {cause}", WORDS_HINT
        ) from cause
    found: list[tuple[str, str | None]] = []
    while left:
        word = left.pop(0)
        if not re.match(r"-[A-Za-z]", word):
            raise OptionError(f"{word!r} is not an option of ffmpeg", WORDS_HINT)
        name = word[1:]
        if name not in (*VIDEO, *FILTERS) and DECIDED.fullmatch(name.partition(":")[0]):
            raise OptionError(
                f"the run sets ffmpeg's option {word} itself",
                "remove it: other streams, times and the container need no options",
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
    if not hasattr(module, "get_args"):  # another package has this name, too
        raise OptionError(
            "encoding with the system's ffmpeg needs the package ffmpeg-python",
            "pip install 'ciaovideo[ffmpeg]'",
        )
    return module


def command(
    encoder: ExternalEncoder, target: VideoTarget, path: Path, others: OtherStreams
) -> list[str]:
    """The command line. The user's options override ours, except for copied streams."""
    ffmpeg = _builder()
    tags = color_words(target.color)
    frames = ffmpeg.input(
        "pipe:0",
        format="nut",
        **{name[1:]: value for name, value in zip(tags[::2], tags[1::2], strict=True)},
        **_turning(encoder, target),
    )
    place = len(others.early)  # of the video among the output's streams
    # ffmpeg-python encodes names as UTF-8, which some names are not: it gets a placeholder.
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
    """The option that keeps all timestamps."""
    if encoder.version < FPS_MODE_SINCE:
        return {"vsync": "passthrough"}
    return {f"fps_mode:{place}": "passthrough"}


def _shape(target: VideoTarget) -> str:
    """A filter that sets the sample aspect ratio, if there is one."""
    sar = target.sar
    return f"setsar=sar={sar.numerator}/{sar.denominator}:max={MAX_SAR_SIDE}" if sar else ""


def _degrees(target: VideoTarget) -> int:
    """The clockwise rotation that a player applies, in degrees."""
    across, down = target.display_matrix[:2]
    return round(math.degrees(math.atan2(down, across))) % 360


def _turning(encoder: ExternalEncoder, target: VideoTarget) -> dict[str, str | None]:
    """Input options for the rotation on screen, where this ffmpeg has them."""
    if not target.display_matrix or encoder.version < DISPLAY_ROTATION_SINCE:
        return {}
    return {"display_rotation": str(-_degrees(target) % 360), "noautorotate": None}

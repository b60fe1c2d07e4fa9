"""Hints for faults of a source: whole command lines that make a better file of it.

Each is quoted for a shell and writes another file.
"""

import re
import shlex
from collections.abc import Iterable
from pathlib import Path

import av

FULL_RANGE = "-color_range", "pc"  # or FFmpeg 5.1 reads floating-point gray as limited
TO_HDR10 = (  # applies Dolby Vision's metadata; FFmpeg 5.1 needs pictures in Vulkan's memory
    "hwupload,libplacebo=colorspace=bt2020nc:color_primaries=bt2020:color_trc=smpte2084:range=tv"
    ":format=yuv420p10le,hwdownload,format=yuv420p10le"
)


def remuxed(path: Path, *words: str, leaving: int | None = None, then: Iterable[str] = ()) -> str:
    """A complete ffmpeg command that copies a file's streams into another one.

    ``words`` are options for the input, ``then`` those for the output.
    """
    made = path.with_name(f"{path.stem}-fixed.mkv").name
    without = () if leaving is None else ("-map", f"-0:{leaving}")
    kept = ("-map", "0", *without, "-c", "copy", *then)
    return shlex.join(("ffmpeg", *words, "-i", _input_name(path), *kept, made))


def retimed(path: Path | str) -> str:
    """The hint for missing timestamps."""
    return f"generate timestamps first: {remuxed(Path(path), '-fflags', '+genpts')}"


def rejoined(path: Path) -> str:
    """The hint for timestamps that restart: a command that continues each stream's timestamps.

    ffmpeg does that for MPEG-TS already, and the filter changes nothing then.
    """
    on = "if(N,PREV_OUTDTS+if(lt(DTS,PREV_INDTS),DURATION,DTS-PREV_INDTS),DTS)"
    filters = [(f"-bsf:{kind}", f"setts=dts='{on}':pts='PTS-DTS+{on}'") for kind in "vas"]
    words = remuxed(path, "-fflags", "+genpts", then=[w for pair in filters for w in pair])
    return f"make its timestamps continuous first: {words}"


def recoded(path: Path, given: av.VideoFormat) -> str:
    """The hint for an unsupported pixel format: a lossless conversion, if there is one."""
    deep = "16le" if max(part.bits for part in given.components) > 8 else ""
    name = f"yuv444p{deep}" if len(given.components) > 1 else f"gray{deep}"
    if given.is_rgb or given.name.startswith("xyz"):
        name = "gbrp16le" if deep else "bgr0"
    then = "-c:v", "ffv1", "-pix_fmt", name
    if re.search(r"f(16|32)(le|be)$", given.name):
        how = "re-encode it first, which clips what is below 0 or above 1"
        return f"{how}: {remuxed(path, *FULL_RANGE, then=then)}"
    return f"re-encode it losslessly first: {remuxed(path, then=then)}"


def as_hdr10(path: Path, index: int) -> str:
    """A command line that converts a Dolby Vision video to HDR10, as another file.

    FFmpeg 5.1 tags its output as Dolby Vision, too, unless it passes through NUT.
    """
    source = _input_name(path)
    first = ["ffmpeg", "-init_hw_device", "vulkan", "-i", source, "-map", f"0:{index}"]
    first += ["-c:v", "libx265", "-crf", "10", "-vf", TO_HDR10, "-f", "nut", "-"]
    second = ["ffmpeg", "-i", "-", "-i", source, "-map", "0", "-map", "1", "-map", f"-1:{index}"]
    second += ["-map_metadata", "1", "-c", "copy", f"{path.stem}.hdr10.mkv"]
    return f"{shlex.join(first)} | {shlex.join(second)}"


def parted(path: Path, at: int) -> str:
    """How to split a file at a byte where another recording begins: two whole commands."""
    names = [path.with_name(f"{path.stem}-{number}{path.suffix}").name for number in (1, 2)]
    source = f"./{path}" if str(path).startswith("-") else str(path)
    first = shlex.join(("head", "-c", str(at), source)) + f" > {shlex.quote(names[0])}"
    second = shlex.join(("tail", "-c", f"+{at + 1}", source)) + f" > {shlex.quote(names[1])}"
    return f"split it first: {first} && {second}"


def _input_name(path: Path) -> str:
    """The file's name as ffmpeg's ``-i`` takes it: neither a protocol nor an option."""
    name = str(path)
    return f"file:{name}" if ":" in name or name.startswith("-") else name

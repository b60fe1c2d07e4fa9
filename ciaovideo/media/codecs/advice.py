"""Finds alternatives when an encoder refuses the options; each was tried and works.

A fixed hint would go stale when the table of codecs changes, and could name encoders that the
container does not hold.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice, product

from ciaovideo.media.codecs.table import CODECS
from ciaovideo.media.containers import MATROSKA, MP4, Container
from ciaovideo.options import BIT_DEPTHS, Chroma, EncodeOptions

NAMED = 3  # encoders, at most
CHROMAS: tuple[Chroma, ...] = ("auto", "444", "422", "420")  # the least loss first
ELSEWHERE = (MATROSKA, MP4)  # one holds all, the other plays nearly everywhere
LONG_SIDES = (16384, 8192, 4096)  # of pictures that encoders may take where they refuse larger
LAST_RESORT = "convert the video first"
FFV1 = " and choose ffv1"

type Works = Callable[[EncodeOptions, Container], bool]


def advice(options: EncodeOptions, container: Container, depth: int, works: Works) -> str:
    """Hints for an output whose encoder refuses ``depth`` bits or another option.

    ``works`` tests options with a container. An encoder's own settings are not applied to another
    one.
    """
    bare = replace(options, crf=None, preset=None, codec_option=())
    others = [name for name in CODECS if name != options.codec and not name.endswith("_nvenc")]
    if container.bare or options.via_ffmpeg is not None:
        others = []
    held = (name for name in others if name in container.codecs)
    found = list(islice((n for n in held if works(replace(bare, codec=n), container)), NAMED))
    ways = [f"choose {_either(found)}"] if found else []
    less = next((words for words, wish in _less(options, depth) if works(wish, container)), "")
    ways += [less] if less else []
    if not found:
        ways += _elsewhere(bare, container, works)
    return ", or ".join(ways) or LAST_RESORT


def _less(options: EncodeOptions, depth: int) -> Iterator[tuple[str, EncodeOptions]]:
    """Options with other chroma or fewer bits, each with its text."""
    depths = [0, *(bits for bits in reversed(BIT_DEPTHS) if bits < depth)]
    for bits, chroma in product(depths, CHROMAS):
        words = [f"chroma {chroma}"] if chroma != "auto" else []
        words += [f"bit depth {bits}"] if bits else []
        if words:
            wish = replace(options, bit_depth=bits or options.bit_depth)
            wish = wish if chroma == "auto" else replace(wish, chroma=chroma)
            yield f"ask for {' and '.join(words)}", wish


def _elsewhere(bare: EncodeOptions, container: Container, works: Works) -> Iterator[str]:
    """Other containers that work: with their automatic encoder, or with ffv1.

    ``bare`` has no settings of a certain encoder.
    """
    where = "name a file that ends" if container.piped else "end the output's name"
    own = "" if bare.codec == "auto" else " and omit the codec"
    choices = {own: "auto"} if bare.via_ffmpeg is not None else {own: "auto", FFV1: "ffv1"}
    for words, codec in choices.items():
        wish = replace(bare, codec=codec)
        others = [other for other in ELSEWHERE if other is not container]
        ends = [other.suffix for other in others if works(wish, other)]
        if ends:
            yield f"{where} in {_either(ends)}{words}"
            return


def smaller_sizes(height: int, width: int) -> Iterator[tuple[int, int]]:
    """Sizes (height, width) of the same aspect ratio, in decreasing order, with even sides."""
    longest = max(height, width)
    for side in LONG_SIDES:
        if side < longest:
            rows, columns = (max(2, round(n * side / longest / 2) * 2) for n in (height, width))
            yield rows, columns


def _either(names: list[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last

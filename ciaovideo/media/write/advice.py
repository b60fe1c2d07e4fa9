"""What to ask for instead where an encoder refuses: only what was tried and works.

A hint that is written down beforehand goes stale with the table of codecs, and names what the
container at hand does not hold.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice, product
from pathlib import Path

from ciaovideo.media.write.codecs import CODECS, CONTAINERS, Y4M_CONTAINER
from ciaovideo.options import BIT_DEPTHS, Chroma, EncodeOptions
from ciaovideo.storage.endpoints import is_pipe

NAMED = 3  # encoders, at most
CHROMAS: tuple[Chroma, ...] = ("auto", "444", "422", "420")  # the least loss first
SUFFIXES = (".mkv", ".mp4")  # to end a name in: one holds all, the other plays nearly everywhere
FFV1 = " and choose ffv1"

type Works = Callable[[EncodeOptions, Path], bool]


def advice(options: EncodeOptions, output: Path, depth: int, works: Works) -> str:
    """The ways out for an output whose encoder takes no ``depth`` bits, or another wish.

    ``works`` tells whether wishes and an output's name go together. An encoder's own settings are
    not taken over to another one.
    """
    bare = replace(options, crf=None, preset=None, codec_option=())
    container = CONTAINERS.get(output.suffix.lower(), Y4M_CONTAINER)
    others = [name for name in CODECS if name != options.codec and not name.endswith("_nvenc")]
    if container == Y4M_CONTAINER or options.via_ffmpeg is not None:
        others = []
    held = (name for name in others if container in CODECS[name].containers)
    found = list(islice((n for n in held if works(replace(bare, codec=n), output)), NAMED))
    ways = [f"choose {_either(found)}"] if found else []
    less = next((words for words, wish in _less(options, depth) if works(wish, output)), "")
    ways += [less] if less else []
    if not found:
        ways += _elsewhere(options, bare, output, works)
    return ", or ".join(ways) or "convert the video first"


def _less(options: EncodeOptions, depth: int) -> Iterator[tuple[str, EncodeOptions]]:
    """Wishes for coarser or finer chroma, or for fewer bits, in words and as options."""
    depths = [0, *(bits for bits in reversed(BIT_DEPTHS) if bits < depth)]
    for bits, chroma in product(depths, CHROMAS):
        words = [f"chroma {chroma}"] if chroma != "auto" else []
        words += [f"bit depth {bits}"] if bits else []
        if words:
            wish = replace(options, bit_depth=bits or options.bit_depth)
            wish = wish if chroma == "auto" else replace(wish, chroma=chroma)
            yield f"ask for {' and '.join(words)}", wish


def _elsewhere(
    options: EncodeOptions, bare: EncodeOptions, output: Path, works: Works
) -> Iterator[str]:
    """Other containers: with what they take by themselves, else with the encoder that holds all."""
    where = "name a file that ends" if is_pipe(output) else "end the output's name"
    own = "" if options.codec == "auto" else " and leave the codec out"
    choices = {own: "auto"} if options.via_ffmpeg is not None else {own: "auto", FFV1: "ffv1"}
    for words, codec in choices.items():
        wish = replace(bare, codec=codec)
        names = [end for end in SUFFIXES if end != output.suffix.lower()]
        ends = [end for end in names if works(wish, Path(f"out{end}"))]
        if ends:
            yield f"{where} in {_either(ends)}{words}"
            return


def _either(names: list[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last

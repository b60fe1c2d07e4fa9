"""Finds the encoder's pixel layout that is nearest to the source's and the user's options."""

import re
from contextlib import suppress
from dataclasses import dataclass

from ciaovideo.color import PixelLayout
from ciaovideo.errors import OptionError
from ciaovideo.media.codecs.table import Codec
from ciaovideo.options import Chroma

# Finer chroma than each, the nearest first; 4:1:1 fits into 4:2:2, and 4:1:0 into 4:2:0.
WIDER = {
    "410": ("420", "422", "444"),
    "411": ("422", "444"),
    "420": ("422", "444"),
    "422": ("444",),
    "440": ("444",),
}


@dataclass(frozen=True, slots=True)
class LayoutWishes:
    """The user's options for the layout: chroma subsampling, bits per sample (None: unchanged)."""

    chroma: Chroma = "auto"
    bit_depth: int | None = None

    def family_and_depth(self, pix_fmt: str) -> tuple[str, int]:
        """The wanted family and depth for a source's layout, such as ("yuv420p", 10)."""
        family, depth = _split(pix_fmt)
        if self.chroma != "auto":
            if not family.startswith("yuv"):
                what = "R'G'B'" if family.startswith("gbr") else "gray"
                raise OptionError(f"chroma {self.chroma} does not apply to {what}", "leave it out")
            family = f"{family[:-4]}{self.chroma}p"
        return family, self.bit_depth or depth


def fitting_layout(
    codec: Codec, wishes: LayoutWishes, pix_fmt: str, height: int, width: int
) -> str:
    """The layout nearest to the wanted one that the encoder supports at this size.

    Unrequested depth may rise (9 to 10 bits) and unrequested chroma may become finer; neither ever
    falls. Alpha is dropped if the encoder has no such layout with it. Raises
    OptionError where the encoder takes none.
    """
    layout = PixelLayout.of(pix_fmt)
    if layout.alpha:
        with suppress(OptionError):
            return _with_its_alpha(codec, wishes, pix_fmt, height, width)
    return _with_its_alpha(codec, wishes, layout.opaque.name, height, width)


def _with_its_alpha(
    codec: Codec, wishes: LayoutWishes, pix_fmt: str, height: int, width: int
) -> str:
    family, depth = wishes.family_and_depth(pix_fmt)
    if codec.rgb and family.startswith("yuv"):
        family = "gbrap" if family.startswith("yuva") else "gbrp"
    depths = [deeper for deeper in (8, 9, 10, 12, 14, 16) if deeper >= depth]
    families = [family] if wishes.chroma != "auto" else _families(family)
    for candidate in families:
        for deeper in depths[:1] if wishes.bit_depth else depths:
            shallow = "8" if candidate == "ya" else ""
            name = f"{candidate}{shallow if deeper == 8 else f'{deeper}le'}"
            if name not in codec.pix_fmts:
                continue
            y, x = PixelLayout.of(name).log2_chroma
            if not codec.even or (height % 2**y == 0 and width % 2**x == 0):
                return name
    if not any(_split(name)[0] in families for name in codec.pix_fmts):
        what = {"gbrp": "R'G'B'", "gray": "gray"}.get(family, f"chroma {family[3:6]}")
        raise OptionError(f"{codec.name} cannot hold {what}")
    raise OptionError(
        f"{codec.name} cannot hold {depth} bits a sample of {family} at {width}x{height}"
    )


def _split(pix_fmt: str) -> tuple[str, int]:
    """A planar layout's family and depth: "yuv420p10le" gives "yuv420p" and 10."""
    match = re.fullmatch(r"(yuva?4\d\dp|gray|gbra?p|ya)(?:8|(\d+)le)?", pix_fmt)
    if match is None:
        raise OptionError(f"pixel format {pix_fmt} cannot be written", "convert the video first")
    return match[1], int(match[2] or 8)


def _families(family: str) -> list[str]:
    """The family, then those with finer chroma."""
    if not family.startswith("yuv"):
        return [family]
    kind, chroma = family[:-4], family[-4:-1]
    return [family, *(f"{kind}{name}p" for name in WIDER.get(chroma, ()))]


def is_poorer(target: str, source: str) -> bool:
    """Whether a layout has fewer bits, or fewer chroma samples in either direction."""
    new, old = PixelLayout.of(target), PixelLayout.of(source)
    coarser = any(n > o for n, o in zip(new.log2_chroma, old.log2_chroma, strict=True))
    return coarser or new.bit_depth < old.bit_depth

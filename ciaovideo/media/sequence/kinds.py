"""Formats of numbered pictures that can be written, each a row like those of ``CONTAINERS``."""

from ciaovideo.color import Primaries, Transfer
from ciaovideo.media.containers import Clock, ColorNames, Container, Fate


def _untold[T: (Primaries, Transfer)](tags: type[T], *told: str) -> dict[T, T]:
    """Maps all tags except those named to unspecified."""
    return {tag: tags["UNSPECIFIED"] for tag in tags if tag.name not in told}


# DPX has numbers for few tags; LOG is written and read in dpx.py.
DPX_COLORS = ColorNames(
    primaries=_untold(Primaries, "BT709", "BT470BG", "SMPTE170M"),
    transfer=_untold(Transfer, "BT709", "GAMMA28", "SMPTE170M", "LINEAR", "LOG"),
)
PNG_COLORS = ColorNames(primaries={Primaries.SMPTE240M: Primaries.SMPTE170M})
TIFF_COLORS = ColorNames(primaries=_untold(Primaries), transfer=_untold(Transfer))


def _pictures(
    codec: str, suffixes: tuple[str, ...], names: ColorNames, tags: tuple[str, ...] = ()
) -> Container:
    """Numbered pictures of one format; their suffix selects the encoder."""
    dpx = codec == "dpx"
    return Container(
        name="image2",
        suffixes=suffixes,
        title=f"{suffixes[0]} pictures",
        clock=Clock.NUMBERS,
        codecs=frozenset({codec}),
        bare=True,
        numbered_pictures=True,
        streams=False,
        chapters=False,
        metadata=False,
        timecode=dpx,
        stores_rate=dpx,
        held_metadata=("timecode", "reel_name") if dpx else (),
        stored_colors=tags,
        color_names=names,
        rotation=Fate.LOST,
        provenance_keys=(),
    )


# Formats by suffix.
PICTURES = {
    suffix: row
    for row in (
        _pictures("dpx", (".dpx",), DPX_COLORS, ("primaries", "transfer")),
        _pictures("png", (".png",), PNG_COLORS, ("primaries", "transfer")),
        _pictures("tiff", (".tif", ".tiff"), TIFF_COLORS),
    )
    for suffix in row.suffixes
}

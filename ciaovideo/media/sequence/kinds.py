"""Kinds of numbered pictures that can be written, each a row as those of ``CONTAINERS``."""

from ciaovideo.color import Primaries, Transfer
from ciaovideo.media.containers import Clock, Container, Fate, TagNames


def _untold[T: (Primaries, Transfer)](tags: type[T], *told: str) -> dict[T, T]:
    """All tags but those that are told, as unspecified."""
    return {tag: tags["UNSPECIFIED"] for tag in tags if tag.name not in told}


# Of DPX, whose header has numbers for few; LOG is written and read here.
DPX_TAGS = TagNames(
    primaries=_untold(Primaries, "BT709", "BT470BG", "SMPTE170M"),
    transfer=_untold(Transfer, "BT709", "GAMMA28", "SMPTE170M", "LINEAR", "LOG"),
)
PNG_TAGS = TagNames(primaries={Primaries.SMPTE240M: Primaries.SMPTE170M})
TIFF_TAGS = TagNames(primaries=_untold(Primaries), transfer=_untold(Transfer))


def _pictures(
    codec: str, suffixes: tuple[str, ...], names: TagNames, tags: tuple[str, ...] = ()
) -> Container:
    """Numbered pictures of one kind; what their names end in says which encoder makes them."""
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
        held_tags=("timecode", "reel_name") if dpx else (),
        stored_tags=tags,
        tag_names=names,
        rotation=Fate.LOST,
        own_tags=(),
    )


# What a name with a place for a number means, by its end.
PICTURES = {
    suffix: row
    for row in (
        _pictures("dpx", (".dpx",), DPX_TAGS, ("primaries", "transfer")),
        _pictures("png", (".png",), PNG_TAGS, ("primaries", "transfer")),
        _pictures("tiff", (".tif", ".tiff"), TIFF_TAGS),
    )
    for suffix in row.suffixes
}

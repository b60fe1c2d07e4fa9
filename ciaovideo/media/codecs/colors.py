"""Checks which colour tags an encoder and a container store, change or lose."""

from ciaovideo.color import ColorSpec, Matrix, PixelLayout, Primaries, Range, Siting, Transfer
from ciaovideo.errors import ColorError
from ciaovideo.findings import Finding, Kind
from ciaovideo.media.codecs.table import Y4M, Codec, stored_sitings
from ciaovideo.media.containers import Container


def check_colors(codec: Codec, container: Container, pix_fmt: str, tags: ColorSpec) -> None:
    """Refuse incomplete tags in mp4, which stores matrix, primaries and transfer only together.

    Its colour box has no place for fewer, and FFmpeg omits the box then, with the range in it.
    ``tags`` are those to be written. Raises ColorError.
    """
    if codec.stores_color or not container.iso:
        return
    rgb = PixelLayout.of(pix_fmt).family == "rgb"
    names = {"primaries": tags.primaries.name, "transfer": tags.transfer.name}
    names |= {} if rgb else {"matrix": tags.matrix.name}
    missing = [name for name in names if names[name] == "UNSPECIFIED"]
    if missing and (len(missing) < len(names) or (tags.color_range == Range.FULL and not rgb)):
        raise ColorError(
            f"{codec.name} in {container} cannot hold colour tags without {missing[0]}",
            "end the output's name in .mkv",
        )


def check_color(codec: Codec, color: ColorSpec, target: str) -> None:
    """Refuse tags that the encoder would change, as the picture would look different."""
    if not target.startswith("yuv"):
        return
    if codec.matrices and color.matrix not in codec.matrices | {color.matrix.UNSPECIFIED}:
        raise ColorError(f"{codec.name} cannot hold the colour matrix {color.matrix.name}")
    if codec.ranges and color.color_range not in codec.ranges | {color.color_range.UNSPECIFIED}:
        raise ColorError(f"{codec.name} cannot hold {color.color_range.name} range")


def lost_colors(codec: Codec, container: Container, color: ColorSpec, target: str) -> list[Finding]:
    """A finding for each tag of the frames that is not stored."""
    names = () if codec.stores_color else container.color_names.unknown(color)
    losses = [
        lost(f"color {name}", f"{name} {getattr(color, name).name}: {container} cannot hold it")
        for name in names
    ]
    if not codec.stores_primaries:
        tags: tuple[Matrix | Primaries | Transfer, ...] = (color.primaries, color.transfer)
        if codec is Y4M and target.startswith("yuv"):
            tags = (color.matrix, *tags)
        losses += [
            lost(
                f"color {type(tag).__name__.lower()}",
                f"{type(tag).__name__.lower()} {tag.name}: {codec.name} cannot hold it",
            )
            for tag in tags
            if tag not in (Matrix.UNSPECIFIED, Primaries.UNSPECIFIED, Transfer.UNSPECIFIED)
        ]
    if color.primaries in codec.unknown_primaries:
        text = f"primaries {color.primaries.name}: {codec.name} cannot hold it"
        losses.append(lost("color primaries", text))
    return losses


def held_siting(codec: Codec, container: Container, siting: Siting, target: str) -> Siting:
    """The siting to use for a layout: the given one if the output can store it, else left."""
    layout = PixelLayout.of(target)
    told = stored_sitings(codec.sitings, container, layout)
    if not any(layout.log2_chroma):
        return siting
    return next(
        (place for place in (siting, level_siting(siting, target)) if place in told), Siting.LEFT
    )


def level_siting(siting: Siting, target: str) -> Siting:
    """The siting without its vertical part if chroma has full vertical resolution."""
    return siting if PixelLayout.of(target).log2_chroma[0] else siting.level


def lost(subject: str, text: str) -> Finding:
    """A finding that something of the source is not in the output."""
    return Finding(kind=Kind.LOST, subject=subject, text=text)

"""Adds a source's streams to an output: as copies, or converted to another codec."""

from collections.abc import Mapping

from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.stream import AttachmentStream, Disposition, Stream

from ciaovideo.media.containers import CONTAINERS, Container
from ciaovideo.media.streams.languages import held_language
from ciaovideo.media.streams.sound import SoundTranscoder, usual_layout
from ciaovideo.media.streams.text import TextConverter

# Facts about the input's bytes, wrong for the output's.
STALE_KEYS = (
    *("ENCODER", "DURATION", "MAJOR_BRAND", "MINOR_VERSION", "COMPATIBLE_BRANDS"),
    # MXF: the program that wrote it, and identifiers that are unique to each file
    *("UID", "GENERATION_UID", "PRODUCT_UID", "COMPANY_NAME", "PRODUCT_NAME", "PRODUCT_VERSION"),
    *("PRODUCT_VERSION_NUM", "APPLICATION_PLATFORM", "TOOLKIT_VERSION_NUM", "MODIFICATION_DATE"),
    *("MATERIAL_PACKAGE_UMID", "FILE_PACKAGE_UMID", "OPERATIONAL_PATTERN_UL"),
)
HEVC_TAG = "hvc1"  # without it FFmpeg writes hev1, which Apple's players refuse
STALE_PREFIXES = ("_STATISTICS", "BPS", "NUMBER_OF_")


def fresh_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Metadata without the entries that describe the input's own bytes."""
    return {
        key: text
        for key, text in metadata.items()
        if key.upper().partition("-")[0] not in STALE_KEYS
        and not key.upper().startswith(STALE_PREFIXES)
    }


def stream_metadata(metadata: Mapping[str, str], container: Container) -> dict[str, str]:
    """A stream's metadata as for ``fresh_tags``, with the container's language code.

    FFmpeg reads the name of a track in mp4 and mov as ``name``, and writes it from ``title``.
    """
    fresh = fresh_metadata(metadata)
    if "name" in fresh and "title" not in fresh:
        fresh["title"] = fresh.pop("name")
    if held := held_language(container, fresh.get("language", "")):
        fresh["language"] = held
    return fresh


def add_copy(output: OutputContainer, source: Stream, covers: Mapping[int, bytes]) -> Stream | None:
    """Add a copy of ``source`` to a container; None for an attachment, which needs no packets.

    ``covers`` are the coded pictures of cover streams by their index.

    Raises ValueError or FFmpeg's error if the container refuses it.
    """
    container = CONTAINERS[output.format.name]
    metadata = stream_metadata(source.metadata, container)
    if isinstance(source, AttachmentStream):
        name = source.name or metadata.get("filename", "attachment")
        kind = source.mimetype or "application/octet-stream"
        output.add_attachment(name, kind, source.data).metadata.update(metadata)
        return None
    if container.covers_attached and source.disposition & Disposition.attached_pic:
        kind = source.codec_context.codec.canonical_name.replace("mjpeg", "jpeg")
        name = metadata.get("filename", f"cover.{kind.replace('jpeg', 'jpg')}")
        if source.index not in covers:
            raise ValueError(f"stream {source.index} has no picture")
        attached = output.add_attachment(name, f"image/{kind}", covers[source.index])
        attached.metadata.update({"filename": name, **metadata})
        return None
    target = output.add_stream_from_template(source, opaque=True)
    if container.iso and source.type == "video" and source.codec_context.codec_tag == HEVC_TAG:
        target.codec_context.codec_tag = HEVC_TAG
    if isinstance(target, AudioStream):  # mp4 stores PCM with a layout, not a number of channels
        target.codec_context.layout = usual_layout(target.codec_context.layout)
    target.metadata.update(metadata)
    target.disposition = source.disposition
    return target


def add_converted(
    output: OutputContainer, source: Stream, codec: str
) -> TextConverter | SoundTranscoder:
    """Add ``source``, converted to ``codec``, to a container.

    Raises ValueError or FFmpeg's error if the container or the encoder refuses it.
    """
    kind = SoundTranscoder if source.type == "audio" else TextConverter
    converter = kind(output, source, codec)
    metadata = stream_metadata(source.metadata, CONTAINERS[output.format.name])
    converter.target.metadata.update(metadata)
    converter.target.disposition = source.disposition
    return converter

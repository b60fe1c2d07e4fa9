"""The metadata of a file and of its streams, in the form in which it is copied."""

from dataclasses import dataclass
from pathlib import Path

from ciaovideo.errors import OpenError
from ciaovideo.media.av_errors import av_errors
from ciaovideo.media.source.opening import USUAL, Opening, open_source
from ciaovideo.media.streams.targets import fresh_metadata


@dataclass(frozen=True, slots=True)
class FileMetadata:
    """Metadata of a file and of its streams by index, without what describes its own bytes.

    ``marks`` are the streams' dispositions by FFmpeg's names.
    """

    file: dict[str, str]
    streams: dict[int, dict[str, str]]
    marks: dict[int, frozenset[str]]


def read_metadata(path: Path, opening: Opening = USUAL) -> FileMetadata:
    """Read the tags from the header; raises OpenError if the file cannot be read."""
    with av_errors("reading", path, OpenError), open_source(path, opening) as container:
        return FileMetadata(
            file=fresh_metadata(container.metadata),
            streams={s.index: fresh_metadata(s.metadata) for s in container.streams},
            marks={
                s.index: frozenset(
                    bit.name or "" for bit in type(s.disposition) if bit in s.disposition
                )
                for s in container.streams
            },
        )

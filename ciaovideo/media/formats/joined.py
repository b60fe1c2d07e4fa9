"""Recordings that follow each other in one file, of which FFmpeg reads only the first.

Lengths lead from one piece of a file to the next, so that little more than the heads is read.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from ciaovideo.media.formats import ogg
from ciaovideo.media.formats.boxes import box_size

ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
IVF = b"DKIF"
PNG = b"\x89PNG\r\n\x1a\n"
HEAD = 24  # bytes that tell what a piece is, and its length


def second_recording(path: Path, demuxer: str) -> int | None:
    """The byte where another recording begins behind the first one; None if there is none.

    Files whose parts FFmpeg reads all, by this ``demuxer``, have none.
    """
    for name in demuxer.split(","):
        if finder := FINDERS.get(name):
            with suppress(OSError):
                return finder(path)
    return None


def _movie(path: Path) -> int | None:
    """ISO media files: a file type and a movie behind those of the first one.

    FFmpeg reads all fragments, also behind a second movie that has some.
    """
    movie, begins = False, None
    for at, head in _pieces(path, 0, box_size):
        kind = head[4:8]
        if kind == b"moof":
            return None
        if kind == b"ftyp" and movie and begins is None:
            begins = at
        if kind == b"moov":
            if begins is not None:
                return begins
            movie = True
    return None


def _asf(path: Path) -> int | None:
    """ASF: another header object."""
    sizes = _pieces(path, 0, lambda head: int.from_bytes(head[16:24], "little"))
    return next((at for at, head in sizes if at and head.startswith(ASF_HEADER)), None)


def _ivf(path: Path) -> int | None:
    """IVF: another header where a frame would begin."""
    with path.open("rb") as file:
        begin = int.from_bytes(file.read(8)[6:], "little")
    frames = _pieces(path, begin, lambda head: 12 + int.from_bytes(head[:4], "little"))
    return next((at for at, head in frames if head.startswith(IVF)), None)


def _flash(path: Path) -> int | None:
    """FLV: another header where a tag would begin."""
    with path.open("rb") as file:
        begin = 4 + int.from_bytes(file.read(9)[5:])
    tags = _pieces(path, begin, lambda head: 15 + int.from_bytes(head[1:4]))
    return next((at for at, head in tags if head.startswith(b"FLV\x01")), None)


def _png(path: Path) -> int | None:
    """Animated PNG: another signature where a chunk would begin."""
    chunks = _pieces(path, len(PNG), lambda head: 12 + int.from_bytes(head[:4]))
    return next((at for at, head in chunks if head.startswith(PNG)), None)


def _webp(path: Path) -> int | None:
    """WebP: another file in RIFF, whose sizes are rounded to even ones."""
    sizes = _pieces(path, 0, lambda head: 8 + -2 * (int.from_bytes(head[4:8], "little") // -2))
    return next((at for at, head in sizes if at and head.startswith(b"RIFF")), None)


def _pieces(path: Path, at: int, length: Callable[[bytes], int]) -> Iterator[tuple[int, bytes]]:
    """Where each piece of a file begins, and its head, shorter at the end of the file.

    A piece that would reach to the end of the file, or into the one before, is the last.
    """
    with path.open("rb", buffering=0) as file:
        file.seek(at)
        while head := file.read(HEAD):
            yield at, head
            size = length(head)
            if size <= 0:
                return
            at = file.seek(at + size)


FINDERS: Mapping[str, Callable[[Path], int | None]] = {
    "apng": _png,
    "asf": _asf,
    "flv": _flash,
    "ivf": _ivf,
    "mov": _movie,
    "ogg": ogg.second_recording,
    "webp_anim": _webp,
}

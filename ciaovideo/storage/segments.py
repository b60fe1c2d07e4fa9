"""A segment's file: the coded packets of a half-open range of frames, whole or not at all.

Each segment is coded by an encoder of its own, so segments are made apart and joined without
encoding again. The file is written from front to back under a temporary name, as the packets come,
and gets its own name once all of it, with a digest, is on the disk. It states its frames and their
fingerprint itself: there is no index beside it that could be lost or mixed up.
"""

import hashlib
import json
import os
import re
import secrets
import struct
from collections import deque
from collections.abc import Buffer, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self

from ciaovideo.errors import CHECK_DISK, EncodeError, OpenError, StaleLedgerError
from ciaovideo.storage.atomic import sync_folder
from ciaovideo.storage.claims import is_held, try_lock

KIND = b"ciaovideo segment "
MAGIC = KIND + b"3\n"
PACKET, FRAME, END = b"P", b"F", b"E"
HEAD = struct.Struct("<cqqq?I")  # kind, three numbers, key frame, bytes that follow
DIGEST = hashlib.sha256
MAX_HEADER = 1 << 16  # bytes of the line with frame, configuration and fingerprint
SUFFIX, UNFINISHED = ".segment", ".part"
KNOWN = "known.json"  # what was measured for all segments of a folder


@dataclass(frozen=True, slots=True)
class CodedPacket:
    """A packet as the muxer takes it; times in ticks of the video.

    ``data`` may be an encoder's own packet, which is a buffer of bytes.
    """

    data: Buffer
    pts: int
    dts: int
    duration: int
    key: bool


@dataclass(frozen=True, slots=True)
class CodedFrame:
    """A frame given to the encoder; the packets after it came out when it went in."""

    pts: int
    duration: int


type Entry = CodedPacket | CodedFrame


class Tally(NamedTuple):
    """What was computed instead of reused: frames with any new pixel, and pixels."""

    computed: int = 0
    pixels: int = 0


@dataclass(frozen=True, slots=True)
class Segment:
    """A finished segment: frames [start, stop), with their run's ``fingerprint``.

    ``config_digest`` covers the parameters that a file states once for all packets. It is equal in
    all segments of a video.
    """

    path: Path
    start: int
    stop: int
    tally: Tally
    config_digest: str
    fingerprint: Mapping[str, str] = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """The segment in a file, every byte of it checked; None if it is damaged or truncated.

        Raises StaleLedgerError for another version's, OpenError where it cannot be read.
        """
        with _reading(path) as file:
            header = _header(file)
            if header is None:
                return None
            for entry in _entries(file, header):
                if isinstance(entry, _End):
                    return cls(path, header.start, *entry, header.config_digest, header.fingerprint)
        return None

    @property
    def frames(self) -> int:
        """How many frames it holds."""
        return self.stop - self.start

    def entries(self) -> Iterator[Entry]:
        """Its frames and packets in the order in which they came, read as they are asked for.

        Raises StaleLedgerError at the end if they are no longer what was written.
        """
        with _reading(self.path) as file:
            header = _header(file)
            for entry in _entries(file, header) if header else ():
                if isinstance(entry, _End):
                    return
                yield entry
        raise StaleLedgerError(f"{self.path} changed while it was read", "repeat the command")


class NewSegment:
    """A segment in the making, which becomes the file ``path``.

    A context manager: an unfinished segment leaves nothing behind.
    """

    def __init__(
        self, path: Path, start: int, config_digest: str, fingerprint: Mapping[str, str]
    ) -> None:
        self.path, self.start, self.stop = path, start, start
        self._config_digest, self._fingerprint = config_digest, dict(fingerprint)
        # Two workers may make one segment, where the first was given up too early.
        self._part = path.with_name(f"{path.name}.{secrets.token_hex(4)}{UNFINISHED}")
        self._digest = DIGEST()
        with self._writing():
            self._file = self._part.open("xb")
        try_lock(self._file.fileno())  # no other run takes it for a leftover
        try:
            line = json.dumps(
                {"start": start, "config_digest": config_digest, "fingerprint": self._fingerprint}
            )
            self._put(MAGIC + line.encode() + b"\n")
        except BaseException:
            self.discard()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    @property
    def frames(self) -> int:
        """How many frames it holds so far."""
        return self.stop - self.start

    def add(self, *entries: Entry) -> None:
        """Append frames and packets in the order in which they came."""
        for entry in entries:
            if isinstance(entry, CodedFrame):
                self._put(HEAD.pack(FRAME, entry.pts, entry.duration, 0, False, 0))
                self.stop += 1
                continue
            data = memoryview(entry.data)
            times = entry.pts, entry.dts, entry.duration
            self._put(HEAD.pack(PACKET, *times, entry.key, data.nbytes))
            self._put(data)

    def finish(self, tally: Tally) -> Segment:
        """Write its end and sync it: from here on it survives this process and a power cut."""
        self._put(HEAD.pack(END, self.stop, *tally, False, DIGEST().digest_size))
        with self._writing():
            self._file.write(self._digest.digest())
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._part.replace(self.path)
        sync_folder(self.path.parent)  # the name of a file is not in it
        return Segment(
            self.path, self.start, self.stop, tally, self._config_digest, self._fingerprint
        )

    def discard(self) -> None:
        """Drop it, unless it is finished."""
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._part.unlink(missing_ok=True)

    def _put(self, data: Buffer) -> None:
        self._digest.update(data)
        with self._writing():
            self._file.write(data)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as cause:
            raise EncodeError(f"writing {self._part}: {cause.strerror}", CHECK_DISK) from cause


class Joiner:
    """Gives packets of segments the decoding times that a single encoder would have given them.

    Encoders use the frames' times, in order, as decoding times. The first few packets have earlier
    ones, so the times of the others are late by as many packets. Segments come in order, from the
    video's first.
    """

    def __init__(self) -> None:
        self._waiting: deque[int] = deque()  # times of frames, not yet used as decoding times
        self._first: int | None = None
        self._leading = True  # until a packet's decoding time is a frame's time

    def entries(self, segment: Segment) -> Iterator[Entry]:
        """The entries of the next segment."""
        for entry in segment.entries():
            if isinstance(entry, CodedFrame):
                if self._first is None:
                    self._first = entry.pts
                self._waiting.append(entry.pts)
            else:
                self._leading &= self._first is not None and entry.dts < self._first
                if not self._leading:
                    entry = replace(entry, dts=self._waiting.popleft())
            yield entry


def joined(segments: Iterable[Segment]) -> Iterator[Entry]:
    """The entries of a whole video for the muxer, from its segments in order."""
    joiner = Joiner()
    for segment in segments:
        yield from joiner.entries(segment)


class _Header(NamedTuple):
    """The head of a file: first frame, configuration, fingerprint, and the bytes of all that."""

    start: int
    config_digest: str
    fingerprint: dict[str, str]
    raw: bytes


class _End(NamedTuple):
    """The end of a file whose digest matches all before it."""

    stop: int
    tally: Tally


@contextmanager
def _reading(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as cause:
        raise OpenError(
            f"reading {path}: {cause.strerror}",
            "check its disk and permissions, or delete it to start over",
        ) from cause


def _header(file: BinaryIO) -> _Header | None:
    """The header; None where it is damaged. Raises StaleLedgerError for another version's."""
    kind = file.readline(MAX_HEADER)
    if kind != MAGIC:
        if re.fullmatch(KIND + rb"\d+\n", kind):
            raise other_version(Path(file.name))
        return None
    line = file.readline(MAX_HEADER)
    try:
        said = json.loads(line)
        return _Header(said["start"], said["config_digest"], said["fingerprint"], kind + line)
    except (ValueError, KeyError, TypeError):
        return None


def _entries(file: BinaryIO, header: _Header) -> Iterator[Entry | _End]:
    """The entries after the header. The end comes only if the digest matches."""
    digest, size = DIGEST(header.raw), os.fstat(file.fileno()).st_size
    while len(head := file.read(HEAD.size)) == HEAD.size:
        kind, first, second, third, key, length = HEAD.unpack(head)
        if length > size - file.tell():  # a damaged number may ask for gigabytes
            return
        digest.update(head)
        data = file.read(length)
        if kind == END:
            if data == digest.digest() and not file.read(1):
                yield _End(first, Tally(second, third))
            return
        digest.update(data)
        yield (
            CodedFrame(first, second)
            if kind == FRAME
            else CodedPacket(data, first, second, third, key)
        )


def other_version(path: Path) -> StaleLedgerError:
    """The error for segments that only another version of ciaovideo can resume."""
    return StaleLedgerError(
        f"{path} holds segments of another version of ciaovideo",
        "resume with that version, or delete it to start over",
    )


def remove_unfinished(folder: Path) -> None:
    """Delete the unfinished segments that no run has locked, and the folder if that empties it.

    Files that cannot be deleted are skipped.
    """
    unfinished: list[Path] = []
    with suppress(OSError):
        unfinished = [*folder.glob(f"*{UNFINISHED}")]
    for path in unfinished:
        if not is_held(path):  # another machine may be at it
            with suppress(OSError):
                path.unlink(missing_ok=True)
    remove_empty(folder)


def remove_empty(folder: Path) -> None:
    """Delete the folder of segments if it holds none."""
    with suppress(OSError):
        if all(path.name == KNOWN for path in folder.iterdir()):
            (folder / KNOWN).unlink(missing_ok=True)
        folder.rmdir()

"""What a run has finished, kept on disk for the run that goes on after it was stopped.

A ledger holds the coded packets of whole segments: half-open ranges of frames that an encoder
coded on its own. It is written from front to back as they come, and a segment counts once its end
is there, with the digest of all of it; what follows the last whole segment is cut off. The first
line says what the packets were made from and how.
"""

import hashlib
import json
import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

from ciaovideo.errors import EncodeError, OpenError, StaleLedgerError
from ciaovideo.storage.atomic import sync

KIND = b"ciaovideo ledger "
MAGIC = KIND + b"1\n"
PACKET, FRAME, END = b"P", b"F", b"E"
HEAD = struct.Struct("<cqqq?I")  # kind, three numbers, key frame, bytes that follow
DIGEST = hashlib.sha256
SEGMENT = 120  # frames: few enough to do again, many enough for an encoder to save bits
MAX_FACTS = 1 << 16  # bytes of the line that says what the packets were made from


@dataclass(frozen=True, slots=True)
class CodedPacket:
    """A packet as the muxer takes it; times in ticks of the video."""

    data: bytes
    pts: int
    dts: int
    duration: int
    key: bool


@dataclass(frozen=True, slots=True)
class CodedFrame:
    """A frame that was handed to the encoder; the packets after it came when it had it."""

    pts: int
    duration: int


@dataclass(frozen=True, slots=True)
class SegmentEnd:
    """The end of a segment: by then so many frames were coded, and frames and pixels computed."""

    frames: int
    computed: int
    pixels: int


NOTHING = SegmentEnd(0, 0, 0)
Entry = CodedPacket | CodedFrame | SegmentEnd


class Ledger:
    """The ledger of one output: first read, then added to. A context manager once it is opened."""

    def __init__(self, path: Path, facts: Mapping[str, str]) -> None:
        self.path = path
        self.facts = dict(facts)
        self.segment = SEGMENT  # frames in one
        self.last = NOTHING
        self.computed = self.pixels = 0  # so far, for the next end of a segment
        self.end = 0  # bytes up to the end of the last whole segment
        self._file: BinaryIO | None = None
        self._digest = DIGEST()
        self._check()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            with suppress(OSError):
                self._file.close()
            self._file = None
            if not self.end:
                self.delete()

    def open(self) -> Self:
        """Begin to add after the last whole segment; raises EncodeError where that cannot be."""
        try:
            self._file = self.path.open("r+b" if self.end else "wb")
            if self.end:
                self._file.truncate(self.end)
                self._file.seek(self.end)
            else:
                facts = json.dumps(self.facts).encode() + b"\n"
                self._file.write(MAGIC + facts)
        except OSError as cause:
            raise self._unwritten(cause) from cause
        return self

    def add(self, entry: CodedPacket | CodedFrame) -> None:
        """Append what has just happened."""
        if isinstance(entry, CodedFrame):
            self._put(HEAD.pack(FRAME, entry.pts, entry.duration, 0, False, 0))
            return
        size = len(entry.data)
        self._put(HEAD.pack(PACKET, entry.pts, entry.dts, entry.duration, entry.key, size))
        self._put(entry.data)

    def finish(self, frames: int) -> None:
        """End a segment: from here on it outlives this process, and the machine's power."""
        end = SegmentEnd(frames, self.computed, self.pixels)
        head = HEAD.pack(END, end.frames, end.computed, end.pixels, False, DIGEST().digest_size)
        self._put(head)
        digest, self._digest = self._digest.digest(), DIGEST()
        self._put(digest, counted=False)
        file = self._opened()
        try:
            file.flush()
            os.fsync(file.fileno())
        except OSError as cause:
            raise self._unwritten(cause) from cause
        if not self.end:
            with suppress(OSError):  # some file systems cannot do that to a folder
                sync(self.path.parent)  # the name of a file is not in it
        self.last, self.end = end, file.tell()

    def entries(self) -> Iterator[Entry]:
        """All entries of whole segments, in order; StaleLedgerError if they are no longer there."""
        with self._reading() as file:
            _skip_facts(file)
            while self.end and file.tell() < self.end:
                entry, _ = _read(file, self.end)
                if entry is None:
                    raise StaleLedgerError(
                        f"{self.path} changed while it was read", "give the command again"
                    )
                yield entry

    def delete(self) -> None:
        """Remove it: the output is whole."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _check(self) -> None:
        """Find the last whole segment, and whether it was made from the same as ours will be.

        Raises StaleLedgerError where it was not, OpenError where that cannot be read.
        """
        if not self.path.exists():
            return
        with self._reading() as file:
            kind = file.read(len(MAGIC))
            if kind != MAGIC and kind.startswith(KIND) and len(kind) == len(MAGIC):
                raise StaleLedgerError(
                    f"{self.path} keeps what a run of another version of ciaovideo finished",
                    "go on with that version, or delete that file to begin anew",
                )
            file.seek(0)
            theirs = _skip_facts(file)
            if theirs is None:
                return
            other = [name for name in self.facts if self.facts[name] != theirs.get(name)]
            if other:
                raise StaleLedgerError(
                    f"{self.path} keeps what a stopped run finished, and that run had another"
                    f" {' and another '.join(other)}",
                    "give its command again to go on, or delete that file to begin anew",
                )
            self._find_end(file)

    def _find_end(self, file: BinaryIO) -> None:
        digest, size = DIGEST(), os.fstat(file.fileno()).st_size
        while True:
            entry, raw = _read(file, size)
            if entry is None:
                return
            if not isinstance(entry, SegmentEnd):
                digest.update(raw)
                continue
            digest.update(raw[: HEAD.size])
            if raw[HEAD.size :] != digest.digest():
                return
            self.last, self.end = entry, file.tell()
            digest = DIGEST()

    def _put(self, data: bytes, *, counted: bool = True) -> None:
        if counted:
            self._digest.update(data)
        try:
            self._opened().write(data)
        except OSError as cause:
            raise self._unwritten(cause) from cause

    @contextmanager
    def _reading(self) -> Iterator[BinaryIO]:
        try:
            with self.path.open("rb") as file:
                yield file
        except OSError as cause:
            raise OpenError(
                f"reading {self.path}: {cause.strerror}",
                "check its disk and who may read it, or delete it to begin anew",
            ) from cause

    def _opened(self) -> BinaryIO:
        if self._file is None:
            raise EncodeError(f"{self.path} is not open", "open it before adding to it")
        return self._file

    def _unwritten(self, cause: OSError) -> EncodeError:
        return EncodeError(
            f"writing {self.path}: {cause.strerror}", "check the disk's space and permissions"
        )


def _skip_facts(file: BinaryIO) -> dict[str, str] | None:
    """What a ledger was made from; None if it is none, or was never begun."""
    if file.read(len(MAGIC)) != MAGIC:
        return None
    line = file.readline(MAX_FACTS)
    try:
        facts = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return facts if isinstance(facts, dict) else None


def _read(file: BinaryIO, end: int) -> tuple[Entry | None, bytes]:
    """The next entry and its bytes; None where it goes past ``end`` or is something else."""
    head = file.read(HEAD.size)
    if len(head) < HEAD.size:
        return None, b""
    kind, first, second, third, key, size = HEAD.unpack(head)
    if size > end - file.tell():  # a damaged number may ask for gigabytes
        return None, b""
    data = file.read(size)
    if len(data) < size:
        return None, b""
    entry: Entry | None = None
    if kind == PACKET:
        entry = CodedPacket(data, first, second, third, key)
    elif kind == FRAME:
        entry = CodedFrame(first, second)
    elif kind == END:
        entry = SegmentEnd(first, second, third)
    return entry, head + data

"""Finished segments of a run, kept beside its output so that a stopped run can be resumed.

A folder of segments, each in a file of its own. A run keeps the whole ones and encodes the missing
and the damaged ones, so a stopped run loses one segment at most. Several processes may add segments
at once, in any order; one of them opens the folder.
"""

import json
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from ciaovideo.errors import CHECK_DISK, EncodeError, OpenError, StaleLedgerError
from ciaovideo.storage.atomic import sync_folder
from ciaovideo.storage.claims import is_held
from ciaovideo.storage.segments import (
    KNOWN,
    SUFFIX,
    UNFINISHED,
    NewSegment,
    Segment,
    Tally,
    other_version,
    remove_empty,
)

LENGTH = 120  # frames of a segment: few enough to do again, many enough for an encoder to save bits


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Fingerprint of a resumable run: values that the resuming run must share, by name.

    ``given`` are the names that a command decides, ``mixed`` those that may differ between
    segments.
    """

    parts: Mapping[str, str]
    given: frozenset[str] = frozenset()
    mixed: frozenset[str] = frozenset()

    def differing(self, other: Mapping[str, str]) -> list[str]:
        """The names whose values differ in another run, of those that count."""
        counted = (name for name in self.parts if name not in self.mixed)
        return [name for name in counted if self.parts[name] != other.get(name)]


class Ledger:
    """The segments of one output: reads the whole ones, then adds more.

    All of them have the ``fingerprint``. Without ``read``, existing segments are not read: for
    workers that only add. Segments have ``length`` frames, 120 if not given. ``known`` is what a
    run measured, by name, as JSON holds it: it is kept beside the segments, and other processes
    find it there. A context manager once it is opened. Raises StaleLedgerError where segments have
    another fingerprint, or are another version's; OpenError where they cannot be read.
    """

    def __init__(
        self,
        path: Path,
        fingerprint: Fingerprint,
        *,
        read: bool = True,
        length: int | None = None,
    ) -> None:
        self.path = path
        self.length = length or LENGTH
        parts = {**fingerprint.parts, "length of segments": str(self.length)}
        self._wanted = replace(fingerprint, parts=parts)
        self.segments: dict[int, Segment] = {}  # by first frame, in order
        if path.exists() and not path.is_dir():
            raise other_version(path)
        for file in self._files(SUFFIX) if read else ():
            segment = Segment.read(file)
            if segment is not None:
                self._check(segment)
                self.segments[segment.start] = segment
        self.known = self._read_known()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self.segments:
            self.delete()

    @property
    def fingerprint(self) -> dict[str, str]:
        """The fingerprint of its segments: values by name."""
        return dict(self._wanted.parts)

    @property
    def frames(self) -> int:
        """How many frames are finished."""
        return sum(segment.frames for segment in self.segments.values())

    @property
    def tally(self) -> Tally:
        """What was computed for the finished frames."""
        tallies = [segment.tally for segment in self.segments.values()]
        return Tally(sum(t.computed for t in tallies), sum(t.pixels for t in tallies))

    def missing(self) -> list[tuple[int, int | None]]:
        """Ranges of frames [start, stop) that are to be made; the last one has no stop."""
        ranges: list[tuple[int, int | None]] = []
        at = 0
        for segment in self.segments.values():
            if segment.start > at:
                ranges.append((at, segment.start))
            at = segment.stop
        return [*ranges, (at, None)]

    def open(self) -> Self:
        """Begin to add segments; deletes leftovers of killed runs. Raises EncodeError."""
        try:
            self.path.mkdir(exist_ok=True)
            for file in self._files(UNFINISHED):
                if not is_held(file):
                    file.unlink(missing_ok=True)
            self._keep_known()
        except OSError as cause:
            raise EncodeError(f"writing {self.path}: {cause.strerror}", CHECK_DISK) from cause
        sync_folder(self.path.parent)
        return self

    def begin(self, start: int, config_digest: str) -> NewSegment:
        """A new segment, to be finished and then kept."""
        return NewSegment(
            self.path / f"{start:010d}{SUFFIX}", start, config_digest, self.fingerprint
        )

    def keep(self, segment: Segment) -> None:
        """Count a finished segment."""
        self.segments[segment.start] = segment
        self.segments = dict(sorted(self.segments.items()))

    def delete(self) -> None:
        """Delete the segments of a finished output, and the folder if it is empty then."""
        with suppress(OSError, OpenError):
            for file in (*self._files(SUFFIX), *self._files(UNFINISHED)):
                file.unlink(missing_ok=True)
            remove_empty(self.path)
        self.segments = {}  # a run may be carried out again

    def _read_known(self) -> dict[str, Any]:
        """What another process has kept; nothing where that was of another fingerprint."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            kept = json.loads((self.path / KNOWN).read_bytes())
            if not self._wanted.differing(kept["fingerprint"]):
                return dict(kept["known"])
        return {}

    def _keep_known(self) -> None:
        """Write what is known, whole or not at all; raises OSError."""
        if self.known and self.known != self._read_known():
            text = json.dumps({"fingerprint": self.fingerprint, "known": self.known})
            made = self.path / f"{KNOWN}.{secrets.token_hex(4)}{UNFINISHED}"
            made.write_text(text, encoding="ascii")
            with suppress(FileNotFoundError):  # another run took it for a leftover
                made.replace(self.path / KNOWN)

    def _files(self, suffix: str) -> list[Path]:
        """The files with a suffix in the order of their names, which is that of the frames."""
        try:
            return sorted(path for path in self.path.iterdir() if path.suffix == suffix)
        except FileNotFoundError:
            return []
        except OSError as cause:
            raise OpenError(
                f"reading {self.path}: {cause.strerror}",
                "check its disk and permissions, or delete it to start over",
            ) from cause

    def _check(self, segment: Segment) -> None:
        """Raise StaleLedgerError for a segment that was made with another fingerprint."""
        other = self._wanted.differing(segment.fingerprint)
        if other:
            raise StaleLedgerError(
                f"{self.path} holds segments of a stopped run that had another"
                f" {' and another '.join(other)}",
                "repeat its command to resume, or delete that folder to start over"
                if self._wanted.given.issuperset(other)
                else "delete that folder to start over",
            )

"""Detects that a source changed since a run began to read it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ciaovideo.errors import MissingInputError, VerificationError
from ciaovideo.findings import Finding, Kind
from ciaovideo.media.sequence.numbered import source_files


@dataclass(frozen=True, slots=True)
class Witness:
    """A source's size, identity and modification time at some moment.

    For numbered pictures they sum up all files; ``place`` and ``changed`` are digests.
    """

    path: Path
    count: int
    size: int
    place: int
    changed: int

    @classmethod
    def of(cls, path: Path) -> Self | None:
        """The current state; None if there is no such file, or pictures are missing."""
        try:
            files = source_files(path)
            count = size = place = changed = 0
            for number, found in enumerate((file.stat() for file in files), 1):
                count, size = number, size + found.st_size
                place = hash((place, found.st_dev, found.st_ino))
                changed = hash((changed, found.st_mtime_ns))
        except (OSError, MissingInputError):
            return None
        return cls(path, count, size, place, changed)

    def require(self, kept_as: Path) -> None:
        """Raise VerificationError if the file is gone, as nothing can be compared then."""
        if Witness.of(self.path) is None:
            raise VerificationError(
                f"{kept_as} cannot be verified", f"the file is kept as {kept_as}"
            )

    def findings(self) -> tuple[Finding, ...]:
        """The finding if the file changed meanwhile."""
        now = Witness.of(self.path)
        if now == self:
            return ()
        return (
            Finding(
                kind=Kind.DAMAGED,
                subject="file",
                text=f"{self.path} {self._change(now)} while it was read: the output may miss"
                " frames, or mix two files",
            ),
        )

    def _change(self, now: "Witness | None") -> str:
        if now is None:
            return "was deleted" if self.count == 1 else "lost pictures"
        if now.count != self.count:
            return f"went from {self.count} to {now.count} pictures"
        if now.place != self.place:
            return "was replaced"
        if now.size != self.size:
            way = "shrank" if now.size < self.size else "grew"
            return f"{way} from {self.size} to {now.size} bytes"
        return "was changed"

"""Detects that a source changed since a run began to read it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ciaovideo.errors import VerificationError
from ciaovideo.findings import Finding, Kind


@dataclass(frozen=True, slots=True)
class Witness:
    """A file's size, identity and modification time at some moment."""

    path: Path
    size: int
    place: tuple[int, int]
    changed_ns: int

    @classmethod
    def of(cls, path: Path) -> Self | None:
        """The current state; None if there is no such file."""
        try:
            found = path.stat()
        except OSError:
            return None
        return cls(path, found.st_size, (found.st_dev, found.st_ino), found.st_mtime_ns)

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
        if now is None:
            how = "was deleted"
        elif now.place != self.place:
            how = "was replaced"
        elif now.size != self.size:
            way = "shrank" if now.size < self.size else "grew"
            how = f"{way} from {self.size} to {now.size} bytes"
        else:
            how = "was changed"
        text = f"{self.path} {how} while it was read: the output may miss frames, or mix two files"
        return (Finding(kind=Kind.DAMAGED, subject="file", text=text),)

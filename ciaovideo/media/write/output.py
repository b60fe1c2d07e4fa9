"""The destination of a run: its path is parsed once, and checked before any work.

``Destination`` is not in ``storage/`` because it depends on containers, which are one floor higher.
After the start of a run, functions get a destination or its container, never a name to parse again.
It answers what depends on the kind of output: beside a pipe no run leaves anything.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ciaovideo.errors import OptionError, OutputExistsError
from ciaovideo.findings import Finding
from ciaovideo.media.containers import BY_SUFFIX, YUV4MPEG, Container
from ciaovideo.media.sequence import exr
from ciaovideo.media.sequence.kinds import PICTURES
from ciaovideo.media.sequence.numbered import PictureName, source_files
from ciaovideo.storage.atomic import finish_storing
from ciaovideo.storage.claims import kept, leftovers, refuse_other_run
from ciaovideo.storage.endpoints import (
    EndpointKind,
    check_pipe_output,
    kind_of,
    reads_once,
)


@dataclass(frozen=True, slots=True)
class Destination:
    """A file, pipe or device to write to, with its container; or numbered ``pictures``."""

    path: Path
    container: Container
    kind: EndpointKind = "file"
    pictures: PictureName | None = None

    @classmethod
    def of(cls, path: Path) -> Self:
        """Parse a path; raises OptionError for an unknown container or several number patterns.

        A pipe or device without a known suffix gets raw pictures (YUV4MPEG2).
        """
        kind = kind_of(path)
        if pictures := PictureName.of(path):
            return cls(path, _pictures(path), kind, pictures)
        container = BY_SUFFIX.get(path.suffix.lower())
        if container is None and kind in ("pipe", "device"):
            container = YUV4MPEG
        if container is None:
            wrong = f"{path.suffix} is not a supported output container"
            none = "the name has no suffix, which selects the container"
            raise OptionError(
                f"{path}: {wrong if path.suffix else none}",
                f"end the name in {', '.join(BY_SUFFIX)}",
            )
        return cls(path, container, kind)

    @property
    def piped(self) -> bool:
        """Whether the output is a pipe or device, which cannot be read back."""
        return self.kind in ("pipe", "device")

    def check_segments(self) -> None:
        """Raise OptionError if a run to this destination cannot be resumed."""
        if self.pictures:
            raise OptionError(
                f"{self.path}: numbered pictures have no segments from which a run can resume",
                "write a .mkv, and convert it to pictures afterwards",
            )
        if self.piped or self.container.bare:
            raise OptionError(
                f"{self.path} has no coded segments from which a run can resume",
                "write a .mkv or .mp4 file",
            )

    def finish_storing(self) -> None:
        """Move pictures to their places that a run left which ended while it moved them.

        Raises OutputExistsError while a run moves them, EncodeError where that fails.
        """
        if self.pictures:
            finish_storing(self.path)

    def leftovers(self, *, resumed: bool) -> tuple[Finding, ...]:
        """Findings on what earlier runs left beside it; a ``resumed`` run takes their segments."""
        if self.piped:
            return ()
        return (*leftovers(self.path), *(() if resumed else kept(self.path)))


def _pictures(path: Path) -> Container:
    """The format of numbered pictures by a path's suffix; raises OptionError."""
    container = PICTURES.get(path.suffix.lower())
    if container is None:
        exact = path.suffix.lower() == exr.SUFFIX
        raise OptionError(
            f"{path}: {exr.PROBLEM if exact else 'this picture format is not supported'}",
            f"end the name in {', '.join(PICTURES)}",
        )
    return container


def check_output(source: Path, destination: Destination, *, overwrite: bool = False) -> None:
    """Raise an error, before any work, if writing there would fail or do harm.

    Replacing the input is refused even with ``overwrite``, also through links.
    """
    output = destination.path
    if destination.piped:
        if not destination.container.piped:
            raise OptionError(
                f"{output} is a pipe or device, and {output.suffix} cannot be written in one pass",
                f"write a file, or name it .y4m and let its reader make {output.suffix}",
            )
        if output.is_fifo() and source.exists() and output.samefile(source):
            raise OptionError(f"the output {output} is the input itself", "choose another name")
        check_pipe_output(output, overwrite=overwrite)
        return
    if destination.pictures:
        _check_numbers(source, destination.pictures, overwrite=overwrite)
    if destination.kind == "loop":
        raise OptionError(
            f"the output {output} is a symbolic link to itself", "choose another name"
        )
    if output.is_dir():
        raise OutputExistsError(f"the output {output} is a folder", "name a file in it")
    if output.exists():
        if not reads_once(source) and source.exists() and output.samefile(source):
            raise OutputExistsError(
                f"the output {output} is the input itself", "choose another name"
            )
        if not output.is_file():
            raise OptionError(f"the output {output} is not a regular file", "name a regular file")
        if not overwrite:
            raise OutputExistsError(
                f"the output {output} already exists", "choose another name or allow overwriting"
            )
    folder = output.resolve().parent
    if not folder.is_dir():
        raise OptionError(f"the folder {folder} does not exist", "create it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OptionError(f"the folder {folder} cannot be written to", "choose another one")
    refuse_other_run(output)


def _check_numbers(source: Path, pictures: PictureName, *, overwrite: bool) -> None:
    """Raise OutputExistsError if pictures of that name exist, or are those of the source."""
    there = sorted(pictures.found())
    if not there:
        return
    files = {pictures.file(number).resolve() for number in there}
    if not files.isdisjoint(file.resolve() for file in source_files(source)):
        raise OutputExistsError(
            f"the output {pictures.path} is the input itself", "choose another name"
        )
    if not overwrite:
        raise OutputExistsError(
            f"pictures named {pictures.path} already exist, from {there[0]} to {there[-1]}",
            "choose another name or allow overwriting",
        )

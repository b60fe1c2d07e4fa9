"""Where a run writes: a name, parsed once, and whether it may be written at all.

``Destination`` is not in ``storage/``: it knows containers, which stand a floor higher. Everything
past the start of a run gets one, or its container alone, instead of a name to parse again.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ciaovideo.errors import OptionError, OutputExistsError
from ciaovideo.media.containers import BY_SUFFIX, YUV4MPEG, Container
from ciaovideo.media.sequence.kinds import PICTURES
from ciaovideo.media.sequence.numbered import Numbered, file_name, found_numbers, is_sequence
from ciaovideo.storage.claims import refuse_other_run
from ciaovideo.storage.endpoints import (
    EndpointKind,
    check_pipe_output,
    is_loop,
    kind_of,
    reads_once,
)


@dataclass(frozen=True, slots=True)
class Destination:
    """A file, pipe or device to write to, with the container that goes there."""

    path: Path
    container: Container
    kind: EndpointKind = "file"

    @classmethod
    def of(cls, path: Path) -> Self:
        """What a name asks for; raises OptionError for a container that is not known.

        A pipe or device that is not called like any is for bare pictures.
        """
        kind = kind_of(path)
        if is_sequence(path):
            return cls(path, _pictures(path))
        container = BY_SUFFIX.get(path.suffix.lower())
        if container is None and kind != "file":
            container = YUV4MPEG
        if container is None:
            wrong = f"{path.suffix} names no container that can be written"
            none = "the name has no suffix, which says the container"
            raise OptionError(
                f"{path}: {wrong if path.suffix else none}",
                f"end the name in {', '.join(BY_SUFFIX)}",
            )
        return cls(path, container, kind)

    @property
    def piped(self) -> bool:
        """Whether what is written goes by, instead of being a file afterwards."""
        return self.kind != "file"

    def check_segments(self) -> None:
        """Raise OptionError where no finished segments could be kept for it."""
        if self.container.numbered_pictures:
            raise OptionError(
                f"{self.path}: numbered pictures have no segments that could be kept to resume",
                "name a .mkv, and make pictures of it afterwards",
            )
        if self.piped or self.container.bare:
            raise OptionError(
                f"{self.path} has no coded segments that could be kept to resume",
                "name a .mkv, or .mp4",
            )


def _pictures(path: Path) -> Container:
    """The kind of numbered pictures that a name asks for; raises OptionError."""
    container = PICTURES.get(path.suffix.lower())
    if container is None:
        raise OptionError(
            f"{path}: pictures of this kind cannot be written",
            f"end the name in {', '.join(PICTURES)}",
        )
    return container


def check_output(source: Path, destination: Destination, *, overwrite: bool = False) -> None:
    """Raise what would make writing there fail or do harm, before any work is done.

    Replacing the input is refused even with ``overwrite``, also through links.
    """
    output = destination.path
    if destination.piped:
        if not destination.container.piped:
            raise OptionError(
                f"{output} is a pipe or device, and {output.suffix} cannot be written in one pass",
                f"write a file, or call it .y4m and have what reads it make {output.suffix}",
            )
        if output.is_fifo() and source.exists() and output.samefile(source):
            raise OptionError(f"the output {output} is the input itself", "choose another name")
        check_pipe_output(output, overwrite=overwrite)
        return
    if destination.container.numbered_pictures:
        _check_numbers(source, output, overwrite=overwrite)
    if is_loop(output):
        raise OptionError(
            f"the output {output} is a link that leads back to itself", "choose another name"
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
                f"the output {output} is already there", "choose another name or allow overwriting"
            )
    folder = output.resolve().parent
    if not folder.is_dir():
        raise OptionError(f"the folder {folder} does not exist", "create it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OptionError(f"the folder {folder} cannot be written to", "choose another one")
    refuse_other_run(output)


def _check_numbers(source: Path, output: Path, *, overwrite: bool) -> None:
    """Raise OutputExistsError where pictures of that name are there, or are those of the source."""
    there = sorted(found_numbers(output))
    if not there:
        return
    files = {output.with_name(file_name(output.name, number)).resolve() for number in there}
    given = {*Numbered.find(source).files} if is_sequence(source) else {source}
    if not files.isdisjoint(file.resolve() for file in given):
        raise OutputExistsError(f"the output {output} is the input itself", "choose another name")
    if not overwrite:
        raise OutputExistsError(
            f"pictures called {output} are already there, from {there[0]} to {there[-1]}",
            "choose another name or allow overwriting",
        )

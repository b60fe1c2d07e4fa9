"""An output file that appears whole or not at all."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Self

from ciaovideo.errors import CHECK_DISK, EncodeError, OutputExistsError, VerificationError
from ciaovideo.storage.claims import claim
from ciaovideo.storage.endpoints import writes_once


class AtomicWriter(ABC):
    """A context manager that ends with ``close``, or after an exception with ``abort``."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    @abstractmethod
    def close(self) -> None:
        """Finish the file."""

    @abstractmethod
    def abort(self) -> None:
        """Discard everything: close, ignoring errors, and remove the file."""


@contextmanager
def atomic_output(output: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A temporary name beside ``output`` to write to; on success it takes the final name.

    The data is on the disk before the name is. After any exception, interrupts included, neither
    the temporary file nor anything new under the final name is left. Two files keep their temporary
    name: one that failed its verification, for inspection, and a finished one whose final name was
    taken meanwhile. Inside, no other run can write the same output. Pipes and devices are yielded
    unchanged, without these guarantees.
    """
    if writes_once(output):
        yield output
        return
    with ExitStack() as stack:
        try:
            temporary = stack.enter_context(claim(output))
        except OSError as cause:
            raise EncodeError(f"opening {output}: {cause.strerror}", CHECK_DISK) from cause
        kept = False
        try:
            yield temporary
            kept = not overwrite and output.exists()
            if kept:
                raise OutputExistsError(
                    f"the output {output} appeared meanwhile",
                    f"it was left alone, and the result is kept as {temporary}",
                )
            _store(temporary, output)
        except VerificationError:
            raise
        except BaseException:
            if not kept:
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)
            raise


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to, which becomes ``path`` whole at the end, or never."""
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        sync(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _store(temporary: Path, output: Path) -> None:
    """Give a finished file its final name."""
    final = output.resolve()
    try:
        if not temporary.stat().st_size:
            raise EncodeError(f"storing {output}: nothing was written", CHECK_DISK)
        sync(temporary)
        temporary.replace(final)
        sync_folder(final.parent)
    except OSError as cause:
        raise EncodeError(f"storing {output}: {cause.strerror}", CHECK_DISK) from cause


def sync_folder(path: Path) -> None:
    """Wait until a folder's names are on the disk, where its file system can do that."""
    with suppress(OSError):
        sync(path)


def sync(path: Path) -> None:
    """Wait until a file's data are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

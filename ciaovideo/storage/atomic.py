"""Output files that appear whole or not at all: one file, or several together.

Several files cannot get their names at once. They are finished in a hidden folder, which then
lists what is to be moved, so that another run can go on where one was cut off.
"""

import json
import logging
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Self

from ciaovideo.errors import CHECK_DISK, EncodeError, OutputExistsError, VerificationError
from ciaovideo.storage.claims import claim, refuse_other_run, temporaries, try_lock
from ciaovideo.storage.endpoints import writes_once

log = logging.getLogger(__name__)

MOVES = "moves"  # a file in a hidden folder: the names to delete beside it, then those to move


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
def atomic_folder(output: Path) -> Iterator[Path]:
    """A hidden folder beside ``output`` for its files, which ``move_together`` moves at the end.

    An exception, interrupts included, deletes it, except VerificationError, for inspection of the
    files, and OutputExistsError, as they are finished and only their places are taken. Inside, no
    other run can write the same output.
    """
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(claim(output, folder=True))
        except OSError as cause:
            raise EncodeError(f"opening {output}: {cause.strerror}", CHECK_DISK) from cause
        try:
            yield folder
        except (VerificationError, OutputExistsError):
            raise
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise


def move_together(
    output: Path, folder: Path, names: Sequence[str], *, obsolete: Iterable[str] = ()
) -> None:
    """Move the finished files of an ``atomic_folder`` to their places, in this order.

    Their places are beside ``output``; the ``obsolete`` files there are deleted first. All are on
    the disk before the first is moved, and an exception leaves none. But a power cut leaves some in
    their places and the others in the folder, from which ``finish_storing`` moves them.
    """
    try:
        if not names:
            raise EncodeError(f"storing {output}: nothing was written", CHECK_DISK)
        for name in names:
            sync(folder / name)
        place = output.parent.resolve()
        try:
            with replacing(folder / MOVES) as told:
                moves = {"delete": [*obsolete], "move": [*names]}
                told.write_text(json.dumps(moves), encoding="ascii")
            sync_folder(folder)
            sync_folder(folder.parent)
            _move(folder, place)
        except BaseException:
            (folder / MOVES).unlink(missing_ok=True)  # at first: no other run is to go on with it
            for name in names:
                if not (folder / name).exists():
                    (place / name).unlink(missing_ok=True)
            raise
    except OSError as cause:
        raise EncodeError(
            f"storing {output}: {os.strerror(cause.errno or 0)}", CHECK_DISK
        ) from cause


def finish_storing(output: Path) -> None:
    """Move files to their places that a run left behind which ended while it moved them.

    They were verified before the first was moved. Raises OutputExistsError while a run moves them,
    EncodeError where that fails.
    """
    for folder, _ in temporaries(output):
        if not (folder / MOVES).exists():
            continue  # its run did not get so far
        handle = os.open(folder, os.O_RDONLY)
        try:
            if try_lock(handle) is False:
                refuse_other_run(output)
                continue  # it has just ended
            _move(folder, output.parent.resolve())
            log.warning("%s: moved what a run left that was cut off at its end", output)
        except OutputExistsError:
            raise
        except (OSError, ValueError) as cause:
            raise EncodeError(f"storing {output} from {folder}: {cause}", CHECK_DISK) from cause
        finally:
            os.close(handle)


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


def _move(folder: Path, place: Path) -> None:
    """Do what is listed in a folder of finished files and not done yet; then remove the folder."""
    told = folder / MOVES
    moves = json.loads(told.read_text(encoding="ascii"))
    for name in moves["delete"]:
        (place / Path(name).name).unlink(missing_ok=True)
    for name in moves["move"]:
        if (made := folder / Path(name).name).exists():  # not moved yet
            made.replace(place / made.name)
    sync_folder(place)
    told.unlink()
    folder.rmdir()


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

"""Clips that several tests ask for, encoded once: a folder that all workers of a session share."""

import hashlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

FOLDER = "CIAOVIDEO_TEST_CLIPS"  # in the environment, which workers and processes under test get


def open_folder() -> None:
    """Begin a session; its clips are shared by all processes that it starts from now on."""
    os.environ[FOLDER] = tempfile.mkdtemp(prefix="ciaovideo-clips-")


def close_folder() -> None:
    """End the session, and the folder with it."""
    shutil.rmtree(os.environ.pop(FOLDER), ignore_errors=True)


def copy_of(description: str, path: Path, write: Callable[[Path], object]) -> None:
    """A file as ``write`` makes it, from the folder if it was made before.

    The description has to say all that the file depends on, but for the suffix. A copy and no
    link, for tests damage theirs.
    """
    name = hashlib.sha256(description.encode()).hexdigest()
    made = Path(os.environ[FOLDER], name).with_suffix(path.suffix)
    if not made.exists():
        unfinished = made.with_stem(f"{name}-{os.getpid()}-{threading.get_ident()}")
        write(unfinished)
        unfinished.replace(made)  # another process may have been quicker, with the same file
    shutil.copyfile(made, path)

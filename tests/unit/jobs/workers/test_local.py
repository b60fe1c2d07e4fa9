"""Worker processes of this machine, as far as they can be seen from outside."""

import os
import signal
import time
from pathlib import Path
from types import FrameType

import pytest

from ciaovideo.jobs.workers.local import LocalWorkers
from tests.waiting import wait_until

LINGERS_S = 1.0


def linger(started: Path) -> None:
    """A task that takes its time to die, as one does whose memory is large."""

    def die(_: int, __: FrameType | None) -> None:
        time.sleep(LINGERS_S)  # what is tested is that ``stop`` waits as long
        os._exit(1)

    signal.signal(signal.SIGTERM, die)
    started.write_text(str(os.getpid()))
    signal.pause()


def lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.heavy
def test_when_stop_returns_no_worker_lives(tmp_path: Path) -> None:
    """Whoever cleans up after them finds nothing that is still held or written."""
    with LocalWorkers(1, cores=1) as workers:
        workers.submit("1", linger, told := tmp_path / "process")
        wait_until(lambda: told.exists() and told.read_text() != "")
        workers.stop()
        assert not lives(int(told.read_text()))


def test_a_worker_that_is_just_starting_ends_as_well(tmp_path: Path) -> None:
    with LocalWorkers(1, cores=1) as workers:
        workers.submit("1", linger, told := tmp_path / "process")
        begun = time.monotonic()
        workers.stop()
        assert time.monotonic() - begun < 30, "it waited for the task"
    assert not told.exists()

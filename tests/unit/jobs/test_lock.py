"""Who works on a batch."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from ciaovideo.errors import EncodeError, LockedJobError
from ciaovideo.jobs import lock as lock_module
from ciaovideo.jobs.lock import batch_lock, owner_of, refuse_locked

HOLDER = """
import sys
from pathlib import Path
from ciaovideo.jobs.lock import batch_lock
with batch_lock(Path(sys.argv[1])) as before:
    print("held", flush=True)
    sys.stdin.read()
"""


def owner(**changes: object) -> str:
    began = psutil.Process().create_time()
    facts = {"host": socket.gethostname(), "process": os.getpid(), "began": began, "since": "then"}
    return json.dumps(facts | changes)


def test_another_process_is_named_and_its_death_frees_the_batch(tmp_path: Path) -> None:
    path = tmp_path / "out" / ".ciaovideo" / "lock"
    path.parent.mkdir(parents=True)
    words = [sys.executable, "-c", HOLDER, str(path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        told = f"process {holder.pid} on {socket.gethostname()}"
        assert told in owner_of(path)
        with pytest.raises(LockedJobError, match=told), batch_lock(path):
            pass
        with pytest.raises(LockedJobError, match=told):
            refuse_locked(path)
        holder.kill()
    assert not owner_of(path)
    refuse_locked(path)
    refuse_locked(path.with_name("none"))
    with batch_lock(path) as before:
        assert told in before
    with batch_lock(path) as before:
        assert not before


def test_the_number_of_a_dead_process_may_be_anothers_now(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    parent = psutil.Process().ppid()
    path.write_text(owner(process=parent, began=psutil.Process(parent).create_time() - 99))
    with batch_lock(path) as before:
        assert f"process {parent}" in before


def test_without_locks_the_named_process_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_module, "try_lock", lambda _: None)
    path = tmp_path / "out" / ".ciaovideo" / "lock"
    path.parent.mkdir(parents=True)
    parent = psutil.Process().ppid()
    path.write_text(owner(process=parent, began=psutil.Process(parent).create_time()))
    with pytest.raises(LockedJobError, match=f"process {parent}"), batch_lock(path):
        pass
    path.write_text(owner(host="elsewhere"))
    with pytest.raises(LockedJobError, match=f"delete {path}"), batch_lock(path):
        pass
    path.write_text("damaged")
    with batch_lock(path):
        pass


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    gone = batch_lock(tmp_path / "gone" / "lock")
    with pytest.raises(EncodeError, match=f"opening {tmp_path / 'gone'}"), gone:
        pass
    assert owner_of(tmp_path / "gone" / "lock") == ""

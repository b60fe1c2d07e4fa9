"""A process that is forked is what the same words begin as a shell does."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.processes import CODING, Forked, Process, command, early, fresh, own, python
from tests.waiting import ENDS_S, FAR_TOO_LONG_S

pytestmark = pytest.mark.slow

# All that a program can see of how it was started.
SEEN = """
import json, os, signal, sys, threading
streams = (sys.stdin, sys.stdout, sys.stderr)
json.dump({
    "words": sys.argv,
    "first place of modules": sys.path[0],
    "name": __name__,
    "folder": os.getcwd(),
    "variables": dict(os.environ),
    "open": [n for n in range(100) if os.path.exists(f"/proc/self/fd/{n}")],
    "input": sys.stdin.read(),
    "texts": [[s.encoding, s.errors, s.line_buffering, s.write_through] for s in streams],
    "signals": {n: str(signal.getsignal(n)) for n in sorted(signal.valid_signals())},
    "own group": os.getpgid(0) == os.getpid(),
    "parent": os.getppid(),
    "threads": threading.active_count(),
}, sys.stdout)
"""
ENDS = {
    "nothing": "print('said')",
    "a code": "import sys; print('said'); sys.exit(3)",
    "words": "import sys; sys.exit('words')",
    "an error": "raise ValueError('an error')",
    "Ctrl-C": "import os, signal; os.kill(os.getpid(), signal.SIGINT)",
    "a signal": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "a thread": "import threading; threading.Timer(0.1, lambda: print('late')).start()",
    "a last word": "import atexit; atexit.register(print, 'last')",
    "a module": "",
}


@pytest.fixture(autouse=True)
def _forks() -> None:
    if own() is None:
        pytest.skip("nothing is forked here: every process begins as a shell begins one")


def outcome(process: Process, given: str | None = None) -> tuple[int, Any, Any]:
    said = process.communicate(given, timeout=FAR_TOO_LONG_S)
    return process.returncode, *said


def both(*words: object, **settings: Any) -> list[Process]:
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    started = [start(*words, **pipes | settings) for start in (python, fresh)]
    assert [isinstance(process, Forked) for process in started] == [True, False]
    return started


@pytest.mark.parametrize(
    ("apart", "coding"),
    [(False, None), (True, None), (False, "latin-1"), (True, "ascii:replace"), (True, ":ignore")],
)
def test_a_program_sees_no_difference(tmp_path: Path, apart: bool, coding: str | None) -> None:
    reads, writes = os.pipe()
    settings = {"cwd": tmp_path, "pass_fds": (writes,), "start_new_session": apart}
    variables = {"PATH": os.environ["PATH"], "PYTHONPATH": "/nowhere", "MINE": "caf\udce9"}
    variables |= {} if coding is None else {CODING: coding}
    started = both(
        "-c", SEEN, "one", "two words", env=variables | early(os.environ), text=True, **settings
    )
    seen = []
    for process in started:
        code, said, told = outcome(process, "what is read")
        assert (code, told) == (0, "")
        seen.append(json.loads(said))
    assert seen[0] == seen[1]
    assert seen[0]["parent"] == os.getpid()
    assert writes in seen[0]["open"]
    assert seen[0]["own group"] == apart
    for descriptor in (reads, writes):
        os.close(descriptor)


@pytest.mark.parametrize("how", ENDS)
def test_it_ends_alike(how: str) -> None:
    words = ("-c", ENDS[how]) if ENDS[how] else ("-m", "timeit", "--none")
    forked, plain = (outcome(process, "") for process in both(*words, text=True))
    last = [said.splitlines()[-1:] for said in (forked[2], plain[2])]  # above are other files
    assert (*forked[:2], last[0]) == (*plain[:2], last[1])


def test_it_is_killed_and_waited_for_alike() -> None:
    for process in both("-c", "input()"):
        assert process.poll() is None
        assert psutil.Process(process.pid).parent() == psutil.Process()
        process.send_signal(signal.SIGTERM)
        assert process.wait(ENDS_S) == -signal.SIGTERM
        process.communicate()


def test_what_counts_at_a_start_starts_anew() -> None:
    with python("-c", "", env=os.environ | {"PYTHONUTF8": "0"}) as process:
        assert not isinstance(process, Forked)
    with python("-c", "", umask=0o77) as process:
        assert not isinstance(process, Forked)


def test_the_command(tmp_path: Path) -> None:
    words = (tmp_path / "none.mkv", tmp_path / "out.mkv")
    forked, plain = (command(*words, start=start, text=True) for start in (python, fresh))
    assert isinstance(forked, Forked)
    assert outcome(forked, "") == outcome(plain, "")
    assert forked.returncode == 2

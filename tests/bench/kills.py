"""A batch is disturbed at random moments, and the same command is given again.

    python -m tests.bench.kills 20 --seed 7                   # 20 times in each way
    python -m tests.bench.kills 5 --ways command full         # in some ways

``command``: kill -9 of the command. ``workers``: of its workers. ``both``: of all of them.
``full``: a file system of 30 MB fills. ``removed``: the output folder is deleted, then Ctrl-C.
Afterwards the same command has to end with 0, outputs have to be those of a command that nobody
disturbed, to the last bit, nothing else may be left, and no worker may live. Commands and workers
are forked from this process, which has loaded torch; with ``--spawn`` workers begin as they always
do, which takes seconds each. A file system needs root on Linux (``mount -t tmpfs``);
without, ``full`` is left out.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from ciaovideo.cli.main import main as ciaovideo_main
from tests.batches import leftovers, make_sources, tree
from tests.media import make_clip

FRAMES = {"a": 29, "b": 5}  # of each clip; besides, one has sound
SEGMENT = 8
WAYS = ("command", "workers", "both", "full", "removed")
ROOM_MB = 30
LATER_S = 0.4  # a disturbance comes up to so long after the event that it waits for
MENDED_S = 6.0  # a full or deleted folder stays so for up to this
PATIENCE_S = 1800.0  # for what takes seconds on a quiet machine
LOOK_EVERY_S = 0.05
CRASHED = 70  # exit code of a command that raised something
TAIL = 300  # bytes of a command's complaints that are shown


@dataclass
class Command:
    """A command that was begun: its process, and the file that it tells its events in."""

    process: int
    told: Path
    code: int | None = None

    @classmethod
    def begin(cls, words: list[str], folder: Path, *, forking: bool) -> "Command":
        """Fork it; its complaints are added to ``log`` in the folder."""
        told = folder / "events"
        told.write_bytes(b"")
        process = os.fork()
        if not process:
            for number, path in ((1, told), (2, folder / "log")):
                os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
            sys.stdout = os.fdopen(1, "w", closefd=False)
            os.setpgid(0, 0)
            signal.signal(signal.SIGINT, signal.default_int_handler)  # nohup may have it ignored
            sys.argv[1:] = words
            if forking:
                usual = multiprocessing.get_context
                multiprocessing.get_context = lambda _=None: usual("fork")  # type: ignore[assignment]
            code = CRASHED
            try:
                ciaovideo_main()
            except SystemExit as ended:
                code = int(ended.code or 0)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        return cls(process, told)

    @property
    def events(self) -> list[str]:
        """The kinds of the events that it told up to now."""
        lines = self.told.read_text().splitlines(keepends=True)
        return [json.loads(line)["event"] for line in lines if line.endswith("\n")]

    def ended(self) -> bool:
        """Whether it is over; ``code`` is then set."""
        if self.code is None:
            with suppress(ChildProcessError):
                process, status = os.waitpid(self.process, os.WNOHANG)
                if process:
                    self.code = os.waitstatus_to_exitcode(status)
        return self.code is not None

    def workers(self) -> list[psutil.Process]:
        """Its living workers; the tracker of resources is none."""
        found = []
        with suppress(psutil.Error):
            for process in psutil.Process(self.process).children(recursive=True):
                with suppress(psutil.Error):
                    if "resource_tracker" not in str(process.cmdline()):
                        found.append(process)
        return found

    def wait(self) -> int:
        """Its exit code, when it is over."""
        until(self.ended)
        return self.code or 0


@dataclass
class Round:
    """One disturbance: where the outputs are, what is given, and by which chance."""

    output: Path
    words: list[str]
    chance: random.Random
    folder: Path  # of the command's words
    forking: bool

    def begin(self) -> Command:
        """Give the command."""
        return Command.begin(self.words, self.folder, forking=self.forking)

    def disturb(self, way: str, most: int) -> str:
        """Begin a command, disturb it after some of ``most`` events; when that was, in words."""
        after, later = self.chance.randrange(most + 1), self.chance.uniform(0, LATER_S)
        command = self.begin()
        until(lambda: len(command.events) >= after or command.ended())
        time.sleep(later)  # a moment at random, whatever the command does then
        workers = command.workers()
        {
            "command": self._kill_command,
            "workers": self._kill_workers,
            "both": self._kill_both,
            "full": self._fill,
            "removed": self._remove,
        }[way](command, workers)
        code = command.wait()
        until(lambda: not _group_lives(command.process))
        last = command.events[-1] if command.events else "start"
        return f"after {after} events, {later:.2f} s; last {last}, ended with {code}"

    def _kill_command(self, command: Command, _: list[psutil.Process]) -> None:
        _kill(command.process)

    def _kill_workers(self, _: Command, workers: list[psutil.Process]) -> None:
        for worker in workers[: self.chance.randint(1, 2)]:
            _kill(worker.pid)

    def _kill_both(self, command: Command, workers: list[psutil.Process]) -> None:
        victims = [command.process, *(worker.pid for worker in workers)]
        self.chance.shuffle(victims)
        for victim in victims:
            _kill(victim)

    def _fill(self, command: Command, _: list[psutil.Process]) -> None:
        """Leave some kB of room, and give it back after a while, while it tries or after it."""
        ballast = self.output.parent / "ballast"
        room = self.chance.randrange(64) << 10
        with suppress(OSError), ballast.open("wb") as file:
            while True:
                file.write(bytes(1 << 12))
                file.flush()
        size = max(0, ballast.stat().st_size - room)
        os.truncate(ballast, size)
        deadline = time.monotonic() + self.chance.uniform(0, MENDED_S)
        until(lambda: command.ended() or time.monotonic() > deadline)
        ballast.unlink()

    def _remove(self, command: Command, _: list[psutil.Process]) -> None:
        """Delete the folder while it is written, and later ask the command to stop, twice."""
        while self.output.exists():
            shutil.rmtree(self.output, ignore_errors=True)
        deadline = time.monotonic() + self.chance.uniform(0, MENDED_S)
        until(lambda: command.ended() or time.monotonic() > deadline)
        for _time in range(2):
            if not command.ended():
                with suppress(ProcessLookupError):
                    os.kill(command.process, signal.SIGINT)
                time.sleep(0.2)  # as a hand on Ctrl-C

    def mend(self) -> None:
        """Give the command until it ends with 0; at most once, as nothing disturbs it."""
        code = self.begin().wait()
        if code:
            raise AssertionError(f"ended with {code}: {complaints(self.folder)}")


def until(true: Callable[[], object]) -> None:
    """Wait for something; AssertionError if it does not come."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, "a command hangs"
        time.sleep(LOOK_EVERY_S)


def complaints(folder: Path) -> str:
    """The end of what commands complained."""
    return (folder / "log").read_text(errors="replace")[-TAIL:]


def _kill(process: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


def _group_lives(process: int) -> bool:
    """Whether the command's workers live, also those that were begun last."""
    with suppress(ProcessLookupError):
        os.killpg(process, 0)
        return True
    return False


def digests(output: Path) -> dict[str, str]:
    """SHA-256 of each output."""
    return {name: hashlib.sha256(data).hexdigest() for name, data in tree(output).items()}


def check(output: Path, expected: dict[str, str]) -> None:
    """Raise AssertionError unless outputs, manifest and folder are as they should be."""
    made = digests(output)
    assert made == expected, f"other outputs: {made}"
    assert not leftovers(output), f"left over: {leftovers(output)}"
    manifest = json.loads((output / "manifest.json").read_text())
    told = {row["file"]: row["output_sha256"] for row in manifest["files"]}
    assert told == expected, f"the manifest tells {told}"


@contextmanager
def place(way: str, folder: Path) -> Iterator[Path]:
    """Where a round's outputs go; a file system of their own where that is to fill."""
    made = Path(tempfile.mkdtemp(dir=folder))
    if way == "full":
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={ROOM_MB}m", "tmpfs", str(made)], check=True
        )
    try:
        yield made / "out"
    finally:
        if way == "full":
            subprocess.run(["umount", str(made)], check=True)
        shutil.rmtree(made)


def rounds(
    count: int, ways: list[str], seed: int, say: Callable[[str], None], *, forking: bool
) -> int:
    """Go through the ways in turn; how many rounds went wrong."""
    chance, wrong = random.Random(seed), 0
    with tempfile.TemporaryDirectory(prefix="ciaovideo-kills-") as name:
        folder = Path(name)
        source = make_sources(folder / "in", **FRAMES)
        make_clip(source / "d.mp4", width=48, height=32, seconds=0.25, sound=True)
        base = ["batch", str(source), "--model", "bicubic", "--segment", str(SEGMENT)]
        base += ["--no-disk-check", "--json", "--retries", "9"]
        base += ["--workers", "2"]
        first = Command.begin([*base, "-o", str(folder / "first")], folder, forking=forking)
        if first.wait():
            raise SystemExit(f"undisturbed, it ends with {first.code}: {complaints(folder)}")
        expected = digests(folder / "first")
        most = len(first.events)
        for number in range(count):
            for way in ways:
                with place(way, folder) as output:
                    words = [*base, "-o", str(output)]
                    one = Round(output, words, random.Random(chance.random()), folder, forking)
                    began, text = time.monotonic(), "ok"
                    try:
                        told = one.disturb(way, most)
                        one.mend()
                        check(output, expected)
                    except AssertionError as error:
                        wrong += 1
                        text = f"WRONG {error}"
                    say(f"{number + 1} {way}: {told}; {text}, {time.monotonic() - began:.0f} s")
    return wrong


def main() -> None:
    """Disturb, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("count", type=int, help="rounds in each way")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--spawn", action="store_true", help="begin workers as they always do")
    arguments = parser.parse_args()
    ways = [way for way in arguments.ways if way != "full" or os.geteuid() == 0]

    def say(line: str) -> None:
        print(line, flush=True)

    forking = not arguments.spawn
    wrong = rounds(arguments.count, ways, arguments.seed, say, forking=forking)
    print(f"{arguments.count * len(ways)} rounds, {wrong} wrong")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    import ciaovideo.cli.batch.command
    import ciaovideo.cli.batch.progress
    import ciaovideo.cli.batch.survey
    import ciaovideo.jobs.tasks  # noqa: F401  # once, and not in each command

    main()

"""Prints a batch's progress: bars on a terminal, else a line a minute; or JSON events."""

import json
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from tqdm import tqdm

from ciaovideo.cli.json_output import to_plain
from ciaovideo.cli.progress import LINE_EVERY_S, has_width

if TYPE_CHECKING:
    from ciaovideo.jobs.job import Event
    from ciaovideo.jobs.progress import Snapshot

NAME_WIDTH = 32  # of a file's name in a worker's bar
# Without tqdm's own time left: it goes by frames, though those of other files cost more or less.
WHOLE_BAR = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}, {rate_fmt}{postfix}]"
WORKER_BAR = "{l_bar}{bar}| {n_fmt}/{total_fmt} frames"  # its task has just begun, its bar has not


class BatchPrinter:
    """Prints a batch's events and progress on standard error. A context manager.

    With ``events``, each event is a line of JSON on standard output instead.
    """

    def __init__(
        self, *, quiet: bool, events: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._quiet, self._events, self._clock = quiet, events, clock
        self._bars = has_width() and not quiet and not events
        self._stack = ExitStack()
        self._whole: tqdm[Any] | None = None
        self._workers: dict[str, tqdm[Any]] = {}
        self._next_line = clock() + LINE_EVERY_S

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def say(self, text: str) -> None:
        """Print a line, above any bars."""
        if self._quiet or self._events:
            return
        if self._bars:
            tqdm.write(text, file=sys.stderr)
        else:
            print(text, file=sys.stderr, flush=True)

    def others(self, suffixes: Mapping[str, int]) -> None:
        """Print how many files of other kinds the folders hold."""
        if suffixes:
            count = sum(suffixes.values())
            kinds = ", ".join(sorted(suffix or "no suffix" for suffix in suffixes))
            many = "file of another kind is" if count == 1 else "files of other kinds are"
            self.say(f"{count} {many} ignored: {kinds}")

    def event(self, event: "Event") -> None:
        """Print an event."""
        if self._events:
            line = {"event": event.kind, "time": time.time(), "file": event.name, **event.facts}
            print(json.dumps(line, default=to_plain), flush=True)
            return
        facts = event.facts
        match event.kind:
            case "begin":
                self.say(f"{_files(facts['files'])}")
            case "done":
                self.say(f"{facts['output']}: {facts['frames']} frames, verified")
                for finding in facts["findings"]:
                    if finding["kind"] in ("lost", "guessed", "damaged"):
                        self.say(f"  {finding['kind']}: {finding['text']}")
            case "retry":
                self.say(f"{event.name}: {facts['problem']}; retried in {facts['wait_s']:g} s")
            case "fail":
                hint = f" ({facts['hint']})" if facts["hint"] else ""
                self.say(f"{event.name}: failed: {facts['problem']}{hint}")
            case "end":
                self._stack.close()
                self._whole = None
                self._workers = {}
                left = facts["waiting"] + facts["working"]
                text = f"{_files(facts['done'])} done, {facts['failed']} failed"
                self.say(text + (f", {left} left" if left else ""))

    def tick(self, snapshot: "Snapshot") -> None:
        """Draw the state of the batch."""
        if self._bars:
            self._draw(snapshot)
        elif not self._quiet and not self._events and self._clock() >= self._next_line:
            while self._next_line <= self._clock():
                self._next_line += LINE_EVERY_S
            print(described(snapshot), file=sys.stderr, flush=True)

    def _draw(self, snapshot: "Snapshot") -> None:
        if self._whole is None:
            done = snapshot.frames - snapshot.new_frames
            self._whole = self._bar(0, initial=done)
        counts = snapshot.counts
        self._whole.total = snapshot.total or None
        self._whole.set_description_str(f"{counts.done}/{counts.files} files")
        left = snapshot.left_s
        words = [f"{timedelta(seconds=round(left))} left"] if left is not None else []
        words += [f"{counts.failed} failed"] if counts.failed else []
        self._whole.set_postfix_str(", ".join(words))
        self._whole.update(snapshot.frames - self._whole.n)
        for bar in self._workers.values():
            bar.total, bar.n = None, 0
        for state in snapshot.workers:
            if state.worker not in self._workers:
                self._workers[state.worker] = self._bar(len(self._workers) + 1)
            bar = self._workers[state.worker]
            bar.total, bar.n = state.total or None, state.frames
        tasks = {state.worker: f"{state.task} {_short(state.name)}" for state in snapshot.workers}
        for worker, bar in self._workers.items():
            bar.set_description_str(f"worker {worker}: {tasks.get(worker, 'idle')}")

    def _bar(self, position: int, *, initial: int = 0) -> "tqdm[Any]":
        bar = tqdm(
            initial=initial,
            unit=" frames",
            position=position,
            leave=position == 0,
            bar_format=WORKER_BAR if position else WHOLE_BAR,
            file=sys.stderr,
            dynamic_ncols=True,
        )
        return self._stack.enter_context(bar)


def _short(name: str) -> str:
    """The end of a file's name, as far as a bar has room for it."""
    return name if len(name) <= NAME_WIDTH else f"...{name[3 - NAME_WIDTH :]}"


def described(snapshot: "Snapshot") -> str:
    """The state of a batch, in one line."""
    counts, rate = snapshot.counts, snapshot.new_frames / max(snapshot.elapsed_s, 1e-9)
    text = f"{counts.done} of {_files(counts.files)}, {snapshot.frames} frames"
    if snapshot.total:
        text += f" of {snapshot.total}"
    text += f", {rate:.2f} frames/s"
    if snapshot.left_s is not None:
        text += f", {timedelta(seconds=round(snapshot.left_s))} left"
    return text + (f", {counts.failed} failed" if counts.failed else "")


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"

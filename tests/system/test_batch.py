"""Batches of real processes: killed at random moments, interrupted, and given again."""

import json
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from ciaovideo.cli.main import run
from ciaovideo.jobs.job import Event
from ciaovideo.jobs.workers.local import LocalWorkers
from ciaovideo.storage.claims import ledger_path
from tests.batches import SEGMENT, carry_out, leftovers, make_sources, singles, tree
from tests.processes import Process, command, fresh, python
from tests.waiting import ENDS_S, wait_until

pytestmark = pytest.mark.slow

WORDS = ("--model", "bicubic", "--segment", str(SEGMENT), "--retries", "9", "--no-disk-check")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_sources(tmp_path / "in", a=45, b=10)


@pytest.fixture
def expected(source: Path, tmp_path: Path) -> dict[str, bytes]:
    """What runs of single files write, on as many threads as a worker of two has."""
    return singles(source, tmp_path)


def test_workers_are_killed_at_random_moments(
    source: Path, expected: dict[str, bytes], tmp_path: Path, forked_workers: None
) -> None:
    """The command goes on with others; what they were at is made again."""
    before = psutil.Process().children()
    chance = random.Random(5)
    killed: list[int] = []

    def kill(event: Event) -> None:
        if event.kind in ("segment", "plan", "done") and len(killed) < 3 and chance.random() < 0.4:
            begun = [p for p in psutil.Process().children() if p not in before]
            victim = chance.choice([p for p in begun if "tracker" not in str(p.cmdline())])
            killed.append(victim.pid)
            victim.kill()

    with LocalWorkers(2, cores=2) as workers:
        code, told = carry_out(source, output := tmp_path / "out", workers, on_event=kill)
    assert code == 0
    assert killed
    assert told.kinds("retry")
    assert tree(output) == expected
    assert not leftovers(output)


def test_the_command_is_killed_at_random_moments_and_given_again(
    source: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    """Its workers end with it; the next command takes its place and what is finished."""
    chance = random.Random(8)
    output = tmp_path / "out"
    words = ["batch", source, "-o", output, *WORDS, "--json"]
    segments: list[tuple[str, int]] = []
    for left in (chance.randrange(2, 5), chance.randrange(2, 5)):
        with command(*words, stderr=None) as process:
            workers: list[psutil.Process] = []
            for line in process.stdout or ():
                event = json.loads(line)
                if event["event"] == "segment":
                    segments.append((event["file"], event["start"]))
                    workers = psutil.Process(process.pid).children()
                    left -= 1
                if not left:
                    break
            assert workers
            process.kill()
        wait_until(lambda: not any(worker.is_running() for worker in workers))  # noqa: B023
    assert run(["batch", "status", str(output)]) == 0
    process = command(*words, stderr=None)
    told, _ = process.communicate(timeout=ENDS_S)
    assert process.returncode == 0
    events = [json.loads(line) for line in told.splitlines()]
    segments += [(e["file"], e["start"]) for e in events if e["event"] == "segment"]
    assert len(segments) == len(set(segments)), "a finished segment was made twice"
    assert tree(output) == expected
    assert not leftovers(output)


@pytest.mark.parametrize(("times", "start"), [(1, fresh), (2, python)], ids=["once", "twice"])
def test_ctrl_c(
    times: int,
    start: Callable[..., Process],
    source: Path,
    expected: dict[str, bytes],
    tmp_path: Path,
    forked_workers: None,
) -> None:
    """Once: what is at work ends. Twice: nothing is waited for. What is finished is kept."""
    output = tmp_path / "out"
    words = ["batch", source, "-o", output, *WORDS, "--json"]
    with command(*words, start=start, start_new_session=True) as process:
        assert process.stdout
        assert process.stderr
        for line in process.stdout:
            if json.loads(line)["event"] == "segment":
                break
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: workers get it, too
        if times == 2:
            while b"again stops at once" not in process.stderr.readline():
                pass
            os.killpg(process.pid, signal.SIGINT)
        ended = [json.loads(line) for line in process.stdout]
        assert process.wait(ENDS_S) == 130
    segments = sorted(ledger_path(output / "a.mkv").glob("*"))
    assert segments
    assert {path.suffix for path in segments} == {".segment"}
    assert any(event["event"] == "end" for event in ended) or times == 2
    assert run(["batch", str(source), "-o", str(output), *WORDS, "-q"]) == 0
    assert tree(output) == expected
    assert not leftovers(output)

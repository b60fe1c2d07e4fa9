"""A batch on a Dask cluster: a real scheduler and real workers, of which some die or come late."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ciaovideo.errors import JobError
from ciaovideo.jobs import work
from ciaovideo.jobs.job import BatchOptions, Event
from tests.batches import SEGMENT, carry_out, leftovers, make_sources, singles, tree
from tests.processes import Process, command, python
from tests.waiting import ENDS_S, wait_until

distributed = pytest.importorskip("distributed", reason="the extra cluster is not installed")
cluster = pytest.importorskip("ciaovideo.jobs.workers.cluster")

pytestmark = pytest.mark.slow

MIXED = BatchOptions(mixed=True, retries=9)


class Cluster:
    """A scheduler, and workers that may be killed."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "scheduler.json"
        self.processes: list[Process] = []
        self._start("scheduler", "--port", "0", "--no-dashboard")
        wait_until(lambda: self.file.is_file() and self.file.read_text().endswith("}"))
        self.address: str = json.loads(self.file.read_text())["address"]

    def worker(self) -> Process:
        return self._start("worker", "--nthreads", "1", "--no-nanny", "--no-dashboard")

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait(ENDS_S)

    def _start(self, kind: str, *words: str) -> Process:
        words = (f"distributed.cli.dask_{kind}", *words, "--scheduler-file", str(self.file))
        process = python("-m", *words, stderr=subprocess.DEVNULL)
        self.processes.append(process)
        return process


@pytest.fixture
def small_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    started = Cluster(tmp_path_factory.mktemp("cluster"))
    yield started
    started.close()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_sources(tmp_path / "in", a=61, b=10)


@pytest.fixture
def expected(source: Path, tmp_path: Path) -> dict[str, bytes]:
    return singles(source, tmp_path)


def test_a_worker_dies_one_comes_late_and_the_folder_vanishes(
    source: Path,
    expected: dict[str, bytes],
    tmp_path: Path,
    small_cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(work, "WAITS_S", (0.5,))
    monkeypatch.setattr(cluster, "LOOK_EVERY_S", 0.5)
    first = small_cluster.worker()
    output, away = tmp_path / "out", tmp_path / "away"
    seen: list[str] = []

    def disturb(event: Event) -> None:
        seen.append(event.kind)
        if event.kind == "segment" and seen.count("segment") == 1:
            small_cluster.worker()
        if event.kind == "segment" and seen.count("segment") == 2:
            output.rename(away)
        if event.kind == "retry" and away.is_dir():
            away.rename(output)
        if event.kind == "segment" and seen.count("segment") == 5:
            first.kill()

    with cluster.ClusterWorkers(small_cluster.address) as workers:
        code, told = carry_out(source, output, workers, options=MIXED, on_event=disturb)
    assert code == 0
    assert told.kinds("retry")
    used = {event.facts["worker"] for event in told.events if event.kind == "segment"}
    assert len(used) == 2
    assert tree(output) == expected
    assert not leftovers(output)


def test_the_client_is_killed_and_the_next_one_goes_on(
    source: Path, expected: dict[str, bytes], tmp_path: Path, small_cluster: Cluster
) -> None:
    small_cluster.worker()
    output = tmp_path / "out"
    words = ["batch", source, "-o", output, "--json"]
    words += ["--model", "bicubic", "--segment", str(SEGMENT), "--no-disk-check"]
    words += ["--cluster", small_cluster.address, "--same-bits"]
    with command(*words, stderr=None) as process:
        for line in process.stdout or ():
            if json.loads(line)["event"] == "segment":
                break
        process.kill()
    process = command(*words, stderr=None)
    told, _ = process.communicate(timeout=ENDS_S)
    assert process.returncode == 0
    planned = [json.loads(line) for line in told.splitlines()]
    assert any(event.get("finished") for event in planned if event["event"] == "plan")
    assert tree(output) == expected
    assert not leftovers(output)


def test_workers_of_other_versions_are_refused(
    small_cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_cluster.worker()
    ours = cluster.versions() | {"torch": "0.1"}
    monkeypatch.setattr(cluster, "versions", lambda: ours)
    with pytest.raises(JobError, match=r"torch .*0\.1"):
        cluster.ClusterWorkers(small_cluster.address)

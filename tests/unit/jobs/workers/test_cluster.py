"""Which workers of a cluster are used; tests/system/test_cluster.py has a real one."""

from typing import Any

import pytest

from ciaovideo.errors import JobError

pytest.importorskip("distributed", reason="the extra cluster is not installed")
cluster = pytest.importorskip("ciaovideo.jobs.workers.cluster")

VERSIONS = {"ciaovideo": "1", "torch": "2"}
OLD = {"ciaovideo": "1", "torch": "1"}


class Client:
    """Stands for Dask's: its workers, each with a kind of machine and versions."""

    def __init__(self, **workers: tuple[str, dict[str, str]]) -> None:
        self.workers = workers
        self.asked: list[str] = []

    def subscribe_topic(self, *_: Any) -> None: ...

    def wait_for_workers(self, *_: Any, **__: Any) -> None: ...

    def close(self) -> None: ...

    def scheduler_info(self, **_: Any) -> dict[str, Any]:
        return {"workers": {name: {"resources": {}} for name in self.workers}}

    def run(self, _: Any, *, workers: list[str], **__: Any) -> dict[str, Any]:
        self.asked += workers
        return {name: self.workers[name] for name in workers}


@pytest.fixture
def _versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "versions", lambda: VERSIONS)
    monkeypatch.setattr(cluster, "LOOK_EVERY_S", -1.0)  # workers are listed each time


def used(client: Client, monkeypatch: pytest.MonkeyPatch, **words: bool) -> Any:
    monkeypatch.setattr(cluster.ClusterWorkers, "_connect", lambda *_: client)
    return cluster.ClusterWorkers("somewhere", **words)


@pytest.mark.usefixtures("_versions")
def test_same_bits_keep_to_the_kind_of_most_workers(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client = Client(a=("intel", VERSIONS), b=("amd", VERSIONS), c=("intel", VERSIONS))
    assert used(client, monkeypatch).free == ["a", "b", "c"]
    workers = used(client, monkeypatch, same_bits=True)
    assert workers.free == ["a", "c"]
    client.workers |= {"d": ("amd", VERSIONS), "e": ("amd", VERSIONS), "f": ("intel", VERSIONS)}
    assert workers.free == ["a", "c", "f"]  # the kind stays, though most have another now
    assert workers.count == 3
    told = [record.getMessage() for record in caplog.records]
    assert told == [f"worker {name} is not used: it has amd, not intel" for name in "bde"]
    assert client.asked.count("b") == 2  # once by each


@pytest.mark.usefixtures("_versions")
def test_workers_of_other_versions_are_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client = Client(a=("intel", VERSIONS))
    workers = used(client, monkeypatch)
    client.workers["late"] = "intel", OLD
    assert workers.free == ["a"]
    assert workers.free == ["a"]
    assert [record.getMessage() for record in caplog.records] == [
        "worker late is not used: it has torch 1, this command 2"
    ]
    with pytest.raises(JobError, match="worker late cannot be used: it has torch 1"):
        used(client, monkeypatch)

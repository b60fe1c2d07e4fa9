"""Losses that are read late say the same as those that are read at once; time for data is seen."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
import torch

from ciaovideo.errors import NonFiniteError
from ciaovideo.train import loop
from ciaovideo.train.loop import WEIGHTS
from ciaovideo.train.report.meter import LATE, DataShare, SmoothedLoss
from tests.runs import assert_same, saved, small_runs, trainer

CPU, OTHER = torch.device("cpu"), torch.device("meta")  # the second computes nothing here


@pytest.fixture(autouse=True)
def _in_a_folder_with_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with small_runs(tmp_path, monkeypatch):
        yield


def test_when_a_loss_is_read_changes_nothing() -> None:
    values = torch.rand(2 * LATE + 3, generator=torch.Generator().manual_seed(1))
    at_once, late = SmoothedLoss(CPU), SmoothedLoss(OTHER)
    for value in values:
        assert at_once.add(value) is None
        assert late.add(value) is None
    assert at_once.value != late.value
    assert late.read() is None
    assert late.value == at_once.value
    assert late.read() is None
    assert late.value == at_once.value


def test_a_loss_that_is_no_number_is_told_with_its_step() -> None:
    losses = SmoothedLoss(OTHER)
    for value in [1.0, torch.inf, 1.0, torch.nan, *[1.0] * (LATE - 5)]:
        assert losses.add(torch.tensor(value)) is None
    assert losses.add(torch.tensor(1.0)) == LATE - 2
    assert SmoothedLoss(CPU).add(torch.tensor(torch.nan)) == 0


def test_a_run_that_reads_late_is_the_same_run(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = trainer("whole")
    monkeypatch.setattr(loop, "SmoothedLoss", lambda _: SmoothedLoss(OTHER))
    late = trainer("late")
    late.record.every = 100
    whole.run()
    late.run()
    assert_same(saved("late"), saved("whole"))
    diverging = trainer("diverging", "optim.learning_rate=1e30", "optim.clip_norm=0")
    diverging.record.every = 100
    with pytest.raises(NonFiniteError, match=r"at step [23]$|at step [23]:"):
        diverging.run()
    assert not (Path("diverging") / WEIGHTS).exists()


@pytest.mark.gpu
def test_no_step_waits_for_the_gpu() -> None:
    run = trainer(device="cuda")
    run.prepare()
    run.train_step()
    torch.cuda.set_sync_debug_mode("error")
    try:
        run.train_step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_the_share_of_time_for_data() -> None:
    share = DataShare(CPU)
    assert share.value == 0
    share.add(1.0, 2.0, 5.0)
    assert share.value == pytest.approx(0.25)
    share.add(5.0, 9.0, 9.0)
    assert share.value == pytest.approx((0.98 + 4) / (0.98 * 4 + 4))
    assert isinstance(share.mark(), float)


def test_a_run_tells_the_share(monkeypatch: pytest.MonkeyPatch) -> None:
    run = trainer()
    moments = count()  # three in a step, a second from each to the next
    monkeypatch.setattr(DataShare, "mark", lambda _: float(next(moments)))
    shares: list[float] = []
    run.run(lambda progress: shares.append(progress.data))
    assert shares == pytest.approx([0.5] * run.step)

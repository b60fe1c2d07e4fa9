"""Runs on degraded pictures, with a discriminator: what belongs to them and what does not."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ciaovideo.errors import MismatchedWeightsError
from ciaovideo.train.loop import FIRST_STAGE, WEIGHTS
from tests.runs import TWO_STAGES, saved, small_runs, trainer


@pytest.fixture(autouse=True)
def _in_a_folder_with_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with small_runs(tmp_path, monkeypatch):
        yield


def test_a_discriminator_and_its_absence_are_part_of_a_run() -> None:
    trainer("run", *TWO_STAGES, minutes=0).run()
    assert "objective" in saved("run")
    with pytest.raises(MismatchedWeightsError, match="another loss"):
        trainer("run", "data.window=true")
    with pytest.raises(MismatchedWeightsError, match="discriminator"):
        trainer("run", *TWO_STAGES, "loss.discriminator_channels=5")
    trainer("plain", minutes=0).run()
    assert "objective" not in saved("plain")
    with pytest.raises(MismatchedWeightsError, match="another loss"):
        trainer("plain", *TWO_STAGES)


@pytest.mark.heavy
def test_weights_between_the_stages_are_kept() -> None:
    trainer("run", *TWO_STAGES, minutes=0).run()
    kept = Path("run") / FIRST_STAGE
    assert not kept.exists()
    trainer("run", *TWO_STAGES).run()
    first = trainer("first", *TWO_STAGES)
    first.run(lambda progress: first.stop() if progress.step == 4 else None)
    assert kept.read_bytes() == (Path("first") / WEIGHTS).read_bytes()
    assert kept.read_bytes() != (Path("run") / WEIGHTS).read_bytes()
    trainer("plain", "loss.from_step=4").run()
    assert not (Path("plain") / FIRST_STAGE).exists()


def test_degraded_pictures_are_trained_on() -> None:
    for folder, share in (("plain", "0"), ("worn", "1")):
        trainer(folder, *TWO_STAGES, f"data.degradation.share={share}", minutes=0).run()
    assert saved("worn")["loss"] > 1.1 * saved("plain")["loss"]

"""The training run: draw, predict, loss, step; checkpoints on the way."""

import logging
import math
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ciaovideo.data.images import load_pictures
from ciaovideo.engine.engine import choose_device
from ciaovideo.engine.memory import exhaustion_named
from ciaovideo.errors import (
    CiaoVideoError,
    CorruptWeightsError,
    EncodeError,
    MismatchedWeightsError,
    NonFiniteError,
    OptionError,
)
from ciaovideo.models.weights import save
from ciaovideo.storage.atomic import replacing
from ciaovideo.train.gradients.learner import Learner
from ciaovideo.train.objective.losses import Objective
from ciaovideo.train.optimizer import PART_RATE, make_optimizer
from ciaovideo.train.ranks import SINGLE_PROCESS, Ranks, gradients
from ciaovideo.train.recipe import Recipe
from ciaovideo.train.report.curves import CURVES, draw_run
from ciaovideo.train.report.meter import DataShare, SmoothedLoss
from ciaovideo.train.report.record import EVENTS, LOG, VALIDATION, Record, read_losses, read_psnrs
from ciaovideo.train.report.validation import Validation
from ciaovideo.train.schedule import learning_rate
from ciaovideo.train.start import begin
from ciaovideo.train.state import (
    OBJECTIVE,
    Average,
    claimed,
    load_state,
    load_weights,
    save_state,
)

log = logging.getLogger(__name__)

STATE = "state.pt"
WEIGHTS = "weights.safetensors"
BEST = "best.safetensors"
FIRST_STAGE = "first-stage.safetensors"
FILES = frozenset({STATE, WEIGHTS, BEST, FIRST_STAGE, CURVES, EVENTS, LOG, VALIDATION})  # of a run

KEPT_OPTIONS = ("betas", "decay", "fused", PART_RATE)  # of an optimizer: the recipe's, not a file's
# Errors of writing a file; RuntimeError is torch's.
UNWRITABLE = (OSError, RuntimeError)
LESS = "lower data.batch or data.queries, or free memory; the last checkpoint is kept"


@dataclass(frozen=True, slots=True)
class TrainProgress:
    """Progress of a run: steps done, length of the schedule, smoothed loss, steps and samples/s.

    ``data`` is the share of time in which the network waits for its batch. On a GPU, it and the
    loss lag some steps behind. ``psnrs`` are dB by scale, if they were measured after this step;
    ``best`` is the best mean so far.
    """

    step: int
    steps: int
    loss: float
    rate: float
    samples: float
    data: float
    best: float
    psnrs: Mapping[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How a run is carried out; nothing here changes the weights.

    The processes of a run (``ranks``) have the same options, except for the device.
    """

    folder: Path
    device: str = "cpu"
    minutes: float = math.inf
    save_minutes: float = 5.0
    ranks: Ranks = SINGLE_PROCESS


class Trainer:
    """One run in a folder: ``state.pt`` to resume from, ``weights.safetensors``, ``log.csv``.

    With a validation folder also ``best.safetensors`` and ``validation.csv``; for a two-stage
    recipe ``first-stage.safetensors``, the averaged weights between the stages; ``curves.png`` at
    the end. ``notices`` name what is missing. A run resumes from the checkpoint in its folder and
    ends with the weights of an uninterrupted run: all random draws come from one generator, which
    is saved.
    """

    @exhaustion_named("training", LESS)
    def __init__(self, recipe: Recipe, run: RunOptions) -> None:
        self.recipe = recipe
        self.run_options = run
        self.device = choose_device(run.device)
        self.ranks = run.ranks
        optim = recipe.options.optim
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(optim.seed)
            self.network = recipe.build()
            self.objective = Objective(recipe.options.loss, self.device)
        self.notices: list[str] = []
        if recipe.options.start is not None:
            parts = recipe.options.start_with
            self.notices += begin(self.network, recipe.options.start, recipe.network, parts)
        self.network.to(self.device).to(memory_format=torch.channels_last)
        self.optimizer = make_optimizer(self.network, optim)
        self.average = Average(self.network, optim.ema)
        self.learner = Learner(self.network, self.objective, recipe.options, run.ranks)
        self.step = 0
        self._loss = SmoothedLoss(self.device)
        self._share = DataShare(self.device)
        self.best = -math.inf  # mean PSNR of BEST, in dB
        self.record = Record(run.folder, optim.steps)
        self._validation: Validation | None = None
        self._stopped = False
        if (run.folder / STATE).is_file():
            self._resume(run.folder / STATE)

    @property
    def loss(self) -> float:
        """The smoothed L1; on a GPU it lags some steps behind."""
        return self._loss.value

    @property
    def finished(self) -> bool:
        """Whether all steps are done."""
        return self.step >= self.recipe.options.optim.steps

    @exhaustion_named("training", LESS)
    def prepare(self) -> int:
        """Make the folder and read the pictures; returns their number. ``run`` does it, too."""
        store = self.learner.store
        if store is None:
            data = self.recipe.options.data
            sources = self.recipe.sources()
            validation = self.recipe.options.validation
            if validation.folder is not None and self.ranks.first:
                self._validation = Validation(
                    validation, validation.folder, self.network, self.device
                )
            self._make_folder()
            side = round(data.patch * data.high_scale)
            store = load_pictures(
                sources, side, every=data.every, exclude=data.exclude, sizes=data.sizes
            )
            self.learner.take(store)
            self.ranks.agree(f"step {self.step}, {len(store)} pictures")
        return len(store)

    def stop(self) -> None:
        """Have ``run`` save and return after the current step; signal handlers may call this.

        With several processes, one call is enough.
        """
        self._stopped = True

    def run(self, on_progress: Callable[[TrainProgress], None] = lambda _: None) -> None:
        """Train until the last step, the time limit or ``stop``; save at the end.

        Saves at intervals too, always between two steps. An exception, even KeyboardInterrupt,
        leaves the last checkpoint unchanged. Raises NonFiniteError if training diverges,
        BackendError if another process of the run has ended, OutputExistsError if another run uses
        the folder. Only the first process reports progress.
        """
        self.prepare()
        with claimed(self.run_options.folder) if self.ranks.first else nullcontext():
            self._run(on_progress)

    @exhaustion_named("training", LESS)
    def _run(self, on_progress: Callable[[TrainProgress], None]) -> None:
        """``run``, with the folder locked for this run."""
        started = saved = time.monotonic()
        first = self.step
        over = False
        if not self.finished and self.ranks.first:
            self.notices += filter(None, [self.record.start(first)])
        try:
            while not self.finished and not self.ranks.any(self._stopped or over):
                self.train_step()
                if not self.ranks.first:
                    continue
                psnrs = self._validate()
                if self.step == self._second_stage:
                    self._write(FIRST_STAGE)
                now = time.monotonic()
                rate = (self.step - first) / max(now - started, 1e-9)
                on_progress(self._progress(rate, psnrs))
                over = now - started >= 60 * self.run_options.minutes
                if not over and now - saved >= 60 * self.run_options.save_minutes:
                    self.save()
                    saved = now
        finally:
            self.record.close()
        if self.ranks.first and (
            self.step > first or not (self.run_options.folder / WEIGHTS).is_file()
        ):
            self.save()
            self._draw()
        self.ranks.any(False)  # no process leaves before all files are written
        log.info("%s: %d steps, L1 %.5f", self.recipe.name, self.step, self.loss)

    def save(self) -> None:
        """Write the checkpoint, the averaged weights and a line of the log."""
        self._check(self._loss.read())
        if not self.average.finite():
            raise self._diverged()
        folder = self.run_options.folder
        try:
            self.record.flush(self.step, self.loss)
            save_state(folder / STATE, self._state())
            self._write(WEIGHTS)
        except UNWRITABLE as cause:
            raise self._unwritable(cause) from cause

    def _progress(self, rate: float, psnrs: Mapping[float, float] | None) -> TrainProgress:
        """Progress after the current step, which is also recorded."""
        optim, samples = self.recipe.options.optim, self.recipe.options.data.batch * rate
        if self.record.due(self.step):
            self._check(self._loss.read())
            figures = {
                "loss": self.loss,
                "learning_rate": learning_rate(self.step - 1, optim),
                "samples_per_s": samples,
                "data_share": self._share.value,
            }
            self.record.trained(self.step, figures)
        return TrainProgress(
            step=self.step,
            steps=optim.steps,
            loss=self.loss,
            rate=rate,
            samples=samples,
            data=self._share.value,
            best=self.best,
            psnrs=psnrs,
        )

    def _validate(self) -> dict[float, float] | None:
        """Measure the averaged weights if it is due, and keep them if they are the best."""
        due = self.finished or self.step % self.recipe.options.validation.steps == 0
        if self._validation is None or not due:
            return None
        psnrs = self._validation.measure(self.average.weights)
        self.record.validated(self.step, psnrs)
        mean = statistics.fmean(psnrs.values())
        if mean > self.best:
            self.best = mean
            self._write(BEST)
        return psnrs

    @property
    def _second_stage(self) -> int:
        """The step at which the second stage begins; 0 without one."""
        loss = self.recipe.options.loss
        return loss.from_step if loss.looks_at_neighbours else 0

    def _write(self, name: str) -> None:
        """Write the averaged weights, whole or not at all."""
        try:
            with replacing(self.run_options.folder / name) as part:
                save(part, self.recipe.network, self.average.weights, torch.float32)
        except UNWRITABLE as cause:
            raise self._unwritable(cause) from cause

    def _draw(self) -> None:
        """Draw the run so far."""
        folder = self.run_options.folder
        crops = self._validation.crops(self.average.weights) if self._validation else []
        title = f"{self.recipe.name} after step {self.step}"
        try:
            draw_run(folder / CURVES, title, read_losses(folder), read_psnrs(folder), crops)
        except OSError as cause:
            raise self._unwritable(cause) from cause

    def _unwritable(self, cause: Exception) -> EncodeError:
        return EncodeError(
            f"{self.run_options.folder}: the checkpoint cannot be written ({cause})",
            "make room on the disk",
        )

    def _make_folder(self) -> None:
        folder = self.run_options.folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as cause:
            raise OptionError(f"{folder}: {cause.strerror}", "name another folder") from cause

    def train_step(self) -> None:
        """Make one step; ``run`` makes all. Needs ``prepare``. Raises NonFiniteError."""
        optim = self.recipe.options.optim
        rate = learning_rate(self.step, optim)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get(PART_RATE, 1.0)
        begin = self._share.mark()
        batch = self.learner.draw()
        ready = self._share.mark()
        self.optimizer.zero_grad(set_to_none=True)
        distance, parts = self.learner.learn(batch, self.step)
        self.ranks.average([*gradients(self.network), distance])
        if optim.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), optim.clip_norm)
        self.optimizer.step()
        for sr, _, natural, _ in parts:
            self.objective.learn(sr, natural, self.step, rate, ranks=self.ranks)
        self.step += 1
        self.average.update(self.network, self.step)
        self._share.add(begin, ready, self._share.mark())
        self._check(self._loss.add(distance))

    def _check(self, ago: int | None) -> None:
        """Raise NonFiniteError if a loss was NaN or Inf, so many steps ago."""
        if ago is not None:
            raise self._diverged(ago)

    def _diverged(self, ago: int = 0) -> NonFiniteError:
        return NonFiniteError(
            f"{self.recipe.name}: NaN or Inf at step {self.step - ago}",
            "lower optim.learning_rate, or set optim.clip_norm; the last checkpoint is kept",
        )

    def _state(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.weights,
            "generator": self.learner.drawn,
            "step": self.step,
            "loss": self.loss,
            "best": [self.best, repr(self.recipe.options.validation)],
        } | ({OBJECTIVE: objective} if (objective := self.objective.state_dict()) else {})

    def _resume(self, path: Path) -> None:
        """Resume from a checkpoint; raises CorruptWeightsError for anything else."""
        state = load_state(path)
        try:
            self._restore(state)
        except CiaoVideoError:
            raise
        except Exception as cause:  # a damaged file may hold anything
            raise CorruptWeightsError(
                f"{path} is damaged ({type(cause).__name__}: {cause})",
                "start over in an empty folder",
            ) from cause

    def _restore(self, state: dict[str, Any]) -> None:
        load_weights(self.network, state["network"], self.run_options.folder / STATE)
        self.average.restore(state["average"])
        saved, ours = state["optimizer"]["param_groups"], self.optimizer.param_groups
        if len(saved) != len(ours):
            raise MismatchedWeightsError(
                f"{self.run_options.folder / STATE} belongs to a run with another optimizer",
                "resume with the recipe that wrote it",
            )
        for group, now in zip(saved, ours, strict=True):  # the recipe decides, not the file
            group |= {name: now[name] for name in KEPT_OPTIONS if name in now}
        self.optimizer.load_state_dict(state["optimizer"])
        self.objective.restore(state.get(OBJECTIVE, {}), self.run_options.folder / STATE)
        self.learner.restore(state["generator"])
        if type(state["step"]) is not int or state["step"] < 0:
            raise TypeError(f"step {state['step']!r}")
        self.step, self._loss.value = state["step"], float(state["loss"])
        best, measured_by = state.get("best", (-math.inf, ""))
        if measured_by == repr(self.recipe.options.validation):  # else it cannot be compared
            self.best = best

"""Records of a run: CSV files and TensorBoard's event files."""

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ciaovideo.storage.atomic import replacing

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

LOG = "log.csv"
VALIDATION = "validation.csv"
EVENTS = "tensorboard"
LINES = 1000  # of the log of a whole run, approximately
WITHOUT_TENSORBOARD = "no TensorBoard files: pip install tensorboard"


class Record:
    """Collects a run's figures; ``flush`` writes the new ones.

    ``log.csv`` has lines of step and smoothed loss, ``validation.csv`` lines of step, scale and
    PSNR. Lines are written just before the checkpoint of their step. A resumed run drops those
    after its checkpoint, so each line appears once even if a run is killed. ``tensorboard/`` needs
    that package.
    """

    def __init__(self, folder: Path, steps: int) -> None:
        self.folder = folder
        self.every = max(1, steps // LINES)
        self._losses: list[list[str]] = []
        self._psnrs: list[list[str]] = []
        self._events: SummaryWriter | None = None
        self._kept = math.inf  # lines in the files up to this step belong to the run

    def start(self, step: int) -> str:
        """Open the event files; returns a note for the user if that fails."""
        self._kept = step
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return WITHOUT_TENSORBOARD
        try:
            self._events = SummaryWriter(str(self.folder / EVENTS), purge_step=step + 1)
        except OSError as cause:
            return f"no TensorBoard files: {cause}"
        return ""

    def due(self, step: int) -> bool:
        """Whether a step is recorded; most are not."""
        return step % self.every == 0

    def trained(self, step: int, figures: Mapping[str, float]) -> None:
        """Record the figures of a step that is due, including "loss"."""
        self._losses.append([str(step), f"{figures['loss']:.6f}"])
        self._tell(step, figures)

    def validated(self, step: int, psnrs: Mapping[float, float]) -> None:
        """Record PSNR by scale."""
        for scale, psnr in psnrs.items():
            self._psnrs.append([str(step), f"{scale:g}", f"{psnr:.4f}"])
        self._tell(step, {f"psnr/x{scale:g}": psnr for scale, psnr in psnrs.items()})

    def flush(self, step: int, loss: float) -> None:
        """Write all lines, the last of them for this step; raises OSError."""
        logged = self._losses and self._losses[-1][0] == str(step)
        if not logged and math.isfinite(loss):  # a run stopped at once has none
            self._losses.append([str(step), f"{loss:.6f}"])
        _append(self.folder / LOG, self._losses, 2, self._kept)
        if self._psnrs or (self.folder / VALIDATION).is_file():
            _append(self.folder / VALIDATION, self._psnrs, 3, self._kept)
        self._kept = step
        self._losses, self._psnrs = [], []
        if self._events is not None:
            self._events.flush()

    def close(self) -> None:
        """Close the event files."""
        if self._events is not None:
            self._events.close()
            self._events = None

    def _tell(self, step: int, figures: Mapping[str, float]) -> None:
        if self._events is not None:
            for name, value in figures.items():
                self._events.add_scalar(name, value, step)


def read_losses(folder: Path) -> list[tuple[float, float]]:
    """The logged steps and losses."""
    return [(float(step), float(loss)) for step, loss in _lines(folder / LOG, 2)]


def read_psnrs(folder: Path) -> dict[str, list[tuple[float, float]]]:
    """The logged steps and PSNRs, by the name of the scale."""
    found: dict[str, list[tuple[float, float]]] = {}
    for step, scale, psnr in _lines(folder / VALIDATION, 3):
        found.setdefault(f"x{scale}", []).append((float(step), float(psnr)))
    return found


def _append(path: Path, lines: list[list[str]], columns: int, kept: float) -> None:
    """Append lines after those up to step ``kept``; a full disk leaves the file unchanged."""
    first = float(lines[0][0]) if lines else math.inf
    before = _lines(path, columns)
    whole = [
        *(line for line in before if float(line[0]) <= kept and float(line[0]) < first),
        *lines,
    ]
    with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as sink:
        csv.writer(sink).writerows(whole)


def _lines(path: Path, columns: int) -> list[list[str]]:
    """The lines with one number per column; other lines are skipped."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8", errors="replace") as source:
        return [line for line in csv.reader(source) if len(line) == columns and _numbers(line)]


def _numbers(line: list[str]) -> bool:
    try:
        list(map(float, line))
    except ValueError:
        return False
    return True

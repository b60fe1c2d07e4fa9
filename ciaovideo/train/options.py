"""The options of a training run, as frozen dataclasses: a recipe sets them."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ciaovideo.config import opt
from ciaovideo.data.degradation.chain import DegradationOptions
from ciaovideo.data.degradation.coded import CodedOptions
from ciaovideo.errors import OptionError
from ciaovideo.options import MAX_SCALE


def _at_least(options: Any, least: int, *names: str) -> None:
    """Raise OptionError for the first of these options that is NaN or below ``least``."""
    for name in names:
        if not getattr(options, name) >= least:
            raise OptionError(f"{name} {getattr(options, name)} is below {least}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataOptions:
    """Data. What each training step sees."""

    sources: tuple[str, ...] = opt(
        (),
        "folders, tars and zips of pictures, and videos, relative to the current folder",
        "PATH,...",
    )
    exclude: tuple[str, ...] = opt(
        (), "names within the sources to skip, with * and ?", "PATTERN,..."
    )
    every: int = opt(24, "use one of so many frames of a video", "N")
    sizes: tuple[float, ...] = opt(
        (1.0,), "sizes of a picture at which it is used, reduced; relative to its own", "SHARE,..."
    )
    patch: int = opt(48, "side of the LR patches", "PX")
    queries: int = opt(2304, "HR pixels predicted for each patch", "N")
    distinct: bool = opt(False, "predict no HR pixel of a patch twice")
    window: bool = opt(False, "predict a square of neighbouring pixels of each patch")
    lattice: int = opt(
        0, "predict instead all pixels in so many rows and so many columns of a patch", "N"
    )
    groups: int = opt(4, "with a lattice: scales drawn per step", "N")
    candidates: int = opt(
        1, "with a lattice: crops drawn, of which the one with most detail is used", "N"
    )
    batch: int = opt(16, "patches in a step", "N")
    low_scale: float = opt(1.0, "least scale drawn", "S")
    high_scale: float = opt(4.0, "largest scale drawn", "S")
    whole_scales: bool = opt(False, "draw only whole numbers between these scales")
    degradation: DegradationOptions = DegradationOptions()
    coded: CodedOptions = CodedOptions()
    worn: float = opt(0.5, "groups that are degraded instead of coded, if both are used", "P")

    def __post_init__(self) -> None:
        _at_least(
            self, 1, "every", "patch", "queries", "batch", "low_scale", "groups", "candidates"
        )
        _at_least(self, 0, "lattice")
        if self.coded.share and not self.lattice:
            raise OptionError(
                "coded patches need lattices",
                "set data.lattice above 0, or data.coded.share to 0",
            )
        if not self.sizes or not all(0 < share <= 1 for share in self.sizes):
            raise OptionError(
                "sizes are not shares of a picture", "name values up to 1, such as 0.5"
            )
        if not 0 < self.worn < 1:
            raise OptionError(f"worn {self.worn:g} is not a share", "use a value between 0 and 1")
        if self.whole_scales and (self.low_scale % 1 or self.high_scale % 1):
            raise OptionError(
                "whole_scales needs whole numbers as bounds", "round low_scale and high_scale"
            )
        if not self.low_scale <= self.high_scale <= MAX_SCALE:
            raise OptionError(
                f"scales from {self.low_scale:g} to {self.high_scale:g} cannot be drawn",
                f"1 <= low_scale <= high_scale <= {MAX_SCALE:g}",
            )
        if not self.lattice:
            self._check_queries()

    def _check_queries(self) -> None:
        smallest = round(self.patch * self.low_scale) ** 2
        side = math.isqrt(self.queries)
        if self.window and (side**2 != self.queries or self.queries > smallest):
            raise OptionError(
                f"{self.queries} queries are not a square within the {smallest} px of a crop",
                f"ask for a square number of queries up to {smallest}",
            )
        if self.distinct and self.queries > smallest:
            raise OptionError(
                f"{self.queries} distinct queries exceed the {smallest} px of a crop",
                "ask for fewer queries, or larger patches",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimOptions:
    """Optimisation. A warm-up, then a cosine, halvings, or a constant rate with a final decay."""

    optimizer: Literal["adam", "muon"] = opt("adam", "Adam, or Muon for the network's matrices")
    steps: int = opt(1_000_000, "length of the schedule", "N")
    learning_rate: float = opt(1e-4, "peak of the schedule", "LR")
    encoder_rate: float = opt(
        1.0, "the encoder's learning rate over the decoder's; 0 freezes it", "R"
    )
    schedule: Literal["cosine", "halving", "constant"] = opt("cosine", "how the rate falls")
    decay_steps: int = opt(0, "steps at the end over which a constant rate falls to zero", "N")
    milestones: tuple[int, ...] = opt(
        (200_000, 400_000, 600_000, 800_000),
        "steps at which the rate is halved, with schedule halving",
        "N,...",
    )
    warmup: int = opt(0, "steps over which the rate rises from zero", "N")
    betas: tuple[float, float] = opt((0.9, 0.99), "Adam's decay of both moments", "B1,B2")
    weight_decay: float = opt(
        0.0, "weight decay of matrices, per step, over the learning rate", "W"
    )
    clip_norm: float = opt(0.0, "limit on the gradient's norm; 0 does not clip", "NORM")
    ema: float = opt(0.999, "decay of the averaged weights; 0 uses the last weights", "DECAY")
    bf16: bool = opt(False, "multiply in bf16 while training")
    seed: int = opt(0, "seed of initial weights and random draws", "N")

    def __post_init__(self) -> None:
        _at_least(self, 1, "steps")
        _at_least(self, 0, "learning_rate", "encoder_rate", "warmup", "decay_steps")
        _at_least(self, 0, "weight_decay", "clip_norm", "ema", "seed")
        if self.seed >= 2**32:
            raise OptionError(f"seed {self.seed} is not below {2**32}")
        if not all(0 <= decay < 1 for decay in (self.ema, *self.betas)):
            raise OptionError("a decay is outside 0 to 1", "ema and both betas are below 1")
        if self.weight_decay and self.optimizer != "muon":
            raise OptionError("weight_decay needs muon", "set optimizer to muon, or leave it out")


@dataclass(frozen=True, slots=True, kw_only=True)
class LossOptions:
    """Loss. L1, joined from a step on by a perceptual loss and by a discriminator's."""

    from_step: int = opt(0, "step at which the second stage begins; before it, only L1", "N")
    squares_from: int = opt(0, "step from which squared differences replace L1; 0 for never", "N")
    l1: float = opt(1.0, "weight of L1 in the second stage", "W")
    steady: float = opt(0.0, "weight of differences between two frames of one scene", "W")
    color: float = opt(0.0, "weight of differences of mean colour over squares of 16 px", "W")
    perceptual: float = opt(
        0.0, "weight of the perceptual loss: structures, or features if given", "W"
    )
    features: Path | None = opt(
        None, "weights of torchvision's vgg19, for a loss of its features", "FILE"
    )
    adversarial: float = opt(0.0, "weight of the discriminator's loss", "W")
    discriminator_channels: int = opt(64, "channels of the discriminator at full size", "N")
    discriminator_rate: float = opt(1.0, "its learning rate over the network's", "R")

    def __post_init__(self) -> None:
        _at_least(
            self,
            0,
            "from_step",
            "squares_from",
            "l1",
            "steady",
            "color",
            "perceptual",
            "adversarial",
            "discriminator_rate",
        )
        _at_least(self, 1, "discriminator_channels")
        if self.features is not None and not self.perceptual:
            raise OptionError("features are given, but perceptual is 0", "set loss.perceptual")

    @property
    def looks_at_neighbours(self) -> bool:
        """Whether the second stage needs squares of pixels."""
        return bool(self.perceptual or self.adversarial or self.color)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationOptions:
    """Validation. PSNR on held-out pictures; the best weights are kept."""

    folder: Path | None = opt(None, "folder of HR pictures; without one nothing is measured", "DIR")
    steps: int = opt(2000, "steps between measurements", "N")
    scales: tuple[float, ...] = opt((2.0, 3.0, 4.0), "scales measured", "S,...")
    pictures: int = opt(0, "number of pictures measured; 0 takes all", "N")

    def __post_init__(self) -> None:
        _at_least(self, 1, "steps")
        _at_least(self, 0, "pictures")
        if not self.scales:
            raise OptionError("validation has no scales", "name one, for example 2")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """A training run except its network."""

    summary: str = opt("", "what the recipe is for")
    licence: str = opt("", "licence of the trained weights, as far as the data decides it")
    start: Path | None = opt(
        None, "initial weights; from a network with another decoder, only its encoder's", "FILE"
    )
    start_with: tuple[str, ...] = opt(
        (),
        "modules that take their weights from start; the others start fresh; empty for all",
        "NAME,...",
    )
    data: DataOptions = DataOptions()
    optim: OptimOptions = OptimOptions()
    loss: LossOptions = LossOptions()
    validation: ValidationOptions = ValidationOptions()

    def __post_init__(self) -> None:
        if self.loss.looks_at_neighbours and not self.data.window:
            raise OptionError(
                "the loss needs neighbouring pixels, but data draws scattered ones",
                "set data.window to true",
            )
        if self.loss.adversarial and self.data.lattice:
            raise OptionError(
                "a discriminator needs pictures of one size, but lattices have several",
                "set data.lattice to 0",
            )

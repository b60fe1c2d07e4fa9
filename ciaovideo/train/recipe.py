"""What a training run is made of, as frozen dataclasses read from TOML."""

import math
import tomllib
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from ciaovideo.config import field_types, from_mapping, opt
from ciaovideo.data.degradation.chain import DegradationOptions
from ciaovideo.data.degradation.coded import CodedOptions
from ciaovideo.errors import CiaoVideoError, MissingInputError, OptionError, UnknownNameError
from ciaovideo.models.protocols import Network
from ciaovideo.models.spec import IMPLICIT, NetworkSpec
from ciaovideo.options import MAX_SCALE

RECIPES = files("ciaovideo.train") / "recipes"
HALVES = ("encoder", "decoder")  # of a network: another one has other options
HINT = "the bundled recipes show what goes together"


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
    every: int = opt(24, "of a video, one frame in so many is taken", "N")
    patch: int = opt(48, "side of the LR patches", "PX")
    queries: int = opt(2304, "HR pixels asked for in each patch", "N")
    distinct: bool = opt(False, "ask for no HR pixel twice in a patch")
    window: bool = opt(False, "ask for a square of neighbouring pixels in each patch")
    lattice: int = opt(
        0, "ask instead for the pixels where so many rows and columns of a patch cross", "N"
    )
    groups: int = opt(4, "with a lattice: scales drawn for a step", "N")
    candidates: int = opt(1, "with a lattice: crops of which the liveliest is taken", "N")
    batch: int = opt(16, "patches in a step", "N")
    low_scale: float = opt(1.0, "least scale drawn", "S")
    high_scale: float = opt(4.0, "largest scale drawn", "S")
    whole_scales: bool = opt(False, "draw only whole numbers between these scales")
    degradation: DegradationOptions = DegradationOptions()
    coded: CodedOptions = CodedOptions()
    worn: float = opt(0.5, "groups that are degraded, where others are coded", "P")

    def __post_init__(self) -> None:
        _at_least(
            self, 1, "every", "patch", "queries", "batch", "low_scale", "groups", "candidates"
        )
        _at_least(self, 0, "lattice")
        if self.coded.share and not self.lattice:
            raise OptionError(
                "coded patches are those of lattices",
                "set data.lattice above 0, or data.coded.share to 0",
            )
        if not 0 < self.worn < 1:
            raise OptionError(f"worn {self.worn:g} is no share", "use a value between 0 and 1")
        if self.whole_scales and (self.low_scale % 1 or self.high_scale % 1):
            raise OptionError("whole_scales needs whole bounds", "round low_scale and high_scale")
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
    """Optimisation. A warm-up, then a cosine, halvings, or a constant rate and its fall."""

    optimizer: Literal["adam", "muon"] = opt("adam", "Adam, or Muon for the matrices of a network")
    steps: int = opt(1_000_000, "length of the schedule", "N")
    learning_rate: float = opt(1e-4, "peak of the schedule", "LR")
    encoder_rate: float = opt(
        1.0, "the encoder's learning rate over the decoder's; 0 freezes it", "R"
    )
    schedule: Literal["cosine", "halving", "constant"] = opt("cosine", "how the rate falls")
    decay_steps: int = opt(0, "steps at the end in which a constant rate falls to zero", "N")
    milestones: tuple[int, ...] = opt(
        (200_000, 400_000, 600_000, 800_000), "steps at which halving halves the rate", "N,..."
    )
    warmup: int = opt(0, "steps over which the rate rises from zero", "N")
    betas: tuple[float, float] = opt((0.9, 0.99), "Adam's decays of both moments", "B1,B2")
    weight_decay: float = opt(0.0, "shrinks the matrices, per step and learning rate", "W")
    clip_norm: float = opt(0.0, "largest norm of the gradient; 0 does not clip", "NORM")
    ema: float = opt(0.999, "decay of the averaged weights; 0 keeps the last ones", "DECAY")
    bf16: bool = opt(False, "multiply in bf16 while training")
    seed: int = opt(0, "of weights and draws", "N")

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
    squares_from: int = opt(
        0, "step from which squared differences take the place of L1; 0 for never", "N"
    )
    l1: float = opt(1.0, "weight of L1 in the second stage", "W")
    steady: float = opt(0.0, "weight of differences between two frames of one scene", "W")
    color: float = opt(0.0, "weight of differences of mean colour over squares of 16 px", "W")
    perceptual: float = opt(0.0, "weight of structures, or of features where there are any", "W")
    features: Path | None = opt(None, "weights of torchvision's vgg19, for its features", "FILE")
    adversarial: float = opt(0.0, "weight of the discriminator's judgement", "W")
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
            raise OptionError("features are given, but their loss has no weight", "set perceptual")

    @property
    def looks_at_neighbours(self) -> bool:
        """Whether the second stage needs squares of pixels."""
        return bool(self.perceptual or self.adversarial or self.color)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationOptions:
    """Validation. PSNR on pictures that are not trained on; the best weights are kept."""

    folder: Path | None = opt(None, "folder of HR pictures; without one nothing is measured", "DIR")
    steps: int = opt(2000, "steps from one measurement to the next", "N")
    scales: tuple[float, ...] = opt((2.0, 3.0, 4.0), "scales measured", "S,...")
    pictures: int = opt(0, "how many pictures of the folder; 0 takes all", "N")

    def __post_init__(self) -> None:
        _at_least(self, 1, "steps")
        _at_least(self, 0, "pictures")
        if not self.scales:
            raise OptionError("validation has no scales", "name one, for example 2")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """A training run, all but its network."""

    summary: str = opt("", "what the recipe is for")
    licence: str = opt("", "licence of the weights it makes, as far as the data decides it")
    start: Path | None = opt(
        None, "weights to begin with; of a network with another decoder, the encoder's", "FILE"
    )
    start_with: tuple[str, ...] = opt(
        (), "modules that take weights of start, the rest being fresh; empty for all", "NAME,..."
    )
    data: DataOptions = DataOptions()
    optim: OptimOptions = OptimOptions()
    loss: LossOptions = LossOptions()
    validation: ValidationOptions = ValidationOptions()

    def __post_init__(self) -> None:
        if self.loss.looks_at_neighbours and not self.data.window:
            raise OptionError(
                "the loss needs neighbouring pixels, and data draws scattered ones",
                "set data.window to true",
            )
        if self.loss.adversarial and self.data.lattice:
            raise OptionError(
                "a discriminator needs pictures of one size, and lattices have several",
                "set data.lattice to 0",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A training run from start to end."""

    name: str
    network: NetworkSpec
    options: TrainOptions

    def build(self) -> Network:
        """The network with fresh weights; raises UnknownNameError or OptionError."""
        try:
            network = self.network.build()
        except CiaoVideoError:
            raise
        except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as cause:
            # An option that the class does not take, or a size that no layer can have.
            raise OptionError(f"{self.name}: network: {cause}", HINT) from cause
        self._check(network)
        empty = [name for name, weight in network.named_parameters() if not weight.numel()]
        if empty:
            raise OptionError(f"{self.name}: network: {empty[0]} is empty", "use sizes above 0")
        return network

    def _check(self, network: Network) -> None:
        """Raise OptionError for a network that cannot learn from what the recipe draws."""
        data, name = self.options.data, self.network.network
        if next(network.parameters(), None) is None:
            raise OptionError(f"{self.name}: {name} has nothing to learn", HINT)
        if name != IMPLICIT and not (data.lattice and data.window):
            raise OptionError(
                f"{self.name}: {name} makes neighbouring pixels, and data draws scattered ones",
                "set data.lattice to the side of a square, and data.window to true",
            )
        for scale in (data.low_scale, data.high_scale):
            if not network.scales.hold((data.patch,) * 2, (round(data.patch * scale),) * 2):
                said = f"{name} does scales of {network.scales}, and x{scale:g} is drawn"
                raise OptionError(f"{self.name}: {said}", "set data.low_scale and data.high_scale")

    def sources(self) -> list[Path]:
        """Where the pictures are; raises MissingInputError for missing ones."""
        paths = [Path(source).absolute() for source in self.options.data.sources]
        missing = [str(path) for path in paths if not path.exists()]
        if missing or not paths:
            raise MissingInputError(
                f"{self.name}: no pictures to train on ({', '.join(missing) or 'none named'})",
                "set data.sources to a folder, tar or zip of pictures, or to a video; the papers"
                " train on DIV2K: its DIV2K_train_HR is such a folder",
            )
        return paths


def list_recipes() -> list[str]:
    """Names of the bundled recipes."""
    names = (entry.name for entry in RECIPES.iterdir())
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


def read_recipe(name_or_path: str, overrides: Sequence[str] = ()) -> Recipe:
    """A bundled recipe by name, or one from a TOML file; ``overrides`` are ``part.key=value``.

    A recipe may name another as its ``base``, by name or by a path relative to its own file, and
    state only what differs. A network, encoder or decoder that differs from the base's does not
    inherit its options. Raises UnknownNameError or OptionError.
    """
    values = _recipe_values(name_or_path)
    kinds = ("network.network=", *(f"network.{half}=" for half in HALVES))
    for override in sorted(overrides, key=lambda text: not text.startswith(kinds)):
        _override(values, override)  # another kind first: it takes the old one's options with it
    spec = _network(values.pop("network", {}), name_or_path)
    options = from_mapping(TrainOptions, values, name_or_path)
    return Recipe(name=Path(name_or_path).stem, network=spec, options=options)


def _recipe_values(name_or_path: str, below: tuple[str, ...] = ()) -> dict[str, Any]:
    """The values of a recipe, those of its base under them; ``below`` are the recipes on it."""
    try:
        values = tomllib.loads(_recipe_text(name_or_path))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as cause:
        raise OptionError(f"{name_or_path}: not valid TOML ({cause})") from cause
    base = values.pop("base", None)
    if base is None:
        return values
    if not isinstance(base, str):
        raise OptionError(f"{name_or_path}: base: {base!r} is not a recipe's name")
    if base.endswith(".toml"):
        base = str(Path(name_or_path).parent / base)
    below = (*below, name_or_path)
    if base in below:
        raise OptionError(f"{name_or_path}: base {base} is based on this recipe itself")
    return _merged(_recipe_values(base, below), values)


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Tables merged key by key; what describes a half of the network goes when the half does."""
    merged = dict(base)
    if isinstance(changes.get("network"), str) and changes["network"] != base.get("network"):
        merged = {}  # another network, to which nothing of this one's table belongs
    for half in HALVES:
        if changes.get(half, base.get(half)) != base.get(half):
            merged.pop(f"{half}_options", None)
    for name, value in changes.items():
        under = merged.get(name)
        if isinstance(under, dict) and isinstance(value, dict):
            merged[name] = _merged(under, value)
        else:
            merged[name] = value
    return merged


def _recipe_text(name_or_path: str) -> str:
    path = Path(name_or_path)
    if path.suffix != ".toml":
        if name_or_path not in list_recipes():
            raise UnknownNameError.among("recipe", name_or_path, list_recipes())
        return (RECIPES / f"{name_or_path}.toml").read_text(encoding="utf-8")
    try:
        return path.read_text(encoding="utf-8")
    except OSError as cause:
        raise OptionError(f"{path}: {cause.strerror}", "name a recipe or a TOML file") from cause


def _network(table: Any, where: str) -> NetworkSpec:
    """The table ``network`` of a recipe, its types checked."""
    kinds: dict[str, type] = {
        **dict.fromkeys(HALVES, str),
        **{f"{half}_options": dict for half in HALVES},
        "residual": bool,
    }
    if isinstance(table, dict) and table.get("network", IMPLICIT) != IMPLICIT:
        kinds = {"network": str, "options": dict}
    elif not isinstance(table, dict) or not set(HALVES) <= table.keys():
        raise OptionError(f"{where}: network names no encoder and decoder")
    for name, value in table.items():
        if name not in kinds:
            raise OptionError(
                f"{where}: network: unknown option {name!r}", f"known: {', '.join(kinds)}"
            )
        if not isinstance(value, kinds[name]):
            raise OptionError(f"{where}: network: {name}: {value!r} does not belong there")
    return NetworkSpec(**table)


def _override(values: dict[str, Any], override: str) -> None:
    """Set one value by its dotted name; quotes around text and brackets may be left out."""
    dotted, sign, text = (part.strip() for part in override.partition("="))
    *tables, key = dotted.split(".")
    if not sign or not key:
        raise OptionError(
            f"{override!r} sets nothing", "write part.key=value, for example optim.steps=1000"
        )
    where = values
    for table in tables:
        where = where.setdefault(table, {})
        if not isinstance(where, dict):
            raise OptionError(f"{override!r}: a recipe has no part {table}")
    value = _value(text)
    if _is_list(dotted) and not isinstance(value, list):
        value = [_value(part.strip()) for part in text.split(",") if part.strip()]
    if tables == ["network"] and key == "network" and value != where.get(key, IMPLICIT):
        where.clear()
    if tables == ["network"] and key in HALVES and value != where.get(key):
        where.pop(f"{key}_options", None)
    where[key] = value


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text  # a bare word is meant as text


def _is_list(dotted: str) -> bool:
    """Whether the option of this name holds several values."""
    kind: Any = TrainOptions
    for name in dotted.split("."):
        hints = field_types(kind) if isinstance(kind, type) else {}
        kind = hints.get(name)
    return typing.get_origin(kind) is tuple

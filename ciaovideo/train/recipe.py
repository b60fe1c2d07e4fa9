"""Recipes: a training run as a TOML file, with a base and overrides."""

import tomllib
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from ciaovideo.config import field_types, from_mapping
from ciaovideo.errors import CiaoVideoError, MissingInputError, OptionError, UnknownNameError
from ciaovideo.models.protocols import Network
from ciaovideo.models.spec import IMPLICIT, NetworkSpec
from ciaovideo.train.options import TrainOptions

RECIPES = files("ciaovideo.train") / "recipes"
HALVES = ("encoder", "decoder")  # of a network: another network has other options
HINT = "the bundled recipes show what goes together"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A training run: its name, its network and its options."""

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
        """Raise OptionError for a network that cannot learn from the recipe's data."""
        data, name = self.options.data, self.network.network
        if next(network.parameters(), None) is None:
            raise OptionError(f"{self.name}: {name} has nothing to learn", HINT)
        if name != IMPLICIT and not (data.lattice and data.window):
            raise OptionError(
                f"{self.name}: {name} makes neighbouring pixels, but data draws scattered ones",
                "set data.lattice to the side of a square, and data.window to true",
            )
        for scale in (data.low_scale, data.high_scale):
            if not network.scales.hold((data.patch,) * 2, (round(data.patch * scale),) * 2):
                said = f"{name} does scales of {network.scales}, and x{scale:g} is drawn"
                raise OptionError(f"{self.name}: {said}", "set data.low_scale and data.high_scale")

    def sources(self) -> list[Path]:
        """The sources of pictures; raises MissingInputError for missing ones."""
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
        _override(values, override)  # a change of kind first, since it drops the old kind's options
    spec = _network(values.pop("network", {}), name_or_path)
    options = from_mapping(TrainOptions, values, name_or_path)
    return Recipe(name=Path(name_or_path).stem, network=spec, options=options)


def _recipe_values(name_or_path: str, below: tuple[str, ...] = ()) -> dict[str, Any]:
    """The values of a recipe merged over its base's; ``below`` are the recipes based on it."""
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
    """Tables merged key by key; a network's half that changes drops its options."""
    merged = dict(base)
    if isinstance(changes.get("network"), str) and changes["network"] != base.get("network"):
        merged = {}  # another network, for which this table's options do not apply
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
    """Whether the option with this name holds several values."""
    kind: Any = TrainOptions
    for name in dotted.split("."):
        hints = field_types(kind) if isinstance(kind, type) else {}
        kind = hints.get(name)
    return typing.get_origin(kind) is tuple

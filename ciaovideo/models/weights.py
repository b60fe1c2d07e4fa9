"""Networks with their weights: loaded by name or file, and saved."""

import hashlib
import importlib.resources
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ciaovideo.errors import (
    CorruptWeightsError,
    MismatchedWeightsError,
    MissingWeightsError,
    OptionError,
    UnknownNameError,
    UsageError,
)
from ciaovideo.models.networks.by_scale import ByScale
from ciaovideo.models.protocols import Network, Scales
from ciaovideo.models.spec import NetworkSpec
from ciaovideo.models.tensor_file import read, write

# A network's errors for unknown names, options and sizes; RuntimeError is torch's.
UNBUILT = (ArithmeticError, LookupError, RuntimeError, TypeError, UsageError, ValueError)
SPEC_KEY = "ciaovideo.network"  # the metadata key of the network's specification


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsEntry:
    """One table of ``weights/manifest.toml``: a file of weights and where it comes from.

    ``scales`` are those it was trained for. ``devices``: the kinds of device it is fast enough
    for; ``rank``: its place by kind of device when ``auto`` chooses, 1 first; weights without a
    rank are never chosen. ``psnr``: set, then scale, to dB on Y. ``family``: the common name of
    several single-scale files, of which the requested scale selects one. ``restore``: the names of
    weights that restore more, by their strength above 0 (see ``models/restoration.py``).
    """

    name: str
    path: Path
    sha256: str
    summary: str
    recipe: str
    data: str
    licence: str
    steps: int
    scales: Scales
    devices: tuple[str, ...]
    psnr: Mapping[str, Mapping[str, float]]
    rank: Mapping[str, int] = field(default_factory=dict)
    family: str = ""
    restore: Mapping[float, str] = field(default_factory=dict)


def weights_folder() -> Path:
    """Where the bundled weights lie: inside an installed package, or in a checkout beside it."""
    package = Path(str(importlib.resources.files("ciaovideo")))
    inside = package / "weights"
    return inside if inside.is_dir() else package.parent / "weights"


def read_manifest(folder: Path | None = None) -> dict[str, WeightsEntry]:
    """The bundled weights by name; raises MissingWeightsError where there is no manifest."""
    return read_entries((folder or weights_folder()) / "manifest.toml")


def read_entries(path: Path, hint: str = "install the package again") -> dict[str, WeightsEntry]:
    """The tables of a manifest, or of the file of one table that an import writes.

    Raises MissingWeightsError or CorruptWeightsError, with this hint.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        return {name: _entry(name, table, path.parent) for name, table in tables.items()}
    except OSError as cause:
        raise MissingWeightsError(f"{path} does not exist", hint) from cause
    except (AttributeError, LookupError, TypeError, ValueError) as cause:
        raise CorruptWeightsError(f"{path} is not a manifest of weights ({cause})", hint) from cause


def entry_text(entry: WeightsEntry) -> str:
    """One table of a manifest, as ``read_entries`` takes it back."""
    values: dict[str, Any] = {"file": entry.path.name}
    for key in ("sha256", "summary", "recipe", "data", "licence", "steps", "devices"):
        values[key] = getattr(entry, key)
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]
    scales = [entry.scales.least, entry.scales.most]
    lines.append(
        f"scales = {{ only = {list(entry.scales.only)} }}"
        if entry.scales.only
        else f"scales = {scales}"
    )
    return "\n".join([f"[{json.dumps(entry.name)}]", *lines, "psnr = {}", ""])


def _entry(name: str, table: Mapping[str, Any], folder: Path) -> WeightsEntry:
    values = dict(table)
    if "family" in values and not _scales(values["scales"]).only:
        raise ValueError(f"{name} is of a family, and lists no scales")
    return WeightsEntry(
        name=name,
        path=folder / values.pop("file"),
        scales=_scales(values.pop("scales")),
        devices=tuple(values.pop("devices")),
        restore={float(key): str(anchor) for key, anchor in values.pop("restore", {}).items()},
        **values,
    )


def _scales(value: Any) -> Scales:
    """``[1.0, 4.0]``: all between; ``{ only = [2, 3] }``: those."""
    if isinstance(value, dict):
        return Scales(only=tuple(map(float, value["only"])))
    low, high = value
    return Scales(float(low), float(high))


def choose_weights(device_type: str) -> str:
    """The name of the bundled weights that rank first on a kind of device.

    Where none ranks, those that rank first anywhere. Raises MissingWeightsError for a manifest
    without any rank.
    """
    entries = read_manifest().values()
    here = {entry.name: entry.rank[device_type] for entry in entries if device_type in entry.rank}
    anywhere = {entry.name: min(entry.rank.values()) for entry in entries if entry.rank}
    ranks = here or anywhere
    if not ranks:
        raise MissingWeightsError("no bundled weights are ranked", "name a model")
    return min(ranks, key=lambda name: (ranks[name], name))


def find_weights(name: str) -> WeightsEntry:
    """The bundled weights of this name; raises UnknownNameError with the nearest name.

    Raises OptionError for the name of several files, of which one is to be named.
    """
    found = find_members(name)
    if len(found) > 1:
        raise OptionError(
            f"{name} names {len(found)} files of weights, one for each scale",
            f"name one of {', '.join(entry.name for entry in found)}",
        )
    return found[0]


def find_members(name: str) -> list[WeightsEntry]:
    """The files behind a name: one, or those of a family; UnknownNameError as above."""
    entries = read_manifest()
    family = [entry for entry in entries.values() if entry.family == name]
    if name not in entries and not family:
        raise UnknownNameError.among("model", name, _names(entries))
    return [entries[name]] if name in entries else family


def anchors(name: str) -> Mapping[float, str]:
    """Bundled weights by strength, 0 for ``name`` itself; empty if it has one strength."""
    members = find_members(name)
    restore = members[0].restore if len(members) == 1 else {}
    return {0.0: name, **restore} if restore else {}


def anchored(name: str) -> tuple[str, float] | None:
    """The network and strength above 0 for which bundled weights are an anchor; else None."""
    for entry in read_manifest().values():
        for strength, anchor in entry.restore.items():
            if anchor == name:
                return entry.name, strength
    return None


def _names(entries: Mapping[str, WeightsEntry]) -> list[str]:
    return sorted({*entries, *(entry.family for entry in entries.values() if entry.family)})


def load_model(name_or_path: str | Path) -> Network:
    """A network with its weights, in fp32 on the CPU: bundled ones by name, others by file."""
    path = Path(name_or_path)
    return load_file(path) if path.suffix == ".safetensors" else load_bundled(str(name_or_path))


def list_models() -> list[str]:
    """The names of the bundled weights, and of families of them."""
    return _names(read_manifest())


def load_bundled(name: str) -> Network:
    """A bundled network, its file checked against the manifest's hash.

    Where the manifest lists scales, the network does no others. The name of a family is a network
    that does all scales of its files.
    """
    entries = find_members(name)
    networks = [_load_entry(entry) for entry in entries]
    if len(networks) == 1:
        return networks[0]
    return ByScale(
        {
            scale: network
            for entry, network in zip(entries, networks, strict=True)
            for scale in entry.scales.only
        }
    ).eval()


def _load_entry(entry: WeightsEntry) -> Network:
    """The network of one file."""
    if not entry.path.is_file():
        raise MissingWeightsError(f"{entry.path} does not exist", "install the package again")
    if file_sha256(entry.path) != entry.sha256:
        raise CorruptWeightsError(
            f"{entry.path}: its SHA-256 is not the manifest's", "install the package again"
        )
    network = load_file(entry.path)
    if entry.scales.only:
        network.scales = entry.scales
    return network


def load_file(path: Path) -> Network:
    """A network from a file of weights that ``save`` wrote.

    Raises MissingWeightsError, CorruptWeightsError (not such a file) or MismatchedWeightsError
    (tensors that differ from the network's, named).
    """
    spec, tensors = read_tensors(path)
    try:
        network = spec.build()
    except UNBUILT as cause:
        raise MismatchedWeightsError(
            f"{path} belongs to a network that this version cannot build ({cause})",
            "use the version of ciaovideo that wrote the file",
        ) from cause
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    differing = sorted(
        name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)
    )
    if differing:
        raise MismatchedWeightsError(
            f"{path}: {len(differing)} tensors differ from the network's, first {differing[0]!r} "
            f"({found.get(differing[0])} in the file, {wanted.get(differing[0])} wanted)",
            "use the file with the version of the network that it was trained for",
        )
    network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    return network.eval()


def read_tensors(path: Path) -> tuple[NetworkSpec, dict[str, Tensor]]:
    """The specification and the tensors in a file of weights."""
    try:
        there = path.is_file()
    except OSError:  # such as a folder that this user may not enter
        there = False
    if not there:
        raise MissingWeightsError(
            f"{path} does not exist or cannot be read", "name a .safetensors file"
        )
    metadata, tensors = read(path)
    text = metadata.get(SPEC_KEY)
    if text is None:
        raise MismatchedWeightsError(
            f"{path} has no network specification", "use a file written by ciaovideo"
        )
    try:
        return NetworkSpec.from_json(text), tensors
    except (MismatchedWeightsError, TypeError, ValueError) as cause:
        raise MismatchedWeightsError(
            f"{path}: unreadable network specification ({cause})",
            "use a file written by this version of ciaovideo",
        ) from cause


def weights_sha256(name: str, file: Path | None = None) -> str:
    """The SHA-256 of the weights of this name, or in a file in place of bundled ones.

    "" for a network without weights.
    """
    if file is not None:
        return file_sha256(file)
    entries = read_manifest()
    return entries[name].sha256 if name in entries else ""


def save(path: Path, spec: NetworkSpec, tensors: Mapping[str, Tensor], dtype: torch.dtype) -> None:
    """Write weights with their specification, stored as ``dtype``."""
    kept = {name: tensor.detach().cpu().to(dtype).contiguous() for name, tensor in tensors.items()}
    write(path, kept, {SPEC_KEY: spec.to_json()})
    path.chmod(0o644)  # the library makes it private


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()

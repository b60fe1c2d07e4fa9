"""Encoders in published checkpoints: what they are called there, and which one a file holds.

The program that came with CiaoSR and the family of LIIF's programs name them differently.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ciaovideo.errors import MismatchedWeightsError
from ciaovideo.models.decoders import DECODERS
from ciaovideo.models.foreign.checkpoint import some
from ciaovideo.models.spec import NetworkSpec

NAMES = {"gff.0.": "fuse.", "gff.1.": "gather.", "patch_embed.norm.": "embed_norm."}
GROUP = ".residual_group"  # stands between a group of SwinIR and its blocks
# Stored as if learned: tables that follow from the window, and a mean that no network uses.
CONSTANTS = re.compile(r"layers\..*\.(relative_position_index|attn_mask)|(sub|add)_mean\..*")
# Names in the encoders of LIIF's programs, with those in the others.
LIIF_NAMES = (
    (r"^encoder\.", ""),
    (r"^head\.0\.", "conv_first."),
    (r"^body\.(\d+)\.body\.0\.", r"body.\1.conv1."),
    (r"^body\.(\d+)\.body\.2\.", r"body.\1.conv2."),
    (r"^body\.\d+\.(weight|bias)$", r"conv_after_body.\1"),
    (r"^SFENet(\d)\.", r"sfe\1."),
    (r"^RDBs\.(\d+)\.convs\.(\d+)\.conv\.0\.", r"rdbs.\1.layers.\2.conv."),
    (r"^RDBs\.(\d+)\.LFF\.", r"rdbs.\1.lff."),
    (r"^GFF\.", "gff."),
    (r"^conv_before_upsample\.0\.", "projection."),
)
LIIF_MEAN, LIIF_STD = (0.5, 0.5, 0.5), 0.5  # of every configuration of that family


def our_encoder_name(published: str) -> str | None:
    """The name in an ``ImplicitSR``; None for stored constants."""
    if CONSTANTS.fullmatch(published):
        return None
    for theirs, ours in NAMES.items():
        if published.startswith(theirs):
            published = ours + published.removeprefix(theirs)
    return f"encoder.{published.replace(GROUP, '')}"


def published_encoder_name(name: str) -> str:
    """What ``our_encoder_name`` takes back to this name, which has no ``encoder.`` before it."""
    for theirs, part in NAMES.items():
        if name.startswith(part):
            return theirs + name.removeprefix(part)
    return re.sub(r"^(layers\.\d+)(\.blocks\.)", rf"\1{GROUP}\2", name)


def plain_name(name: str) -> str:
    """A name of LIIF's programs as the others have it."""
    for pattern, ours in LIIF_NAMES:
        name = re.sub(pattern, ours, name)
    return name


def encoder_of(
    tensors: Mapping[str, Tensor], path: Path, published: Callable[[str], str]
) -> dict[str, Any]:
    """Which encoder, and its options, by the names and shapes that it has.

    Raises MismatchedWeightsError for one that is not known.
    """

    def size(name: str, axis: int = 0) -> int:
        found = tensors.get(f"encoder.{name}")
        return 0 if found is None or found.ndim <= axis else found.shape[axis]

    def count(prefix: str) -> int:
        pattern = re.compile(rf"encoder\.{prefix}\.(\d+)\.")
        found = (pattern.match(name) for name in tensors)
        return len({match[1] for match in found if match})  # a gap is found by comparing

    if size("embed_norm.weight"):
        block = "layers.0.blocks.0"
        table, heads = (size(f"{block}.attn.relative_position_bias_table", a) for a in (0, 1))
        channels = size("conv_first.weight")
        options: dict[str, Any] = {
            "channels": channels,
            "depths": [count(rf"layers\.{index}\.blocks") for index in range(count("layers"))],
            "heads": heads,
            "window": (round(table**0.5) + 1) // 2,
            "mlp_ratio": size(f"{block}.mlp.fc1.weight") / channels,
        }
        if size("projection.weight"):
            options["projection"] = size("projection.weight")
        return {"encoder": "swinir", "encoder_options": options}
    if size("sfe1.weight"):
        options = {
            "channels": size("sfe1.weight"),
            "blocks": count("rdbs"),
            "layers": count(r"rdbs\.0\.layers"),
            "growth": size("rdbs.0.layers.0.conv.weight"),
        }
        return {"encoder": "rdn", "encoder_options": options}
    if size("conv_first.weight"):
        options = {"channels": size("conv_first.weight"), "blocks": count("body")}
        return {"encoder": "edsr", "encoder_options": options}
    raise MismatchedWeightsError(
        f"{path} holds no EDSR, RDN or SwinIR, but {some(map(published, tensors))}",
        "name a checkpoint with one of these",
    )


def fold_deviation(tensors: dict[str, Tensor], last: str) -> None:
    """Put the division by the deviation, and the multiplication at the end, into the weights.

    ``last``: the layer that makes colour.
    """
    for name in ("encoder.conv_first.weight", "encoder.sfe1.weight"):
        if name in tensors:
            tensors[name] = tensors[name] / LIIF_STD
    for kind in ("weight", "bias"):
        tensors[f"{last}.{kind}"] = tensors[f"{last}.{kind}"] * LIIF_STD


def compare(
    spec: NetworkSpec, tensors: Mapping[str, Tensor], path: Path, published: Callable[[str], str]
) -> None:
    """Raise MismatchedWeightsError, in the names of the file, where tensors and network differ."""
    title = DECODERS[spec.decoder].__name__
    with torch.device("meta"):
        wanted = {name: tuple(t.shape) for name, t in spec.build().state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    problems = [
        f"{said} {some(map(published, names))}"
        for said, names in (
            ("missing", wanted.keys() - found.keys()),
            ("unknown", found.keys() - wanted.keys()),
            ("of another shape", {n for n in wanted.keys() & found if wanted[n] != found[n]}),
        )
        if names
    ]
    if problems:
        raise MismatchedWeightsError(
            f"{path} is not a {title} with {spec.encoder}: {'; '.join(problems)}",
            f"name a checkpoint of {title}",
        )

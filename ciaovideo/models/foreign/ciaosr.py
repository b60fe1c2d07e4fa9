"""Published CiaoSR checkpoints: their layouts, the names in them, and the network they belong to.

Two layouts are read. That of the program that came with the paper: a dict with ``state_dict``,
whose names begin with ``generator.`` (``generator_ema.`` where averaged weights were kept), and
``meta`` and ``optimizer`` around it. And that of LIIF's family of programs: ``model``, a dict of
``name``, ``args`` and ``sd``.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ciaovideo.errors import MismatchedWeightsError
from ciaovideo.models.foreign import Unsaid
from ciaovideo.models.foreign.checkpoint import PREFIXES, Checkpoint, plain_numbers, some
from ciaovideo.models.networks.implicit import RGB_MEAN
from ciaovideo.models.spec import NetworkSpec

DECODER = {
    "imnet_q.": "color.",
    "imnet_k.": "key.",
    "imnet_v.": "value.",
    "cs_attn.conv_match_1.": "non_local.query.",
    "cs_attn.conv_match_2.": "non_local.key.",
    "cs_attn.conv_assembly.": "non_local.value.",
    "cs_attn.down.": "non_local.down.2.",
    "cs_attn.downx3.": "non_local.down.3.",
    "cs_attn.downx4.": "non_local.down.4.",
}
ENCODER = {"gff.0.": "fuse.", "gff.1.": "gather.", "patch_embed.norm.": "embed_norm."}
GROUP = ".residual_group"  # stands between a group of SwinIR and its blocks
# Stored as if learned: 1e-4 in every checkpoint, and tables that follow from the window.
CONSTANTS = re.compile(
    r"cs_attn\.escape_NaN|layers\..*\.(relative_position_index|attn_mask)|(sub|add)_mean\..*"
)
# What the encoders of LIIF's programs call what the others call otherwise.
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
)
LIIF_MEAN, LIIF_STD = (0.5, 0.5, 0.5), 0.5  # of every configuration of that family


def our_name(published: str) -> str | None:
    """The name in an ``ImplicitSR`` of an encoder and ``CiaoSR``; None for stored constants."""
    name = published
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    if CONSTANTS.fullmatch(name):
        return None
    for theirs, ours in DECODER.items():
        if name.startswith(theirs):
            return f"decoder.{ours}{name.removeprefix(theirs)}"
    for theirs, ours in ENCODER.items():
        if name.startswith(theirs):
            name = ours + name.removeprefix(theirs)
    return f"encoder.{name.replace(GROUP, '')}"


def published_name(ours: str) -> str:
    """What ``our_name`` takes back to this name, without a prefix."""
    half, _, name = ours.partition(".")
    for theirs, part in (DECODER if half == "decoder" else ENCODER).items():
        if name.startswith(part):
            return theirs + name.removeprefix(part)
    return re.sub(r"^(layers\.\d+)(\.blocks\.)", rf"\1{GROUP}\2", name)


def from_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A published state dict under our names."""
    renamed = ((our_name(name), tensor) for name, tensor in state.items())
    return {name: tensor for name, tensor in renamed if name is not None}


def recognises(checkpoint: Checkpoint) -> bool:
    """Whether a file holds the MLPs of CiaoSR."""
    return any(re.match(r"imnet_[qkv]\.", name) for name in checkpoint.state)


def read(checkpoint: Checkpoint, unsaid: Unsaid) -> tuple[NetworkSpec, dict[str, Tensor]]:
    """The network in a published checkpoint, and its tensors, fp32, under our names.

    Shapes tell the sizes. Raises CorruptWeightsError, or MismatchedWeightsError with the keys that
    differ.
    """
    path, state = checkpoint.path, checkpoint.state
    from_liif = "model" in checkpoint.content
    if from_liif:
        state = {_plain_name(name): tensor for name, tensor in state.items()}
    tensors = {
        name: plain_numbers(tensor, published_name(name), path)
        for name, tensor in from_published(state).items()
    }
    spec = NetworkSpec(
        **_encoder(tensors, path),
        decoder="ciaosr",
        decoder_options=_decoder_options(tensors, unsaid.window, path),
        mean=LIIF_MEAN if from_liif else RGB_MEAN,
        residual=unsaid.residual,
    )
    scales = spec.decoder_options["non_local_scales"]
    for name in [name for name in tensors if name.startswith("decoder.non_local.down.2.")]:
        if scales and 2 not in scales:
            del tensors[name]  # stored by the published program for any scales
    _compare(spec, tensors, path)
    if from_liif:
        _fold_deviation(tensors)
    return spec, tensors


def to_published(spec: NetworkSpec, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """A network in the layout of the paper's program, constants that it wants included.

    Raises MismatchedWeightsError for a network that the program does not have.
    """
    attends = (
        spec.decoder_options.get("attention", True) and "decoder.key.layers.0.weight" in tensors
    )
    if spec.decoder != "ciaosr" or not attends or not spec.residual:
        raise MismatchedWeightsError(
            f"{spec.encoder} with {spec.decoder} is no network of the published program",
            "export it as .safetensors",
        )
    state = {published_name(name): tensor.float() for name, tensor in tensors.items()}
    if any(name.startswith("cs_attn.") for name in state):
        state["cs_attn.escape_NaN"] = torch.tensor([1e-4])
    for name in [name for name in state if name.endswith("relative_position_bias_table")]:
        window = (round(len(state[name]) ** 0.5) + 1) // 2
        index = name.replace("bias_table", "index")
        state[index] = _position_index(window)
    return {"meta": {}, "state_dict": {f"generator.{name}": state[name] for name in state}}


def _position_index(window: int) -> Tensor:
    """Rows of the bias table for each pair of pixels of a window: (window^2, window^2)."""
    step = torch.arange(window)
    step = step[:, None] - step + window - 1
    index = step[:, None, :, None] * (2 * window - 1) + step[None, :, None, :]
    return index.reshape(window * window, -1)


def _plain_name(name: str) -> str:
    for pattern, ours in LIIF_NAMES:
        name = re.sub(pattern, ours, name)
    return name


def _encoder(tensors: Mapping[str, Tensor], path: Path) -> dict[str, Any]:
    """Which encoder, and its options, by the names and shapes that it has."""

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
        f"{path} holds no EDSR, RDN or SwinIR, but {some(map(published_name, tensors))}",
        "name a checkpoint of CiaoSR",
    )


def _decoder_options(
    tensors: Mapping[str, Tensor], window: int | None, path: Path
) -> dict[str, Any]:
    """Sizes of the decoder by the shapes of its tensors."""
    wanted = [f"decoder.{mlp}.layers.0.weight" for mlp in ("color", "key", "value")]
    missing = [name for name in wanted if name not in tensors or tensors[name].ndim != 2]
    if missing:
        raise MismatchedWeightsError(
            f"{path} holds no CiaoSR decoder: {some(map(published_name, missing))} are missing or "
            f"no matrices; found {some(map(published_name, tensors))}",
            "name a checkpoint of CiaoSR",
        )
    layers = sorted(
        (int(match[1]), tensor.shape[0])
        for name, tensor in tensors.items()
        if (match := re.fullmatch(r"decoder\.color\.layers\.(\d+)\.weight", name)) and tensor.ndim
    )
    color, key, _ = (tensors[name].shape for name in wanted)
    key_dim, value_dim = key[-1] - 4, color[-1]
    first = tensors.get("encoder.conv_first.weight", tensors.get("encoder.sfe1.weight"))
    assert first is not None
    channels = first.shape[0]
    count = (value_dim - key_dim) // channels
    scales = [s for s in (3, 4) if f"decoder.non_local.down.{s}.weight" in tensors]
    scales = ([2] if count > len(scales) else []) + scales
    return {
        "hidden": [width for _, width in layers[:-1]],
        "unfold": key_dim == 9 * channels,
        "non_local_scales": scales if count > 0 else [],
        **({"window": window, "window_margin": 16} if count > 0 else {}),
    }


def _fold_deviation(tensors: dict[str, Tensor]) -> None:
    """Put the division by the deviation, and the multiplication at the end, into the weights."""
    for name in ("encoder.conv_first.weight", "encoder.sfe1.weight"):
        if name in tensors:
            tensors[name] = tensors[name] / LIIF_STD
    last = max(
        (name for name in tensors if name.startswith("decoder.color.layers.")),
        key=lambda name: int(name.split(".")[3]),
    ).rpartition(".")[0]
    for kind in ("weight", "bias"):
        tensors[f"{last}.{kind}"] = tensors[f"{last}.{kind}"] * LIIF_STD


def _compare(spec: NetworkSpec, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Raise MismatchedWeightsError, in the names of the file, where tensors and network differ."""
    with torch.device("meta"):
        wanted = {name: tuple(t.shape) for name, t in spec.build().state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    problems = [
        f"{said} {some(map(published_name, names))}"
        for said, names in (
            ("missing", wanted.keys() - found.keys()),
            ("unknown", found.keys() - wanted.keys()),
            ("of another shape", {n for n in wanted.keys() & found if wanted[n] != found[n]}),
        )
        if names
    ]
    if problems:
        raise MismatchedWeightsError(
            f"{path} is no CiaoSR with {spec.encoder}: {'; '.join(problems)}",
            "name a checkpoint of CiaoSR",
        )

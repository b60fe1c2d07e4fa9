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
from ciaovideo.models.foreign.encoders import (
    LIIF_MEAN,
    compare,
    encoder_of,
    fold_deviation,
    our_encoder_name,
    plain_name,
    published_encoder_name,
)
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
CONSTANT = "cs_attn.escape_NaN"  # stored as if learned, 1e-4 in every checkpoint


def our_name(published: str) -> str | None:
    """The name in an ``ImplicitSR`` of an encoder and ``CiaoSR``; None for stored constants."""
    name = published
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    if name == CONSTANT:
        return None
    for theirs, ours in DECODER.items():
        if name.startswith(theirs):
            return f"decoder.{ours}{name.removeprefix(theirs)}"
    return our_encoder_name(name)


def published_name(ours: str) -> str:
    """What ``our_name`` takes back to this name, without a prefix."""
    half, _, name = ours.partition(".")
    if half == "decoder":
        for theirs, part in DECODER.items():
            if name.startswith(part):
                return theirs + name.removeprefix(part)
    return published_encoder_name(name)


def from_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A published state dict under our names."""
    renamed = ((our_name(name), tensor) for name, tensor in state.items())
    return {name: tensor for name, tensor in renamed if name is not None}


def recognises(checkpoint: Checkpoint) -> bool:
    """Whether a file holds the MLPs of CiaoSR."""
    return any(re.match(r"imnet_[qkv]\.", name) for name in checkpoint.state)


def read(checkpoint: Checkpoint, unsaid: Unsaid) -> tuple[NetworkSpec, dict[str, Tensor]]:
    """The network in a published checkpoint, and its tensors, fp32, under our names.

    Sizes follow from shapes. Raises CorruptWeightsError, or MismatchedWeightsError with the keys
    that differ.
    """
    path, state = checkpoint.path, checkpoint.state
    from_liif = "model" in checkpoint.content
    if from_liif:
        state = {plain_name(name): tensor for name, tensor in state.items()}
    tensors = {
        name: plain_numbers(tensor, published_name(name), path)
        for name, tensor in from_published(state).items()
    }
    spec = NetworkSpec(
        **encoder_of(tensors, path, published_name),
        decoder="ciaosr",
        decoder_options=_decoder_options(tensors, unsaid.window, path),
        mean=LIIF_MEAN if from_liif else RGB_MEAN,
        residual=unsaid.residual,
    )
    scales = spec.decoder_options["non_local_scales"]
    for name in [name for name in tensors if name.startswith("decoder.non_local.down.2.")]:
        if scales and 2 not in scales:
            del tensors[name]  # stored by the published program for any scales
    compare(spec, tensors, path, published_name)
    if from_liif:
        last = 2 * len(spec.decoder_options["hidden"])
        fold_deviation(tensors, f"decoder.color.layers.{last}")
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
            f"the published program has no network of {spec.encoder} with {spec.decoder}",
            "export it as .safetensors",
        )
    state = {published_name(name): tensor.float() for name, tensor in tensors.items()}
    if any(name.startswith("cs_attn.") for name in state):
        state[CONSTANT] = torch.tensor([1e-4])
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

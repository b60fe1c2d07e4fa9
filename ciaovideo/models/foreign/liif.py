"""Published LIIF checkpoints: ``model`` with ``name``, ``args`` and ``sd``.

Names in ``sd`` are those of an encoder and ``imnet.layers.0``, ``.2`` and so on. What else stands
in the file is left aside.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ciaovideo.errors import MismatchedWeightsError
from ciaovideo.models.foreign import Unsaid
from ciaovideo.models.foreign.checkpoint import Checkpoint, plain_numbers, some
from ciaovideo.models.foreign.encoders import (
    LIIF_MEAN,
    compare,
    encoder_of,
    fold_deviation,
    our_encoder_name,
    plain_name,
    published_encoder_name,
)
from ciaovideo.models.spec import NetworkSpec

MLP, OURS = "imnet.layers.", "decoder.mlp.layers."
OTHERS = ("coef.", "freq.", "phase.")  # of LTE, which has an imnet too


def recognises(checkpoint: Checkpoint) -> bool:
    """Whether a file holds the MLP of LIIF, and nothing of LTE."""
    names = checkpoint.state
    return any(name.startswith(MLP) for name in names) and not any(
        name.startswith(OTHERS) for name in names
    )


def read(checkpoint: Checkpoint, unsaid: Unsaid) -> tuple[NetworkSpec, dict[str, Tensor]]:
    """The network in a published checkpoint, and its tensors, fp32, under our names.

    Sizes follow from shapes, the local ensemble from the file's ``args``. LIIF adds no bilinear
    enlargement. Raises CorruptWeightsError, or MismatchedWeightsError with the keys that
    differ.
    """
    tensors = renamed(checkpoint, {MLP: OURS})
    spec = NetworkSpec(
        **encoder_of(tensors, checkpoint.path, published_name),
        decoder="liif",
        decoder_options=_options(tensors, checkpoint),
        mean=LIIF_MEAN,
        residual=False,
    )
    compare(spec, tensors, checkpoint.path, published_name)
    fold_deviation(tensors, last_layer(tensors))
    return spec, tensors


def published_name(ours: str) -> str:
    """The name that the published program has for ours."""
    if ours.startswith(OURS):
        return MLP + ours.removeprefix(OURS)
    return published_encoder_name(ours.removeprefix("encoder."))


def renamed(checkpoint: Checkpoint, decoder: Mapping[str, str]) -> dict[str, Tensor]:
    """The tensors of a file of LIIF's family under our names; ``decoder``: theirs to ours."""
    tensors = {}
    for published, tensor in checkpoint.state.items():
        theirs = next((part for part in decoder if published.startswith(part)), None)
        if theirs is None:
            ours = our_encoder_name(plain_name(published))
        else:
            ours = decoder[theirs] + published.removeprefix(theirs)
        if ours is not None:
            tensors[ours] = plain_numbers(tensor, published, checkpoint.path)
    return tensors


def widths(tensors: Mapping[str, Tensor], path: Path) -> list[int]:
    """What goes into the MLP and what comes out of each of its layers.

    Raises MismatchedWeightsError where there is no such MLP.
    """
    layers = sorted(
        (int(match[1]), tensor)
        for name, tensor in tensors.items()
        if (match := re.fullmatch(rf"{re.escape(OURS)}(\d+)\.weight", name))
    )
    flat = [tensor for _, tensor in layers if tensor.ndim == 2]
    if not layers or len(flat) < max(2, len(layers)):
        raise MismatchedWeightsError(
            f"{path} holds no MLP of at least two layers, but {some(tensors)}",
            "name a checkpoint of LIIF or LTE",
        )
    return [flat[0].shape[1], *(tensor.shape[0] for tensor in flat)]


def last_layer(tensors: Mapping[str, Tensor]) -> str:
    """The name of the MLP's last layer."""
    names = (name for name in tensors if name.startswith(OURS) and name.endswith(".weight"))
    last = max(names, key=lambda name: int(name.removeprefix(OURS).partition(".")[0]))
    return last.removesuffix(".weight")


def channels_of(tensors: Mapping[str, Tensor]) -> int:
    """Channels of the encoder's features."""
    found = (f"encoder.{name}.weight" for name in ("projection", "conv_first", "sfe1"))
    return next(tensors[name].shape[0] for name in found if name in tensors)


def _options(tensors: Mapping[str, Tensor], checkpoint: Checkpoint) -> dict[str, Any]:
    inputs, *outputs = widths(tensors, checkpoint.path)
    channels = channels_of(tensors)
    unfold = inputs >= 9 * channels
    model = checkpoint.content.get("model")
    said = model.get("args") if isinstance(model, dict) else None
    ensemble = said.get("local_ensemble", True) if isinstance(said, dict) else True
    return {
        "hidden": outputs[:-1],
        "unfold": unfold,
        "local_ensemble": bool(ensemble),
        "cell_decode": inputs - channels * (9 if unfold else 1) == 4,
    }

"""Published LTE checkpoints: the layout of LIIF's, with ``coef``, ``freq`` and ``phase``.

There are two programs. In the first an ``imnet`` is made of linear layers, and the two frequencies
of a wave are neighbours; in the grid form (LTE fast) it is made of 1x1 convolutions, and those
along y come first, then those along x, as here.

Before SwinIR, their tests mirror the picture to whole windows and one window more. Here it is
mirrored to whole windows, so that pixels near the lower and the right border may differ.
"""

from torch import Tensor

from ciaovideo.models.foreign import Unsaid
from ciaovideo.models.foreign.checkpoint import Checkpoint
from ciaovideo.models.foreign.encoders import LIIF_MEAN, compare, encoder_of, fold_deviation
from ciaovideo.models.foreign.liif import MLP, OTHERS, OURS, last_layer, renamed, widths
from ciaovideo.models.foreign.liif import published_name as liif_name
from ciaovideo.models.spec import NetworkSpec

PARTS = dict(
    zip(OTHERS, ("decoder.amplitude.", "decoder.frequency.", "decoder.phase."), strict=True)
)


def recognises(checkpoint: Checkpoint) -> bool:
    """Whether a file holds amplitudes, frequencies and phases."""
    return all(any(name.startswith(part) for name in checkpoint.state) for part in PARTS)


def read(checkpoint: Checkpoint, unsaid: Unsaid) -> tuple[NetworkSpec, dict[str, Tensor]]:
    """The network in a published checkpoint, and its tensors, fp32, under our names.

    Raises CorruptWeightsError, or MismatchedWeightsError with the keys that differ.
    """
    tensors = renamed(checkpoint, {MLP: OURS, **PARTS})
    in_pairs = all(t.ndim == 2 for name, t in tensors.items() if _is_matrix(name))
    for name, tensor in tensors.items():
        if _is_matrix(name) and tensor.shape[2:] == (1, 1):
            tensors[name] = tensor.flatten(1)
    inputs, *outputs = widths(tensors, checkpoint.path)
    spec = NetworkSpec(
        **encoder_of(tensors, checkpoint.path, published_name),
        decoder="lte",
        decoder_options={"waves": inputs // 2, "hidden": outputs[:-1]},
        mean=LIIF_MEAN,
        residual=unsaid.residual,
    )
    compare(spec, tensors, checkpoint.path, published_name)
    if in_pairs:
        for kind in ("weight", "bias"):
            pairs = tensors[f"decoder.frequency.{kind}"].unflatten(0, (-1, 2))
            tensors[f"decoder.frequency.{kind}"] = pairs.transpose(0, 1).flatten(0, 1)
    fold_deviation(tensors, last_layer(tensors))
    return spec, tensors


def published_name(ours: str) -> str:
    """The name that the published program has for ours."""
    for theirs, part in PARTS.items():
        if ours.startswith(part):
            return theirs + ours.removeprefix(part)
    return liif_name(ours)


def _is_matrix(name: str) -> bool:
    return name.startswith((OURS, "decoder.phase.")) and name.endswith(".weight")

"""Names of tensors in published CiaoSR checkpoints, and what they are called here."""

from collections.abc import Mapping

from torch import Tensor

PREFIX = "generator."  # checkpoints hold the network inside the program that trained it

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
CONSTANTS = ("cs_attn.escape_NaN",)  # stored as if learned; 1e-4 in every checkpoint


def our_name(published: str) -> str | None:
    """The name in an ``ImplicitSR`` of an encoder and ``CiaoSR``; None for stored constants."""
    name = published.removeprefix(PREFIX)
    if name in CONSTANTS:
        return None
    for theirs, ours in DECODER.items():
        if name.startswith(theirs):
            return f"decoder.{ours}{name.removeprefix(theirs)}"
    return f"encoder.{name}"


def from_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A published state dict under our names."""
    renamed = ((our_name(name), tensor) for name, tensor in state.items())
    return {name: tensor for name, tensor in renamed if name is not None}

"""Initial weights: from the same network, a smaller one, or some of its parts."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from ciaovideo.errors import MismatchedWeightsError
from ciaovideo.models.growth import grown, widened
from ciaovideo.models.protocols import Network
from ciaovideo.models.spec import IMPLICIT, NetworkSpec
from ciaovideo.models.weights import load_file, read_tensors
from ciaovideo.train.state import load_weights

ENCODER = "encoder"


def begin(network: Network, path: Path, spec: NetworkSpec, parts: Sequence[str] = ()) -> list[str]:
    """Load weights from a file into a network; returns notices for the user.

    With ``parts``, only modules with these names take the file's weights. Without, and if the file
    has another decoder than ``spec``, only the encoder does. Raises MissingWeightsError,
    CorruptWeightsError or MismatchedWeightsError.
    """
    weights = dict(load_file(path).state_dict())
    found, _ = read_tensors(path)
    joined = found.network == spec.network == IMPLICIT
    other = not parts and joined and found.decoder != spec.decoder
    if other:
        parts = (ENCODER,)
    if parts:
        weights = _with_parts(network.state_dict(), weights, parts, path)
    hint = (
        "set start to weights of the recipe's network or a smaller one, "
        "or start_with to the modules they share"
    )
    larger = grown(network, widened(network, weights))
    load_weights(network, larger, path, hint)
    notices = []
    if other:
        notices.append(
            f"{path} has decoder {found.decoder}: its encoder is used, {spec.decoder} starts fresh"
        )
    if any(name not in weights or larger[name].shape != weights[name].shape for name in larger):
        notices.append(f"{path} has a smaller network: blocks and channels are added")
    return notices


def _with_parts(
    own: Mapping[str, Tensor], weights: Mapping[str, Tensor], parts: Sequence[str], path: Path
) -> dict[str, Tensor]:
    """The ``weights`` of these modules, and a network's own for the others."""
    for part in parts:
        if not all(any(name.startswith(f"{part}.") for name in table) for table in (own, weights)):
            shared = ", ".join(sorted(_modules(own) & _modules(weights)))
            raise MismatchedWeightsError(
                f"{path} and the recipe's network have no {part!r} in common",
                f"name modules that both have: {shared or 'there are none'}",
            )
    taken = tuple(f"{part}." for part in parts)
    made = {name: weight for name, weight in own.items() if not name.startswith(taken)}
    return made | {name: weight for name, weight in weights.items() if name.startswith(taken)}


def _modules(weights: Mapping[str, Tensor]) -> set[str]:
    return {name.partition(".")[0] for name in weights}

"""Which network a user's options choose on a device, and its weights."""

from dataclasses import replace

from ciaovideo.engine.engine import choose_device
from ciaovideo.errors import OptionError
from ciaovideo.models.networks import NETWORKS
from ciaovideo.models.networks.interpolation import KERNELS
from ciaovideo.models.protocols import Network
from ciaovideo.models.restoration import load_restored, restore_for
from ciaovideo.models.weights import anchors, choose_weights, load_file
from ciaovideo.options import ModelOptions


def model_name(options: ModelOptions, device: str) -> str:
    """The network that the options choose on a device: a bundled name, or the path of a file."""
    if options.weights is not None:
        return str(options.weights)
    return choose_weights(choose_device(device).type) if options.model == "auto" else options.model


def settled(options: ModelOptions, device: str, qp: float | None = None) -> ModelOptions:
    """The options with a number for ``restore``: by ``qp`` where it is auto.

    ``qp`` is the video's quantiser on H.264's scale; None if it is unknown.
    """
    if options.restore != "auto":
        return options
    known = restores(options, device)
    return replace(options, restore=restore_for(qp) if known else 0.0)


def restores(options: ModelOptions, device: str) -> bool:
    """Whether the network that the options choose has weights of several strengths."""
    name = model_name(options, device)
    return options.weights is None and name not in KERNELS and len(anchors(name)) > 1


def load_network(options: ModelOptions, device: str) -> tuple[str, Network]:
    """The network that the options choose on a device, and its name for people."""
    name, restore = model_name(options, device), settled(options, device).restore
    assert restore != "auto"
    if restore and not restores(options, device):
        raise OptionError(
            f"{name} has weights of one strength: it cannot restore more",
            "leave restore out, or choose ciaosr-fast",
        )
    if options.weights is None and name in KERNELS:
        return name, NETWORKS[name]()
    if options.weights is not None:
        return name, load_file(options.weights)
    return name, load_restored(name, restore)

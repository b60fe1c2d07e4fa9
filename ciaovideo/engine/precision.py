"""The precisions of a device, and the layers that may run in them."""

import torch
from torch import nn

from ciaovideo.errors import PrecisionError
from ciaovideo.options import Precision

DTYPES: dict[str, torch.dtype] = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}


def choose_precision(asked: Precision, device: torch.device) -> Precision:
    """The precision for a device, where ``auto`` chooses; raises PrecisionError for one it lacks.

    ``auto`` is bf16 on a GPU, and on a CPU whose matrix instructions take bf16: there it is faster,
    and costs less than 0.01 dB with the bundled weights. Otherwise it is fp32.
    """
    if asked == "auto":
        return "bf16" if _has_bf16(device) else "fp32"
    if asked == "fp16" and device.type == "cpu":
        raise PrecisionError(
            "fp16 does not work on a CPU at a usable speed", "use bf16 or fp32, or leave it to auto"
        )
    return asked


def set_precision(network: nn.Module, precision: Precision) -> None:
    """Cast a network's layers, except modules with ``keep_fp32``.

    Those compute coordinates or tables once per frame, where rounding costs quality and speed does
    not matter. The network itself keeps residual and last sum in fp32.
    """
    dtype = DTYPES[precision]
    for child in network.children():
        if getattr(child, "keep_fp32", False):
            child.float()
        elif next(child.children(), None) is None:
            child.to(dtype)
        else:
            for parameter in child.parameters(recurse=False):
                parameter.data = parameter.data.to(dtype)
            set_precision(child, precision)


def _has_bf16(device: torch.device) -> bool:
    """Whether a device has instructions for products of bf16 matrices.

    ``torch.cuda.is_bf16_supported`` is true for GPUs before Ampere, too, which emulate bf16 slowly.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    if device.type != "cpu":
        return False
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(probe and probe())

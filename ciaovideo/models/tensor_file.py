"""Files of named tensors in the format of safetensors.

The library reads and writes them. Where it is not installed, as on a training machine that has
torch and little else, the format is read and written here: eight bytes tell the length of a table
in JSON (of each tensor dtype, shape, and first and last byte), the table follows, then the bytes.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ciaovideo.errors import CorruptWeightsError

METADATA = "__metadata__"
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}


def read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors; raises CorruptWeightsError."""
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError:
        return _read(path)
    try:
        with safe_open(path, framework="pt") as source:
            tensors = {name: source.get_tensor(name) for name in source.keys()}  # noqa: SIM118
            return source.metadata() or {}, tensors
    except (SafetensorError, OSError) as cause:
        raise _unreadable(path, cause) from cause


def write(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write contiguous tensors of the CPU; raises OSError."""
    try:
        from safetensors import SafetensorError
        from safetensors.torch import save_file
    except ImportError:
        _write(path, tensors, metadata)
        return
    try:
        save_file(dict(tensors), path, metadata=dict(metadata))
    except SafetensorError as cause:
        raise OSError(str(cause)) from cause


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    try:
        content = memoryview(bytearray(path.read_bytes()))
        begin = 8 + int.from_bytes(content[:8], "little")
        table = json.loads(bytes(content[8:begin]))
        metadata = table.pop(METADATA, {})
        tensors = {}
        for name, entry in table.items():
            first, last = entry["data_offsets"]
            values = torch.frombuffer(content[begin + first : begin + last], dtype=torch.uint8)
            tensors[name] = values.clone().view(DTYPES[entry["dtype"]]).view(entry["shape"])
    except (AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError) as cause:
        raise _unreadable(path, cause) from cause
    return metadata, tensors


def _write(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    table: dict[str, object] = {METADATA: dict(metadata)}
    parts: list[bytes] = []
    end = 0
    for name, tensor in tensors.items():
        parts.append(tensor.flatten().view(torch.uint8).numpy().tobytes())
        begin, end = end, end + len(parts[-1])
        table[name] = {
            "dtype": NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [begin, end],
        }
    head = json.dumps(table).encode()
    head += b" " * (-len(head) % 8)
    path.write_bytes(b"".join([len(head).to_bytes(8, "little"), head, *parts]))


def _unreadable(path: Path, cause: Exception) -> CorruptWeightsError:
    return CorruptWeightsError(
        f"{path}: not a readable safetensors file ({cause})", "get the file again"
    )

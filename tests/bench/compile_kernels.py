"""Compile every fused kernel to machine code for a GPU that need not be there.

``python -m tests.bench.compile_kernels 80 90`` prints a line for each and each GPU: registers,
bytes of shared memory, bytes spilled per thread. It fails where one asks for more shared memory
than there is.
"""

import argparse
import subprocess
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from ciaovideo.ops import (
    color_codes_triton,
    color_signals_triton,
    linear_triton,
    modulated_render_triton,
)
from ciaovideo.ops.attention import local_triton, patch_triton, separable_triton
from ciaovideo.ops.layers_triton import LAUNCH, NARROW, ON_CHIP

SHARED = {80: 163 << 10, 86: 99 << 10, 90: 227 << 10}  # bytes that one program can have
INTEGERS = {
    *("places", "box_width", "height", "width", "depth", "count", "outputs", "pixels", "top"),
    *("first", "map_height", "map_width", "channels", "code_height", "code_width"),
    *("rgb_height", "rgb_width", "left", "chroma_height", "chroma_width"),
}
FLOATS = {
    *("zero", "peak", "luma_zero", "luma_gain", "chroma_zero", "blue_gain", "red_gain"),
    *("green_blue", "green_red"),
}
INDICES = {"row_nearest", "row_neighbour", "column_nearest", "column_neighbour"}
GAPS = {"row_gap", "column_gap"}


class Case(NamedTuple):
    """A kernel with what it knows while it is compiled."""

    module: ModuleType
    kernel: str
    kind: str
    warps: int
    stages: int
    constants: dict[str, Any]


def cases(arch: int) -> list[Case]:
    """All kernels at full size: hidden width 256, C = 64, rank 4, render width 16, 4:2:0."""
    made = []
    launches = {**LAUNCH, 2: NARROW} if SHARED[arch] < ON_CHIP else LAUNCH
    for kind, size in (("bf16", 2), ("fp32", 4)):
        launch = launches[size]
        mix: dict[str, Any] = {
            "KEY_LAYERS": 3,
            "VALUE_LAYERS": 3,
            "KEY_WIDTH": 256,
            "VALUE_WIDTH": 256,
        }
        mix |= {"QUERIES": launch.rows // 4, "ACROSS": 8, "CHUNK": launch.chunk}
        layers: dict[str, Any] = {"LAYERS": 3, "WIDTH": 256, "OUTPUTS": 16, "ROWS": launch.rows}
        layers |= {"CHUNK": launch.chunk, "PRECISION": "tf32x3"}
        paste: dict[str, Any] = {"PIXELS": 64, "PLACES": 32, "CHANNELS": 128, "PRECISION": "tf32x3"}
        softmax: dict[str, Any] = {"PIXELS": 64, "PLACES": 64, "DEPTH": 32, "PRECISION": "tf32x3"}
        mix |= {"PRECISION": "tf32x3"}
        pixels = modulated_render_triton
        render: dict[str, Any] = {"DEPTH": 8, "WIDTH": 16, "ROWS": pixels.ROWS}
        render |= {"ACROSS": pixels.ACROSS, "PRECISION": "tf32x3"}
        patches = patch_triton
        made += [
            Case(local_triton, "_mix", kind, *launch[2:], mix),
            Case(linear_triton, "_perceptron", kind, *launch[2:], layers),
            Case(pixels, "_render", kind, pixels.WARPS, 2, render),
            Case(patches, "_softmax", kind, patches.WARPS, patches.STAGES, softmax),
            Case(patches, "_paste", kind, patches.WARPS, patches.STAGES, paste),
        ]
    made.append(Case(separable_triton, "_blend", "fp32", 4, 2, {"RANK": 4, "RUN": 128}))
    codes = {"FACTOR_Y": 2, "FACTOR_X": 2, "CENTER_Y": 0.5, "CENTER_X": 0.0, "SAMPLES": 256}
    codes["DITHER"] = 64
    codes |= {"FIRST_Y": -1, "FIRST_X": -1, "LAST_Y": 3, "LAST_X": 2}
    signals = {"FACTOR_Y": 2, "FACTOR_X": 2, "CENTER_Y": 0.5, "CENTER_X": 0.0, "SAMPLES": 256}
    return [
        *made,
        Case(color_codes_triton, "_codes", "fp32", 4, 2, codes),
        Case(color_signals_triton, "_signals", "fp32", 4, 2, signals),
    ]


def compiled(case: Case, arch: int) -> str:
    """Compile, and say what the kernel takes."""
    kernel = getattr(case.module, case.kernel)
    signature, hints = {}, {}
    for index, name in enumerate(kernel.arg_names):
        signature[name] = _type_of(name, case)
        if signature[name].startswith("*") or name == "depth":
            hints[(index,)] = [["tt.divisibility", 16]]
    made = triton.compile(
        ASTSource(kernel, signature, case.constants, hints),
        target=GPUTarget("cuda", arch, 32),
        options={"num_warps": case.warps, "num_stages": case.stages},
    )
    shared = made.metadata.shared
    line = f"{case.kernel} {case.kind} sm_{arch}: {shared} bytes shared, {usage(made.asm['cubin'])}"
    if shared > SHARED[arch]:
        raise SystemExit(f"{line}: more than there is")
    return line


def _type_of(name: str, case: Case) -> str:
    if name in case.constants:
        return "constexpr"
    if case.kernel == "_codes" and name in ("red", "green", "blue"):
        return "fp32"
    if name in INTEGERS:
        return "i32"
    if name in FLOATS:
        return "fp32"
    if name in INDICES:
        return "*i32"
    if name in GAPS:
        return "*i64"
    if case.kernel == "_render" and name not in ("scale", "shift"):
        return "*fp32"
    if (case.kernel, name) == ("_codes", "out") or (case.kernel == "_signals" and name != "rgb"):
        return "*u8"
    return f"*{case.kind}"


def usage(cubin: bytes) -> str:
    """Registers and stack of a thread, as the CUDA tools that Triton brings tell them."""
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    if not tool.is_file():
        return "compiled"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        words = [str(tool), "--dump-resource-usage", file.name]
        text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return " ".join(word for word in text.split() if word.startswith(("REG", "STACK")))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("archs", type=int, choices=SHARED, nargs="+", metavar="arch")
    parser.add_argument("--quick", action="store_true", help="not in fp32 what is made for bf16")
    arguments = parser.parse_args()
    for arch in arguments.archs:
        kernels = cases(arch)
        twice = {one.kernel for one in kernels if one.kind == "bf16"}
        for one in kernels:
            if not arguments.quick or one.kind == "bf16" or one.kernel not in twice:
                print(compiled(one, arch), flush=True)

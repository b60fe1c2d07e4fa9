"""The exact fast path against the definition, on one thread of a processor: seconds, memory, error.

``python -m tests.bench.exact`` prints a table, ``--json FILE`` stores it. Each case runs in a
process of its own, so that its peak memory is its own. The definition asks the network for every
pixel by itself (``query``), as the published program does; ``--definition`` runs it too, on the
smaller pictures. Seconds are of the processor, the median of three runs after one to warm up; the
share is that of the matrix rate, measured in the same process, which the counted operations of the
fast path come to. Weights are random: they change neither.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ciaovideo.bench.floor import flop_per_pixel, matrix_rate
from ciaovideo.bench.harness import machine, measure, peak_memory
from ciaovideo.engine.engine import Engine
from ciaovideo.engine.precision import DTYPES
from ciaovideo.grid import View, bilinear_at
from ciaovideo.models.networks.implicit import ImplicitSR
from ciaovideo.options import EngineOptions, Precision
from ciaovideo.train.recipe import read_recipe

DEFINITION_SIDE = 96  # larger pictures take the definition minutes
POINTS = 1024  # asked for at once, as the published program does
# Recipe, side of the LR picture, scale, precision.
CASES: tuple[tuple[str, int, float, Precision], ...] = (
    ("ciaosr-edsr", 96, 2.0, "fp32"),
    ("ciaosr-edsr", 96, 2.0, "bf16"),
    ("ciaosr-edsr", 96, 4.0, "fp32"),
    ("ciaosr-edsr", 96, 4.0, "bf16"),
    ("ciaosr-edsr", 192, 4.0, "fp32"),
    ("ciaosr-edsr", 192, 4.0, "bf16"),
)


def run_case(recipe: str, side: int, scale: float, precision: Precision) -> dict[str, Any]:
    """Measure one case in this process."""
    network = random_network(recipe)
    lr, out = torch.rand(1, 3, side, side), round(side * scale)
    engine = Engine(network, EngineOptions(device="cpu", precision=precision))
    result = measure(recipe, lambda: (engine(lr, (out, out)), 1)[1], least_s=0)
    peak = peak_memory()
    flop = flop_per_pixel(network, (scale, scale)) * side**2
    rate = matrix_rate(torch.device("cpu"), DTYPES[engine.precision])
    return {
        "network": recipe,
        "lr": side,
        "scale": scale,
        "precision": precision,
        "cpu_s": result.cpu_s,
        "share": flop / result.cpu_s / rate,
        "gflop_s": rate / 1e9,
        "peak_mb": peak / 1e6,
        "machine": machine(),
    }


def run_definition(recipe: str, side: int, scale: float, precision: Precision) -> dict[str, Any]:
    """Ask the definition for every pixel, 1024 at a time, and compare the fast path with it."""
    network = random_network(recipe)
    lr, out = torch.rand(1, 3, side, side), round(side * scale)
    began = time.process_time()
    expected = by_definition(network, lr, (out, out))
    took = time.process_time() - began
    engine = Engine(network, EngineOptions(device="cpu", precision=precision))
    sr = engine(lr, (out, out))
    return {"definition_s": took, "error": (sr - expected).abs().max().item()}


@torch.inference_mode()
def by_definition(network: ImplicitSR, lr: Tensor, out_size: tuple[int, int]) -> Tensor:
    """The picture (1, 3, H, W) asked for pixel by pixel."""
    view = View((lr.shape[-2], lr.shape[-1]), out_size)
    coord = torch.stack(torch.meshgrid(view.rows.coord, view.columns.coord, indexing="ij"), dim=-1)
    coord, cell = coord.view(1, -1, 2).to(lr.device), torch.tensor([view.cell]).to(lr.device)
    latent = network.encode(lr, view)
    parts = coord.split(POINTS, dim=1)
    colors = torch.cat([network.decoder.query(latent, part, cell) for part in parts], dim=1)
    colors = colors.float() + bilinear_at(latent["lr"], coord)
    return colors.view(1, *out_size, 3).permute(0, 3, 1, 2)


def random_network(recipe: str) -> ImplicitSR:
    """The network of a recipe with the same random weights each time, on one thread."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = read_recipe(recipe).network.build_implicit().eval()
    torch.manual_seed(0)
    return network


def main() -> None:
    """Run all cases, or one, named by its number."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--definition", action="store_true", help="also the definition (minutes)")
    parser.add_argument("--json", type=Path, help="store the figures")
    parser.add_argument("--case", type=int, help="one case, in this process")
    arguments = parser.parse_args()
    if arguments.case is not None:
        run = run_definition if arguments.definition else run_case
        print(json.dumps(run(*CASES[arguments.case])))
        return
    found = []
    for number in range(len(CASES)):
        words = [sys.executable, "-m", "tests.bench.exact", "--case", str(number)]
        figures: dict[str, Any] = {}
        also = arguments.definition and CASES[number][1] <= DEFINITION_SIDE
        for more in [[], ["--definition"]][: 1 + also]:
            done = subprocess.run([*words, *more], check=True, stdout=subprocess.PIPE)
            figures |= json.loads(done.stdout)
        found.append(figures)
        if arguments.json:
            arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(table(found))


def table(found: list[dict[str, Any]]) -> str:
    """The figures as Markdown."""
    lines = [", ".join(f"{name} {fact}" for name, fact in found[0]["machine"].items()), ""]
    lines += ["| network | LR | scale | precision | CPU s | share | peak MB | definition | error |"]
    lines += ["|---|---|---|---|---|---|---|---|---|"]
    for row in found:
        exact = [f"{row['definition_s']:.1f} s", f"{row['error']:.1e}"] if "error" in row else "  "
        cells = [row["network"], f"{row['lr']}x{row['lr']}", f"x{row['scale']:g}", row["precision"]]
        cells += [f"{row['cpu_s']:.2f}", f"{row['share']:.0%} of {row['gflop_s']:.0f} GFLOP/s"]
        lines.append("| " + " | ".join([*cells, f"{row['peak_mb']:.0f}", *exact]) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

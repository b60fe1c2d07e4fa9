"""``ciaovideo weights``: which weights are bundled, what they are, and whether they are whole."""

import dataclasses
import json
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from ciaovideo.errors import CorruptWeightsError

if TYPE_CHECKING:
    from ciaovideo.models.checkpoints import WeightsEntry


def build_parser(prog: str) -> ArgumentParser:
    """list, show or verify."""
    parser = ArgumentParser(prog=prog, description="The bundled weights.", allow_abbrev=False)
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="a line for each")
    show = actions.add_parser("show", help="all that is known of one")
    show.add_argument("name", help="name of bundled weights")
    show.add_argument("--json", action="store_true", help="print it as JSON")
    actions.add_parser("verify", help="compare every file with the manifest and load it")
    return parser


def run(arguments: Namespace) -> int:
    """Print what is asked for; raises WeightsError for a file that is not what it should be."""
    from ciaovideo.models.checkpoints import find_weights, load_bundled, read_manifest

    if arguments.action == "show":
        entry = find_weights(arguments.name)
        print(
            json.dumps(dataclasses.asdict(entry), default=str, indent=2)
            if arguments.json
            else describe(entry)
        )
        return 0
    for name, entry in read_manifest().items():
        if arguments.action == "list":
            print(f"{name}: {entry.summary}")
            continue
        network = load_bundled(name)
        count = sum(weight.numel() for weight in network.parameters())
        if not all(bool(weight.isfinite().all()) for weight in network.parameters()):
            raise CorruptWeightsError(f"{entry.path} holds values that are no numbers")
        print(f"{name}: {entry.path.name} is what the manifest names, {count} weights")
    return 0


def describe(entry: "WeightsEntry") -> str:
    """An entry of the manifest in lines."""
    low, high = entry.scales
    rows = {
        "file": entry.path,
        "sha256": entry.sha256,
        "summary": entry.summary,
        "recipe": f"{entry.recipe}, {entry.steps} steps, scales {low:g} to {high:g}",
        "data": entry.data,
        "licence": entry.licence,
        "meant for": ", ".join(entry.devices),
    }
    for dataset, scores in entry.psnr.items():
        figures = (f"{scale} {psnr:.2f}" for scale, psnr in scores.items())
        rows[dataset] = f"{', '.join(figures)} dB"
    return "\n".join(f"{name:10} {text}" for name, text in rows.items())

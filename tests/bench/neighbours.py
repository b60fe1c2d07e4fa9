"""Trains the decoders that ``ciaovideo evaluate --suite neighbours`` compares, one after another.

python -m tests.bench.neighbours --out runs/neighbours --pictures PICTURES

Each has a folder of its own under OUT, with ``weights.safetensors`` at the end. Who is stopped, by
Ctrl-C or by ``--minutes``, goes on by the same command; who has finished is passed over. There is
one recipe: all see the same pixels in the same order, and begin with the same encoder.
"""

import argparse
import math
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from ciaovideo.train.loop import RunOptions, Trainer
from ciaovideo.train.recipe import Recipe, read_recipe

RECIPE = "neighbours"
DECODERS = ("metasr", "liif", "lte", "itsrn", "hiif", "ciaosr", "lm-ciaosr", "ciaosr-separable")
# At its published size HIIF takes five times as long per step as LIIF.
SMALLER = {"hiif": ("network.decoder_options={ width = 128, heads = 8 }",)}


def recipe_of(name: str, pictures: Path, start: Path, changes: Sequence[str] = ()) -> Recipe:
    """The one recipe, with this decoder."""
    return read_recipe(
        RECIPE,
        [
            f"network.decoder={name}",
            *SMALLER.get(name, ()),
            f"data.sources=['{pictures}']",
            f"start='{start}'",
            *changes,
        ],
    )


def train(recipe: Recipe, folder: Path, minutes: float) -> bool:
    """Train on, for so many minutes; whether it is finished."""
    trainer = Trainer(recipe, RunOptions(folder=folder, minutes=minutes, save_minutes=3))
    if not trainer.finished:
        trainer.run()
    print(f"{folder}: step {trainer.step}, L1 {trainer.loss:.5f}", flush=True)
    return trainer.finished


def main() -> None:
    """Train all that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--start", type=Path, default=Path("weights/ciaosr-fast.safetensors"))
    parser.add_argument("--names", default=",".join(DECODERS))
    parser.add_argument("--minutes", type=float, default=math.inf, help="for all together")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    over = time.monotonic() + 60 * arguments.minutes
    for name in arguments.names.split(","):
        left = (over - time.monotonic()) / 60
        recipe = recipe_of(name, arguments.pictures, arguments.start, arguments.set)
        if left <= 0 or not train(recipe, arguments.out / name, left):
            break


if __name__ == "__main__":
    main()

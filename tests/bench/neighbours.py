"""Trains the networks that ``ciaovideo evaluate --suite neighbours`` compares, one after another.

python -m tests.bench.neighbours --out runs/neighbours --pictures PICTURES

Decoders have one recipe: all begin with the same encoder, which stays as it is, and see the same
pixels in the same order. Networks with encoders of their own have recipes of their own, and begin
with nothing, or with what another of them has learned. All take as many steps of 8 patches, both
stages of C2D-ISR together; FSDN begins where ASDN ends. ``--steps NAME=N`` asks for another number,
its schedule with it; ``--probe N`` trains none, but says how long a step takes, so that runs of
equal minutes can be asked for.

Each has a folder of its own under OUT, with ``weights.safetensors`` at the end. Who is stopped, by
Ctrl-C or by ``--minutes``, goes on by the same command; who has finished is passed over. OUT's
``costs.csv`` has a line for each run: name, first and last step, seconds of processor, of clock.
"""

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch

from ciaovideo.train.loop import WEIGHTS, RunOptions, Trainer
from ciaovideo.train.recipe import Recipe, read_recipe

COMMON = "neighbours"
COSTS = "costs.csv"
DECODERS = ("metasr", "liif", "lte", "itsrn", "hiif", "ciaosr", "lm-ciaosr", "ciaosr-separable")
# At their published sizes HIIF takes five times as long per step as LIIF, CiaoSR more than three.
WIDTHS = "hidden = [128, 128, 128, 128]"
SMALLER = {
    "hiif": ("network.decoder_options={ width = 128, heads = 8 }",),
    "ciaosr": (f"network.decoder_options={{ {WIDTHS} }}",),
}
STEPS, SECOND = 600, 200  # of all, and of a second stage
SHORT = ("optim.learning_rate=2e-3",)  # that of the common recipe; theirs are for 20 000 steps
DECAY, WARMUP = 3, 12  # the rate of a short run falls in its last third, and rises in a twelfth


@dataclass(frozen=True, slots=True)
class Member:
    """How one network is trained: its recipe, what differs from it, and whose weights it takes."""

    recipe: str
    changes: tuple[str, ...] = ()
    after: str = ""
    steps: int = STEPS


def _at(scale: int) -> tuple[str, ...]:
    """What a recipe of scale 2 needs for another."""
    names = ("network.options.scale", "data.low_scale", "data.high_scale", "validation.scales")
    return tuple(f"{name}={scale}" for name in names)


def _drawn(low: int, high: int) -> tuple[str, ...]:
    """No scales are drawn but whole ones."""
    return f"data.low_scale={low}", f"data.high_scale={high}", "data.whole_scales=true"


# Columns of CiaoSR's table 4; the last, with both kinds of attention, is ``ciaosr`` itself.
PARTS = {
    "ciaosr-mlp": "non_local_scales = [], attention = false",
    "ciaosr-local": "non_local_scales = []",
}
# Rows of its table 5, by the decoder that costs least; the last, with all scales, is that itself.
TRAINED_AT = {
    **{f"ciaosr-separable-x{scale}": _drawn(scale, scale) for scale in (2, 3, 4)},
    "ciaosr-separable-x234": _drawn(2, 4),
}
ABLATIONS: Mapping[str, Member] = {
    **{
        name: Member(
            COMMON,
            ("network.decoder=ciaosr", f"network.decoder_options={{ {WIDTHS}, {options} }}"),
        )
        for name, options in PARTS.items()
    },
    **{
        name: Member(COMMON, ("network.decoder=ciaosr-separable", *scales))
        for name, scales in TRAINED_AT.items()
    },
}
MEMBERS: Mapping[str, Member] = {
    **{
        name: Member(COMMON, (f"network.decoder={name}", *SMALLER.get(name, ())))
        for name in DECODERS
    },
    "eqsr": Member("eqsr-small", SHORT),
    "asdn": Member("asdn-small", SHORT),
    "fsdn": Member("fsdn-small", SHORT, "asdn", SECOND),
    "c2d-continuous": Member("c2d-continuous-small", SHORT, steps=STEPS - SECOND),
    **{
        f"c2d-x{scale}": Member("c2d-small", (*SHORT, *_at(scale)), "c2d-continuous", SECOND)
        for scale in (2, 3, 4)
    },
    # What C2D-ISR is compared with: the same network and as many steps, without its first stage.
    "direct-x2": Member("c2d-small", SHORT),
    **ABLATIONS,
}


def recipe_of(name: str, pictures: Path, start: Path | None, changes: Sequence[str] = ()) -> Recipe:
    """The recipe of a network that begins with the weights in ``start``, or with none."""
    member = MEMBERS[name]
    begin = [] if start is None else [f"start='{start}'"]
    return read_recipe(
        member.recipe, [*member.changes, f"data.sources=['{pictures}']", *begin, *changes]
    )


def schedule(steps: int) -> list[str]:
    """A run of so many steps."""
    return [
        f"optim.steps={steps}",
        f"optim.decay_steps={steps // DECAY}",
        f"optim.warmup={steps // WARMUP}",
    ]


def train(name: str, recipe: Recipe, out: Path, minutes: float) -> bool:
    """Train on, for so many minutes; whether it is finished."""
    trainer = Trainer(recipe, RunOptions(folder=out / name, minutes=minutes, save_minutes=3))
    if not trainer.finished:
        first, cpu, clock = trainer.step, time.process_time(), time.monotonic()
        trainer.run()
        took = f"{time.process_time() - cpu:.1f},{time.monotonic() - clock:.1f}"
        with (out / COSTS).open("a", encoding="utf-8") as costs:
            costs.write(f"{name},{first},{trainer.step},{took}\n")
    print(f"{name}: step {trainer.step}, L1 {trainer.loss:.5f}", flush=True)
    return trainer.finished


def seconds_of_a_step(recipe: Recipe) -> float:
    """Median of a run's steps after its first, in seconds of processor."""
    ends: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(recipe, RunOptions(folder=Path(folder)))
        trainer.run(lambda _: ends.append(time.process_time()))
    return statistics.median(after - before for before, after in pairwise(ends))


def recipes(arguments: argparse.Namespace) -> Iterator[tuple[str, Recipe]]:
    """Those that are named, each read when its turn comes: it may begin with weights made here."""
    steps = dict(pair.split("=") for pair in arguments.steps)
    if arguments.probe:
        steps = dict.fromkeys(MEMBERS, str(arguments.probe))
    for name in arguments.names.split(","):
        member = MEMBERS[name]
        start = arguments.start if member.recipe == COMMON else None
        if member.after and not arguments.probe:  # which weights they are changes no time
            start = arguments.out / member.after / WEIGHTS
        changes = [*schedule(int(steps.get(name, member.steps))), *arguments.set]
        yield name, recipe_of(name, arguments.pictures, start, changes)


def main() -> None:
    """Train all that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--start", type=Path, default=Path("weights/ciaosr-fast.safetensors"))
    parser.add_argument("--names", default=",".join(MEMBERS))
    parser.add_argument("--steps", action="append", default=[], metavar="NAME=N")
    parser.add_argument("--probe", type=int, default=0, metavar="N", help="time N steps of each")
    parser.add_argument("--minutes", type=float, default=math.inf, help="for all together")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    over = time.monotonic() + 60 * arguments.minutes
    for name, recipe in recipes(arguments):
        if arguments.probe:
            print(f"{name}: {seconds_of_a_step(recipe):.3f} s a step", flush=True)
            continue
        left = (over - time.monotonic()) / 60
        if left <= 0 or not train(name, recipe, arguments.out, left):
            break


if __name__ == "__main__":
    main()

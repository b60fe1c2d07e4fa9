"""``ciaovideo train``: a recipe to weights, in a folder that a stopped run goes on from."""

import math
import signal
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ciaovideo.cli.loading import loading
from ciaovideo.errors import OptionError
from ciaovideo.options import EngineOptions

if TYPE_CHECKING:
    from ciaovideo.train.loop import Trainer, TrainProgress

STOPPED = 128  # exit codes of what a signal ended: this and the signal's number


def build_parser(prog: str) -> ArgumentParser:
    """A recipe, a folder, and how to run."""
    parser = ArgumentParser(
        prog=prog,
        description="Train a network. The same command goes on where a stopped run saved last.",
    )
    parser.add_argument("recipe", nargs="?", metavar="RECIPE", help="name, or a TOML file")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of this run: its state, weights and log"
    )
    parser.add_argument("--list", action="store_true", help="list the recipes and leave")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PART.KEY=VALUE",
        help="change a value of the recipe, for example optim.steps=1000 (may be repeated)",
    )
    parser.add_argument(
        "--minutes", type=float, default=math.inf, metavar="M", help="save and leave after so long"
    )
    parser.add_argument(
        "--save-minutes",
        type=float,
        default=5.0,
        metavar="M",
        help="time between checkpoints (default: %(default)s)",
    )
    parser.add_argument(
        "--device", default="auto", metavar="DEV", help="auto, cpu, cuda, cuda:N or mps"
    )
    parser.add_argument(
        "--threads", type=int, default=0, metavar="N", help="CPU threads; 0 takes all cores"
    )
    parser.add_argument(
        "--write-pairs",
        type=int,
        default=0,
        metavar="N",
        help="make N compressed patches for a machine without PyAV (--set data.pairs=DIR/pairs.pt),"
        " and leave",
    )
    return parser


def run(arguments: Namespace) -> int:
    """Train until the end, the time or a signal; the exit code.

    Raises the errors of ours that its parts raise.
    """
    if arguments.list:
        return _list()
    if arguments.recipe is None or arguments.out is None:
        raise OptionError("a recipe and a folder are needed", "RECIPE --out DIR, or --list")
    device = EngineOptions(device=arguments.device).device
    if not (arguments.threads >= 0 and arguments.minutes >= 0 and arguments.save_minutes >= 0):
        raise OptionError("threads and minutes cannot be negative")
    if arguments.write_pairs < 0:
        raise OptionError("the number of pairs cannot be negative")
    import torch

    with loading():
        from ciaovideo.train.loop import WEIGHTS, RunOptions, Trainer
        from ciaovideo.train.recipe import read_recipe

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    options = RunOptions(
        folder=arguments.out,
        device=device,
        minutes=arguments.minutes,
        save_minutes=arguments.save_minutes,
    )
    trainer = Trainer(read_recipe(arguments.recipe, arguments.set), options)
    pictures = trainer.prepare()
    if arguments.write_pairs > 0:
        print(f"wrote {trainer.write_pairs(arguments.write_pairs)}")
        return 0
    begun = f"going on from step {trainer.step}" if trainer.step else "from the beginning"
    note = f"{trainer.recipe.name} on {trainer.device}: {pictures} pictures, {begun}"
    with _stopping(trainer) as received:
        print(note, file=sys.stderr, flush=True)
        _train(trainer)
    steps = trainer.recipe.options.optim.steps
    for notice in trainer.notices:
        print(notice, file=sys.stderr)
    print(f"wrote {arguments.out / WEIGHTS} after step {trainer.step} of {steps}")
    if not trainer.finished:
        print("the same command goes on from here", file=sys.stderr)
    return STOPPED + received[0] if received else 0


def _list() -> int:
    from ciaovideo.train.recipe import list_recipes, read_recipe

    names = list_recipes()
    width = max(map(len, names))
    for name in names:
        print(f"{name:{width}}  {read_recipe(name).options.summary}")
    return 0


def _train(trainer: "Trainer") -> None:
    """Run with a bar on standard error, where that is a terminal."""
    from tqdm import tqdm

    steps = trainer.recipe.options.optim.steps
    with tqdm(total=steps, initial=trainer.step, unit="step", disable=None, smoothing=0.05) as bar:

        def show(progress: "TrainProgress") -> None:
            best = f", best {progress.best:.2f} dB" if math.isfinite(progress.best) else ""
            speed = f"{progress.samples:.0f} samples/s, waits for data {progress.data:.0%}"
            loss = f"L1 {progress.loss:.5f}, " if math.isfinite(progress.loss) else ""
            bar.set_postfix_str(f"{loss}{speed}{best}", refresh=False)
            bar.update(progress.step - bar.n)
            if progress.psnrs:
                figures = ", ".join(f"x{s:g} {psnr:.2f}" for s, psnr in progress.psnrs.items())
                line = f"step {progress.step}: {figures} dB"
                tqdm.write(line, file=sys.stderr)

        trainer.run(show)


@contextmanager
def _stopping(trainer: "Trainer") -> Iterator[list[int]]:
    """While inside, the first Ctrl-C or SIGTERM saves and ends the run; a second one ends it now.

    Yields the numbers of the signals received.
    """
    received: list[int] = []
    before: dict[int, Callable[..., Any] | int | None] = {}

    def stop(number: int, _: object) -> None:
        received.append(number)
        trainer.stop()
        for each, handler in before.items():
            signal.signal(each, handler)

    for each in (signal.SIGINT, signal.SIGTERM):
        before[each] = signal.signal(each, stop)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

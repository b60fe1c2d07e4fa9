"""``ciaovideo train``: trains weights by a recipe, in a folder from which a run resumes."""

import math
import os
import signal
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ciaovideo.cli.loading import loading
from ciaovideo.cli.progress import LINE_EVERY_S, has_width
from ciaovideo.errors import MissingInputError, OptionError
from ciaovideo.options import EngineOptions

if TYPE_CHECKING:
    from ciaovideo.train.loop import RunOptions, Trainer, TrainProgress
    from ciaovideo.train.ranks import Ranks
    from ciaovideo.train.recipe import Recipe

LAUNCHED = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # by torchrun
STOPPED = 128  # exit codes of what a signal ended: this and the signal's number


def build_parser(prog: str) -> ArgumentParser:
    """A recipe, a folder, and how to run."""
    parser = ArgumentParser(
        prog=prog,
        description="Train a network. The same command resumes a run from its last checkpoint."
        " On several GPUs: torchrun --nproc-per-node N -m ciaovideo train RECIPE --out DIR.",
    )
    parser.add_argument("recipe", nargs="?", metavar="RECIPE", help="name, or a TOML file")
    folder = parser.add_mutually_exclusive_group()
    folder.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of this run: its state, weights and log"
    )
    folder.add_argument(
        "--resume", type=Path, metavar="DIR", help="the same, but refuse a folder with other files"
    )
    parser.add_argument("--list", action="store_true", help="list the recipes and exit")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PART.KEY=VALUE",
        help="change a value of the recipe, for example optim.steps=1000 (may be repeated)",
    )
    _add_running(parser)
    return parser


def _add_running(parser: ArgumentParser) -> None:
    """Options on time and devices, which do not change the weights."""
    parser.add_argument(
        "--minutes", type=float, default=math.inf, metavar="M", help="save and exit after this time"
    )
    parser.add_argument(
        "--save-minutes",
        type=float,
        default=5.0,
        metavar="M",
        help="time between checkpoints (default: %(default)s)",
    )
    parser.add_argument(
        "--device",
        default="auto",
        metavar="DEV",
        help="auto, cpu, cuda, cuda:N or mps; under torchrun, cuda is a GPU for each process",
    )
    parser.add_argument(
        "--threads",
        type=int,
        default=0,
        metavar="N",
        help="CPU threads; 0 takes all cores, of which processes under torchrun get equal shares",
    )


def run(arguments: Namespace) -> int:
    """Train until the end, the time or a signal; returns the exit code.

    Raises CiaoVideoError.
    """
    if arguments.list:
        return _list()
    folder = arguments.out or arguments.resume
    if arguments.recipe is None or folder is None:
        raise OptionError("a recipe and a folder are required", "give RECIPE --out DIR, or --list")
    device = EngineOptions(device=arguments.device).device
    _check(arguments)
    import torch

    with loading():
        from ciaovideo.train.loop import FILES, STATE, RunOptions
        from ciaovideo.train.recipe import read_recipe

    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    others = {name for name in there - FILES if not name.startswith(".")}
    if arguments.resume is not None and STATE not in there and others:
        raise MissingInputError(
            f"{folder} holds other files, and no {STATE}: there is no run to resume",
            "name another folder, or start with --out",
        )
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    recipe = read_recipe(arguments.recipe, arguments.set)
    with _processes(device, arguments.threads) as (device, ranks):
        options = RunOptions(
            folder=folder,
            device=device,
            minutes=arguments.minutes,
            save_minutes=arguments.save_minutes,
            ranks=ranks,
        )
        return _run(recipe, options)


def _check(arguments: Namespace) -> None:
    """Raise OptionError for a negative number."""
    if not (arguments.threads >= 0 and arguments.minutes >= 0 and arguments.save_minutes >= 0):
        raise OptionError("threads and minutes cannot be negative")


def _run(recipe: "Recipe", options: "RunOptions") -> int:
    """Train; the exit code."""
    from ciaovideo.train.loop import WEIGHTS, Trainer

    trainer = Trainer(recipe, options)
    pictures = trainer.prepare()
    ranks = options.ranks
    begun = f"resuming from step {trainer.step}" if trainer.step else "from the beginning"
    where = f"{trainer.device}" + (f" and {ranks.count - 1} more" if ranks.count > 1 else "")
    with _stopping(trainer) as received:
        if ranks.first:
            note = f"{recipe.name} on {where}: {pictures} pictures, {begun}"
            print(note, file=sys.stderr, flush=True)
        _train(trainer)
    if ranks.first:
        for notice in trainer.notices:
            print(notice, file=sys.stderr)
        steps = recipe.options.optim.steps
        print(f"wrote {options.folder / WEIGHTS} after step {trainer.step} of {steps}")
        if not trainer.finished:
            print("the same command resumes from here", file=sys.stderr)
    return STOPPED + received[0] if received else 0


@contextmanager
def _processes(device: str, threads: int) -> "Iterator[tuple[str, Ranks]]":
    """This process's device, and its rank if torchrun started it."""
    import torch

    from ciaovideo.engine.engine import choose_device
    from ciaovideo.train.ranks import SINGLE_PROCESS, joined

    if not all(os.environ.get(name) for name in LAUNCHED) or os.environ["WORLD_SIZE"] == "1":
        yield device, SINGLE_PROCESS
        return
    kind = choose_device(device)
    if kind.type == "mps" or kind.index is not None:
        raise OptionError(
            f"{device} is one device, but there are {os.environ['WORLD_SIZE']} processes",
            "use auto, cuda or cpu",
        )
    if kind.type == "cuda":
        kind = choose_device(f"cuda:{os.environ['LOCAL_RANK']}")
    elif not threads:  # torchrun gives each process one thread
        here = int(os.environ.get("LOCAL_WORLD_SIZE", os.environ["WORLD_SIZE"]))
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // here))
    with joined(kind) as ranks:
        yield str(kind), ranks


def _list() -> int:
    from ciaovideo.train.recipe import list_recipes, read_recipe

    names = list_recipes()
    width = max(map(len, names))
    for name in names:
        print(f"{name:{width}}  {read_recipe(name).options.summary}")
    return 0


def _train(trainer: "Trainer") -> None:
    """Run with a bar on standard error, or with a line a minute if that is no terminal."""
    from tqdm import tqdm

    steps = trainer.recipe.options.optim.steps
    on_terminal = has_width()
    told = time.monotonic()
    with tqdm(
        total=steps,
        initial=trainer.step,
        unit="step",
        disable=not (on_terminal and trainer.ranks.first),
        smoothing=0.05,
    ) as bar:

        def show(progress: "TrainProgress") -> None:
            nonlocal told
            bar.set_postfix_str(_figures(progress), refresh=False)
            bar.update(progress.step - bar.n)
            if progress.psnrs:
                psnrs = ", ".join(f"x{s:g} {psnr:.2f}" for s, psnr in progress.psnrs.items())
                tqdm.write(f"step {progress.step}: {psnrs} dB", file=sys.stderr)
            late = time.monotonic() - told >= LINE_EVERY_S or progress.step == steps
            if late and not on_terminal:
                told = time.monotonic()
                print(_line(progress), file=sys.stderr, flush=True)

        trainer.run(show)


def _figures(progress: "TrainProgress") -> str:
    best = f", best {progress.best:.2f} dB" if math.isfinite(progress.best) else ""
    speed = f"{progress.samples:.0f} samples/s, waits for data {progress.data:.0%}"
    loss = f"L1 {progress.loss:.5f}, " if math.isfinite(progress.loss) else ""
    return f"{loss}{speed}{best}"


def _line(progress: "TrainProgress") -> str:
    left = timedelta(seconds=round((progress.steps - progress.step) / progress.rate))
    share = progress.step / progress.steps
    place = f"{share:.1%}, step {progress.step} of {progress.steps}"
    return f"{place}, {_figures(progress)}, {left} left"


@contextmanager
def _stopping(trainer: "Trainer") -> Iterator[list[int]]:
    """Let the first Ctrl-C or SIGTERM save and end the run; a second one ends it at once.

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

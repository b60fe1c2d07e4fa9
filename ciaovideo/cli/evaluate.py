"""``ciaovideo evaluate``: the benchmarks of the literature."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from ciaovideo.options import EngineOptions, ModelOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ciaovideo.evaluate.protocol import Upscale
    from ciaovideo.evaluate.report import Row

SCALES = (2.0, 3.0, 4.0)


def build_parser(prog: str) -> ArgumentParser:
    """Methods, sets of pictures, scales, and how to print."""
    parser = ArgumentParser(
        prog=prog,
        description="Measure networks on pictures as papers do: PSNR on Y, border left out.",
    )
    parser.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help="name of bundled weights, auto, a .safetensors file, bicubic or lanczos",
    )
    parser.add_argument(
        "--on",
        nargs="+",
        required=True,
        type=Path,
        metavar="FOLDER",
        help="folders of HR pictures, each a set; LR is made from them",
    )
    parser.add_argument(
        "--scales",
        type=_scales,
        default=SCALES,
        metavar="S,...",
        help="any scales above 1, for example 2,2.5,3,4 (default: 2,3,4)",
    )
    parser.add_argument("--ssim", action="store_true", help="measure SSIM too")
    parser.add_argument(
        "--published", action="store_true", help="print what papers reach beside it, where known"
    )
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true", help="print JSON")
    forms.add_argument("--markdown", action="store_true", help="print Markdown")
    for field in fields(EngineOptions):
        if field.name in ("device", "precision"):
            parser.add_argument(
                f"--{field.name}",
                default=field.default,
                metavar=field.metadata["unit"] or "KIND",
                help=f"{field.metadata['help']} (default: %(default)s)",
            )
    return parser


def run(arguments: Namespace) -> int:
    """Measure and print; the exit code. Raises the errors of ours that its parts raise."""
    options = EngineOptions(device=arguments.device, precision=arguments.precision)
    from ciaovideo.data.images import list_pictures
    from ciaovideo.evaluate.protocol import crop_step
    from ciaovideo.evaluate.report import Report, published

    for scale in arguments.scales:
        crop_step(scale)  # a scale that cannot be measured is refused before anything is
    pictures = sum(len(list_pictures(folder)) for folder in arguments.on)
    methods = [_open(model, options) for model in arguments.models]
    total = pictures * len(arguments.scales) * len(methods)
    rows = list(_rows(arguments, methods, total))
    if arguments.published:
        for name in dict.fromkeys(row.dataset for row in rows):
            rows.extend(published(name, arguments.scales))
    report = Report(scales=arguments.scales, rows=tuple(rows))
    if arguments.json:
        print(report.as_json())
    else:
        print(report.as_markdown() if arguments.markdown else report.as_text())
    return 0


def _rows(
    arguments: Namespace, methods: "list[tuple[str, Upscale]]", total: int
) -> "Iterator[Row]":
    """Each method on each set, with a bar on standard error where that is a terminal."""
    from tqdm import tqdm

    from ciaovideo.evaluate.protocol import Score, benchmark
    from ciaovideo.evaluate.report import Row

    with tqdm(total=total, unit="picture", disable=None) as bar:

        def count(_: Path) -> None:
            bar.update()

        for folder in arguments.on:
            dataset = folder.resolve().name
            for name, upscale in methods:
                scores: dict[float, Score] = {}
                for scale in arguments.scales:
                    bar.set_description(f"{name} on {dataset} x{scale:g}", refresh=False)
                    scores[scale] = benchmark(
                        upscale, folder, scale, ssim=arguments.ssim, on_picture=count
                    )
                yield Row(method=name, dataset=dataset, scores=scores)


def _open(model: str, options: EngineOptions) -> tuple[str, "Upscale"]:
    """The name of a method for people, and what enlarges."""
    from ciaovideo.engine.engine import Engine
    from ciaovideo.engine.upscaler import load_network
    from ciaovideo.evaluate.baselines import BASELINES

    if model in BASELINES:
        return model, BASELINES[model]
    from_file = model.endswith(".safetensors")
    chosen = ModelOptions(weights=Path(model)) if from_file else ModelOptions(model=model)
    name, network = load_network(chosen, options.device)
    return Path(name).stem if from_file else name, Engine(network, options)


def _scales(text: str) -> tuple[float, ...]:
    try:
        return tuple(dict.fromkeys(float(part) for part in text.split(",")))
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a list of numbers such as 2,2.5,4") from None

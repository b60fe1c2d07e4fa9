"""``ciaovideo evaluate``: the benchmarks of the literature."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from ciaovideo.cli.evaluate.suites import SUITES, complete, draw, shown_scale, unwritten
from ciaovideo.cli.loading import loading
from ciaovideo.errors import MissingInputError, OptionError, UnsupportedScaleError
from ciaovideo.options import EngineOptions, ModelOptions

if TYPE_CHECKING:
    from ciaovideo.engine.engine import Engine
    from ciaovideo.evaluate.cost import Cost
    from ciaovideo.evaluate.crops import Gallery
    from ciaovideo.evaluate.equivariance import Measuring
    from ciaovideo.evaluate.protocol import OnSample, Sample, Upscale
    from ciaovideo.evaluate.report import Report, Row
    from ciaovideo.evaluate.suites.load import Load
    from ciaovideo.models.protocols import Network


PROTOCOLS = {
    "benchmark": "Y, border ceil(scale): CiaoSR's tables 2, 3 and 6",
    "div2k": "RGB, border ceil(scale) + 6: its table 1",
    "eqsr": "Y, border 4, 6 or 8: EQSR's non-integer scales",
    "video": "Y, border ceil(scale): LR coded as people share video, in 4:2:0",
}


@dataclass(frozen=True, slots=True)
class Method:
    """A method: its name for people, its callable, and its network if it has one."""

    name: str
    upscale: "Upscale"
    network: "tuple[Network, Engine] | None" = None


def build_parser(prog: str) -> ArgumentParser:
    """Methods, sets of pictures, scales, and how to print."""
    parser = ArgumentParser(
        prog=prog,
        description="Measure networks on pictures and videos as papers do: PSNR on Y, without the "
        "border.",
    )
    parser.add_argument(
        "models",
        nargs="*",
        metavar="MODEL",
        help="name of bundled weights, auto, a .safetensors file, bicubic or lanczos; with :R, for "
        "example ciaosr-fast:0.5, at that restoring strength; default: those of the suite",
    )
    parser.add_argument(
        "--suite",
        choices=SUITES,
        help="a comparison with its own methods and scales: neighbours (networks of any scale that "
        "were trained alike; includes --load)",
    )
    parser.add_argument(
        "--on",
        nargs="+",
        required=True,
        type=Path,
        metavar="PATH",
        help="folders of HR pictures, each a set, and HR videos; LR is made from them",
    )
    _add_measuring(parser)
    _add_metrics(parser)
    _add_printing(parser)
    for field in fields(EngineOptions):
        if field.name in ("device", "precision"):
            parser.add_argument(
                f"--{field.name}",
                default=field.default,
                metavar=field.metadata["unit"] or "KIND",
                help=f"{field.metadata['help']} (default: %(default)s)",
            )
    return parser


def _add_measuring(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--scales",
        type=_scales,
        metavar="S,...",
        help="any scales above 1, for example 2,2.5,3,4 (default: 2,3,4, or the suite's)",
    )
    protocols = "; ".join(f"{name} ({what})" for name, what in PROTOCOLS.items())
    parser.add_argument(
        "--protocol",
        choices=list(PROTOCOLS),
        default="benchmark",
        help=f"how pictures are compared: {protocols} (default: %(default)s)",
    )
    parser.add_argument(
        "--codings",
        metavar="C,...",
        help="for video: clean, or codec:quality such as h264:23 (crf), h265:28 (crf), mpeg2:4 "
        "(quantiser) (default: clean, H.264 at 18, 23, 28 and 33, H.265 at 23 and 28, MPEG-2 at 4 "
        "and 8)",
    )
    parser.add_argument(
        "--frames",
        type=int,
        metavar="N",
        help="measure only the first N frames of a video (default: all; 8 for protocol video)",
    )


def _add_metrics(parser: ArgumentParser) -> None:
    """Metrics besides PSNR."""
    parser.add_argument("--ssim", action="store_true", help="also measure SSIM")
    parser.add_argument(
        "--equivariance",
        action="store_true",
        help="also measure the difference between reducing before and after the method, in dB, "
        "less is better (EQSR's equation 6); the page and the plot show it over scale",
    )
    parser.add_argument(
        "--lpips",
        nargs=2,
        type=Path,
        metavar=("ALEXNET", "HEADS"),
        help="also measure LPIPS of pictures, with torchvision's file of AlexNet and alex.pth of "
        "LPIPS 0.1",
    )
    parser.add_argument(
        "--steps",
        type=_scales,
        default=(),
        metavar="S,...",
        help="also measure each method in several steps, for example 2,4 on the way to 12",
    )
    parser.add_argument(
        "--cost", action="store_true", help="count weights, and time LR of 192x192 px at x4"
    )
    parser.add_argument(
        "--load",
        action="store_true",
        help="count weights, multiplications and memory, and time one core, with LR of 96x96 px at "
        "x4",
    )


def _add_printing(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--published", action="store_true", help="add published figures for the set"
    )
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true", help="print JSON")
    forms.add_argument("--markdown", action="store_true", help="print Markdown")
    parser.add_argument(
        "--plot",
        type=Path,
        metavar="FILE",
        help="also draw PSNR over the time of one core as PNG or SVG, and equivariance over scale "
        "if measured; includes --load",
    )
    parser.add_argument(
        "--html",
        type=Path,
        metavar="FILE",
        help="also write a self-contained page with charts and crops to compare",
    )


def run(arguments: Namespace) -> int:
    """Measure and print; the exit code. Raises CiaoVideoError."""
    options = EngineOptions(device=arguments.device, precision=arguments.precision)
    with loading():
        from ciaovideo.evaluate.crops import Gallery
        from ciaovideo.evaluate.measuring import choose_measures
        from ciaovideo.evaluate.protocol import CHANNELS
        from ciaovideo.evaluate.published import published, published_costs
        from ciaovideo.evaluate.report import Report

    complete(arguments)
    total = _check(arguments)
    measures = choose_measures(
        arguments.protocol,
        arguments.codings,
        frames=arguments.frames,
        ssim=arguments.ssim,
        lpips=arguments.lpips,
        equivariance=arguments.equivariance,
        skip_small=arguments.suite is not None,
    )
    opened = _open_all(arguments.models, options)
    methods = [*opened, *_in_steps(opened, arguments.steps)]
    if arguments.plot is not None and not any(each.network for each in opened):
        raise OptionError("the plot needs a network", "name one, or omit the plot")
    gallery = Gallery(shown_scale(arguments.scales)) if arguments.html else None
    rows = list(_rows(arguments, methods, measures, gallery, total * len(methods)))
    costs = _costs(opened) if arguments.cost else []
    if arguments.published:
        channel = CHANNELS.get(arguments.protocol, "Y")
        for name in dict.fromkeys(row.dataset for row in rows):
            rows.extend(published(name, arguments.scales, channel))
        costs += published_costs() if arguments.cost else []
    loads = _loads(opened) if arguments.load else []
    report = Report(
        scales=arguments.scales, rows=tuple(rows), costs=tuple(costs), loads=tuple(loads)
    )
    if arguments.json:
        print(report.as_json())
    else:
        print(report.as_markdown() if arguments.markdown else report.as_text())
    if arguments.plot is not None:
        draw(arguments, report)
    if gallery is not None:
        _write_page(arguments, report, gallery, opened)
    return 0


def _in_steps(methods: list[Method], steps: tuple[float, ...]) -> list[Method]:
    """The same methods, each in several steps; empty without steps."""
    from ciaovideo.evaluate.protocol import in_steps

    names = ", ".join(f"x{step:g}" for step in steps)
    made = [Method(f"{each.name} via {names}", in_steps(each.upscale, steps)) for each in methods]
    return made if steps else []


def _check(arguments: Namespace) -> int:
    """Check the arguments before measuring; returns the number of pictures per method."""
    from ciaovideo.charts import check_format
    from ciaovideo.data.pairs import crop_step
    from ciaovideo.evaluate.measuring import count_pictures
    from ciaovideo.pages.page import check_place

    for scale in (*arguments.scales, *arguments.steps):
        crop_step(scale)
    if arguments.frames is not None and arguments.frames < 1:
        raise OptionError(f"frames must be 1 or more, got {arguments.frames}")
    if arguments.html is not None:
        check_place(arguments.html)
    if arguments.plot is not None:
        check_format(arguments.plot)
        check_place(arguments.plot)
    pictures = 0
    for path in arguments.on:
        if not path.exists():
            raise MissingInputError(f"{path} does not exist", "name folders of pictures, or videos")
        pictures += count_pictures(path, arguments.protocol, arguments.frames)
    return pictures * len(arguments.scales)


def _rows(
    arguments: Namespace,
    methods: list[Method],
    measures: "Mapping[str, Measuring]",
    gallery: "Gallery | None",
    total: int,
) -> "Iterator[Row]":
    """Each method on each set by each measure, with a bar on standard error if that is a terminal.

    Measures are keyed by the codec of LR; methods follow each other on the same LR.
    """
    from tqdm import tqdm

    from ciaovideo.evaluate.protocol import CHANNELS, Score
    from ciaovideo.evaluate.report import Row

    names = _set_names(arguments.on)
    with tqdm(total=total * len(measures), unit="picture", disable=None) as bar:
        for path, (coding, measure) in product(arguments.on, measures.items()):
            channel = "Y" if path.is_file() or coding else CHANNELS[arguments.protocol]
            scores: list[dict[float, Score]] = [{} for _ in methods]
            rows = [
                Row(
                    method=method.name,
                    dataset=names[path],
                    scores=found,
                    channel=channel,
                    coding=coding,
                )
                for method, found in zip(methods, scores, strict=True)
            ]
            each = list(zip(rows, methods, scores, strict=True))
            for scale, (row, method, found) in product(arguments.scales, each):
                bar.set_description(f"{row.method} on {row.section} x{scale:g}", refresh=False)
                keep: OnSample | None = None
                if gallery is not None and scale == gallery.scale:
                    is_video = path.is_file() or bool(coding)
                    keep = partial(gallery.add, row.section, row.method, is_video=is_video)

                def seen(sample: "Sample", keep: "OnSample | None" = keep) -> None:
                    bar.update()
                    if keep is not None:
                        keep(sample)

                try:
                    found[scale] = measure(path, scale, method.upscale, seen)
                except UnsupportedScaleError:  # a suite skips scales that a method lacks
                    if arguments.suite is None:
                        raise
            yield from rows


def _set_names(paths: list[Path]) -> dict[Path, str]:
    """Names of sets: the last part of the path, or the whole path if that name is taken."""
    names: dict[Path, str] = {}
    for path in paths:
        whole = path.resolve()
        name = whole.stem if path.is_file() else whole.name
        names[path] = name if name not in names.values() else str(path)
    return names


def _open_all(models: list[str], options: EngineOptions) -> list[Method]:
    """Every method once, under a unique name."""
    methods: dict[str, Method] = {}
    for model in dict.fromkeys(models):
        method = _open(model, options)
        name = method.name if method.name not in methods else model
        methods[name] = Method(name, method.upscale, method.network)
    return list(methods.values())


def _open(model: str, options: EngineOptions) -> Method:
    from ciaovideo.engine.engine import Engine
    from ciaovideo.engine.model_choice import load_network
    from ciaovideo.evaluate.baselines import BASELINES

    if model in BASELINES:
        return Method(model, BASELINES[model])
    from_file = model.endswith(".safetensors")
    chosen = ModelOptions(weights=Path(model)) if from_file else _at_strength(model)
    name, network = load_network(chosen, options.device)
    engine = Engine(network, options)
    name = f"{name}:{chosen.restore}" if ":" in model and not from_file else name
    return Method(Path(name).stem if from_file else name, engine, (network, engine))


def _at_strength(model: str) -> ModelOptions:
    """Bundled weights by name, with an optional restoring strength."""
    name, colon, strength = model.partition(":")
    try:
        return ModelOptions(model=name, restore=float(strength) if colon else "auto")
    except ValueError:
        raise OptionError(
            f"{model!r}: {strength!r} is not a restoring strength", "write a number from 0 to 1"
        ) from None


def _costs(methods: list[Method]) -> "list[Cost]":
    from ciaovideo.evaluate.cost import cost

    return [cost(each.name, *each.network) for each in methods if each.network is not None]


def _loads(methods: list[Method]) -> "list[Load]":
    from ciaovideo.evaluate.suites.load import measure_load

    return [measure_load(each.name, *each.network) for each in methods if each.network is not None]


def _write_page(
    arguments: Namespace, report: "Report", gallery: "Gallery", methods: list[Method]
) -> None:
    from ciaovideo.evaluate.page import as_html
    from ciaovideo.storage.atomic import replacing

    about = [
        f"Protocol {arguments.protocol}: {PROTOCOLS[arguments.protocol]}. LR is bicubic of HR in "
        "8 bit; HR is cropped so that LR is whole."
    ]
    engines = [each.network[1] for each in methods if each.network is not None]
    if engines:
        about.append(f"Computed on {engines[0].device} in {engines[0].precision}.")
    page = as_html(report, gallery.crops(), about, gallery.scale)
    try:
        with replacing(arguments.html) as part:
            part.write_text(page, encoding="utf-8")
    except OSError as cause:
        raise unwritten(arguments.html, cause) from cause


def _scales(text: str) -> tuple[float, ...]:
    try:
        return tuple(dict.fromkeys(float(part) for part in text.split(",")))
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a list of numbers such as 2,2.5,4") from None

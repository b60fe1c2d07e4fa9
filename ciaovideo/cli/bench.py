"""``ciaovideo bench FILE``: measures each stage and the whole run on this machine."""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ciaovideo.cli.json_output import to_plain
from ciaovideo.cli.loading import loading
from ciaovideo.cli.options import add_group, read_group
from ciaovideo.errors import OptionError
from ciaovideo.options import (
    EncodeOptions,
    EngineOptions,
    ModelOptions,
    SizeOptions,
    UpscaleOptions,
)

if TYPE_CHECKING:
    from ciaovideo.bench.cases import Report
    from ciaovideo.bench.growth import Growth

GROUPS = (SizeOptions, ModelOptions, EngineOptions, EncodeOptions)


def build_parser(prog: str) -> ArgumentParser:
    """The parser."""
    parser = ArgumentParser(
        prog=prog,
        description="Measure decoding, network and encoding alone, and the whole run, on one file.",
        allow_abbrev=False,
    )
    parser.add_argument("input", type=Path, help="a video file")
    for config in GROUPS:
        add_group(parser, config)
    parser.add_argument(
        "--frames", type=int, default=48, help="frames of the whole run (default: %(default)s)"
    )
    parser.add_argument(
        "--growth",
        type=Path,
        metavar="FILE",
        help="also measure how cost grows with input, output and length (takes minutes), and draw"
        " it as PNG or SVG",
    )
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument(
        "--against", type=Path, metavar="FILE", help="compare with a stored run (from --json)"
    )
    shown.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("-v", "--verbose", action="store_true", help="print more, show tracebacks")
    return parser


def run(arguments: Namespace) -> int:
    """Measure and print a Markdown table, or JSON."""
    options = UpscaleOptions(
        size=read_group(SizeOptions, arguments),
        model=read_group(ModelOptions, arguments),
        engine=read_group(EngineOptions, arguments),
        encode=read_group(EncodeOptions, arguments),
        frames=arguments.frames,
    )
    from ciaovideo.storage.endpoints import reads_once

    if reads_once(arguments.input):
        raise OptionError(f"{arguments.input} can be read only once", "name a file")
    if arguments.growth:
        _check_growth(arguments.growth)
    before, setting = _stored(arguments.against) if arguments.against else ({}, "")
    with loading():
        from ciaovideo.bench.cases import run_bench

    report = run_bench(arguments.input, options, growth=arguments.growth is not None)
    if report.growth:
        _draw(report.growth, arguments.growth)
    if arguments.json:
        print(json.dumps(report, default=to_plain, indent=2))
    else:
        print(markdown(report, before))
        if setting not in ("", _setting(to_plain(report))):
            print(f"the stored run has other settings: {setting}")
    return 0


def _check_growth(path: Path) -> None:
    """Refuse a chart that cannot be drawn or written, before minutes of measuring."""
    from ciaovideo.charts import check_format, drawing

    folder = path.absolute().parent
    if not folder.is_dir():
        raise OptionError(
            f"the folder {folder} does not exist", "create it, or choose another for --growth"
        )
    check_format(path)
    with drawing():
        pass


def markdown(report: "Report", before: Mapping[str, float] = {}) -> str:
    """The figures as a Markdown table, after the settings on which they depend.

    ``before``: CPU seconds of the same cases in a stored run.
    """
    (height, width), (out_height, out_width) = report.lr_size, report.out_size
    lines = [
        f"{report.model}, {report.precision} on {report.device}, {report.workers} frame(s) at once,"
        f" {width}x{height} to {out_width}x{out_height}, {report.frames} frames",
        ", ".join(f"{name} {text}" for name, text in report.machine.items()),
        "",
        "| case | ms a frame | frames/s | CPU ms a frame | spread |" + " was |" * bool(before),
        "|---|---|---|---|---|" + "---|" * bool(before),
    ]
    for result in report.results:
        line = (
            f"| {result.case} | {result.wall_s * 1000:.1f} | {result.fps:.2f}"
            f" | {result.cpu_s * 1000:.1f} | {result.spread:.0%} |"
        )
        if before:
            was = before.get(result.case)
            line += f" {was * 1000:.1f} (x{result.cpu_s / was:.2f}) |" if was else " |"
        lines.append(line)
    busy = ", ".join(f"{stage} {s:.2f} s" for stage, s in report.stage_seconds.items())
    lines += [
        "",
        f"end to end: threads busy {busy}; wall over the slowest stage {report.overlap:.2f};"
        f" peak memory {report.peak_bytes / 1e6:.0f} MB",
        _floor(report),
        *(_growth(report.growth) if report.growth else ()),
    ]
    return "\n".join(lines)


def _floor(report: "Report") -> str:
    """The network's time relative to the lower bound for its work on this machine."""
    floor = report.floor
    network = next(result for result in report.results if result.case == "network only")
    return (
        f"network: {floor.flop / 1e9:.3g} GFLOP a frame at {floor.flop_rate / 1e9:.0f} GFLOP/s"
        f" (a large product in {report.precision}), {floor.bytes / 1e6:.3g} MB at"
        f" {floor.byte_rate / 1e9:.3g} GB/s (a large copy): at least {floor.seconds * 1000:.3g} ms;"
        f" it took {network.wall_s / floor.seconds:.2f} times that"
    )


def _growth(growth: "Growth") -> list[str]:
    return [
        f"a frame: {growth.start * 1000:.2f} ms + {growth.per_lr * 1e9:.0f} ns a pixel in"
        f" + {growth.per_out * 1e9:.0f} ns a pixel out (mean distance of {growth.error:.0%}"
        f" over {sum(point.frames == 1 for point in growth.points)} sizes)",
        f"a run: {growth.run_start:.2f} s + {growth.per_frame * 1000:.1f} ms a frame",
    ]


def _draw(growth: "Growth", path: Path) -> None:
    from ciaovideo.bench.drawing import draw_growth

    try:
        draw_growth(growth, path)
    except OSError as cause:
        raise OptionError(f"{path}: {cause.strerror}", "name a file that can be written") from cause


def _stored(path: Path) -> tuple[dict[str, float], str]:
    """CPU seconds per frame of each case of a stored run, and the run's settings."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        seconds = {result["case"]: float(result["cpu_s"]) for result in report["results"]}
        return seconds, _setting(report)
    except OSError as cause:
        raise OptionError(
            f"{path}: {cause.strerror}", "name a file that bench --json made"
        ) from cause
    except (ValueError, KeyError, TypeError) as cause:
        raise OptionError(
            f"{path} is not a stored run", "name a file that bench --json made"
        ) from cause


def _setting(report: Mapping[str, Any]) -> str:
    """The settings of a stored run on which its figures depend."""
    sizes = (f"{report[size][1]}x{report[size][0]}" for size in ("lr_size", "out_size"))
    return f"{report['model']}, {report['precision']} on {report['device']}, {' to '.join(sizes)}"

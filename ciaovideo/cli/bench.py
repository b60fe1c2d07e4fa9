"""``ciaovideo bench FILE``: how fast each stage and the whole run are on this machine."""

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from ciaovideo.cli.options import add_group, read_group
from ciaovideo.cli.upscale import to_plain
from ciaovideo.options import (
    EncodeOptions,
    EngineOptions,
    ModelOptions,
    SizeOptions,
    UpscaleOptions,
)

if TYPE_CHECKING:
    from ciaovideo.bench.cases import Report

GROUPS = (SizeOptions, ModelOptions, EngineOptions, EncodeOptions)


def build_parser(prog: str) -> ArgumentParser:
    """The parser."""
    parser = ArgumentParser(
        prog=prog,
        description="Measure decoding, network and encoding alone, and the whole, on one file.",
        allow_abbrev=False,
    )
    parser.add_argument("input", type=Path, help="a video file")
    for config in GROUPS:
        add_group(parser, config)
    parser.add_argument(
        "--frames", type=int, default=48, help="frames of the whole run (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("-v", "--verbose", action="store_true", help="say more, show tracebacks")
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
    from ciaovideo.bench.cases import run_bench

    report = run_bench(arguments.input, options)
    print(json.dumps(report, default=to_plain, indent=2) if arguments.json else markdown(report))
    return 0


def markdown(report: "Report") -> str:
    """The figures as a Markdown table, after a line for each thing they depend on."""
    (height, width), (out_height, out_width) = report.lr_size, report.out_size
    lines = [
        f"{report.model}, {report.precision} on {report.device}, {report.workers} frame(s) at once,"
        f" {width}x{height} to {out_width}x{out_height}, {report.frames} frames",
        ", ".join(f"{name} {text}" for name, text in report.machine.items()),
        "",
        "| case | ms a frame | frames/s | CPU ms a frame | spread |",
        "|---|---|---|---|---|",
    ]
    for result in report.results:
        spread = f"{result.spread:.0%}" if result.repetitions > 1 else ""
        lines.append(
            f"| {result.case} | {result.wall_s * 1000:.1f} | {result.fps:.2f}"
            f" | {result.cpu_s * 1000:.1f} | {spread} |"
        )
    busy = ", ".join(f"{stage} {s:.2f} s" for stage, s in report.stage_seconds.items())
    lines += [
        "",
        f"end to end: threads busy {busy}; wall over the slowest stage {report.overlap:.2f};"
        f" peak memory {report.peak_bytes / 1e6:.0f} MB",
    ]
    return "\n".join(lines)

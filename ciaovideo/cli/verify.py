"""``ciaovideo verify OUT --against IN``: checks an upscaled file against its source."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from ciaovideo.cli.json_output import as_json
from ciaovideo.cli.loading import loading
from ciaovideo.errors import VerificationError
from ciaovideo.notation import parse_size
from ciaovideo.options import InputOptions, Telecine, UpscaleOptions

if TYPE_CHECKING:
    from ciaovideo.pipeline.verification.contract import Verification


def build_parser(prog: str) -> ArgumentParser:
    """The output, its source, and how to print."""
    parser = ArgumentParser(
        prog=prog,
        description="Check an upscaled file: every frame at its time, every packet of the other"
        " streams, chapters, aspect ratio, colour tags, and a few decoded pictures.",
        epilog="exit codes: 0 verified, 2 usage, 3 it does not match, or cannot be read. --json"
        " prints one object; its findings have kind (wrong: a difference from the source),"
        " subject, text and time in seconds.",
    )
    parser.add_argument("output", type=Path, metavar="OUT", help="the upscaled file")
    parser.add_argument(
        "--against", type=Path, required=True, metavar="IN", help="the file it was made from"
    )
    parser.add_argument(
        "--frames", type=int, metavar="N", help="it was made from the first N frames only"
    )
    for side in ("start", "end"):
        parser.add_argument(
            f"--{side}", metavar="TIME", help=f"it was cut with this --{side}, in the same form"
        )
    for name in ("video", "program"):
        parser.add_argument(
            f"--{name}", type=int, metavar="N", help=f"it was made with this --{name}"
        )
    for name, unit in (("rate", "N[/D]"), ("transfer", "NAME")):
        parser.add_argument(f"--{name}", metavar=unit, help=f"it was made with this --{name}")
    parser.add_argument(
        "--inside", metavar="WxH", help="it was made with --pad, from pictures of this size"
    )
    parser.add_argument("--crop", metavar="CROP", help="it was made with this --crop")
    parser.add_argument(
        "--every-field", action="store_true", help="it was made with every field as a frame"
    )
    parser.add_argument(
        "--telecine",
        choices=get_args(Telecine),
        default="auto",
        help="it was made with this --telecine (default: %(default)s)",
    )
    parser.add_argument(
        "--report",
        type=Path,
        metavar="FILE",
        help="also compare all pictures, and write a report on what was kept, changed, lost and"
        " invented, as a page (.html) or as data (.json)",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("-v", "--verbose", action="store_true", help="show tracebacks")
    return parser


def run(arguments: Namespace) -> int:
    """Compare and print; raises VerificationError if they do not match."""
    output, source, frames = arguments.output, arguments.against, arguments.frames
    with loading():
        from ciaovideo.pipeline.verification.files import verify

    if arguments.report is not None:
        from ciaovideo.report.preservation import check_report

        check_report(arguments.report)
    result = verify(
        output,
        source,
        start=arguments.start,
        end=arguments.end,
        frames=frames,
        every_field=arguments.every_field,
        video=arguments.video,
        program=arguments.program,
        crop=arguments.crop,
        rate=arguments.rate,
        transfer=arguments.transfer,
        inside=arguments.inside,
        telecine=arguments.telecine,
    )
    if arguments.report is not None:
        _report(arguments, result)
    if arguments.json:
        print(as_json(result))
    else:
        for finding in result.findings:
            print(f"{finding.kind}: {finding}")
    if wrong := result.wrong:
        count = len(wrong)
        raise VerificationError(
            f"{output} does not match {source} in {count} place{'s' if count > 1 else ''}",
            f"the first: {wrong[0]}",
        )
    if not arguments.json:
        print(
            f"{output}: verified, {result.frames} frames, {result.streams} streams,"
            f" {result.packets} copied packets, {result.pictures} pictures compared"
        )
    return 0


def _report(arguments: Namespace, verification: "Verification") -> None:
    """Write the preservation report on an existing file."""
    from ciaovideo.report.page import write_report
    from ciaovideo.report.preservation import preservation_report

    part = InputOptions(
        start=arguments.start,
        end=arguments.end,
        deinterlace="field" if arguments.every_field else "auto",
        telecine=arguments.telecine,
        video=arguments.video,
        program=arguments.program,
        crop=arguments.crop,
        rate=arguments.rate,
        transfer=arguments.transfer,
    )
    options = UpscaleOptions(input=part, frames=arguments.frames)
    report = preservation_report(
        arguments.against,
        arguments.output,
        options=options,
        verification=verification,
        inside=None if arguments.inside is None else parse_size(arguments.inside),
    )
    write_report(report, arguments.report)

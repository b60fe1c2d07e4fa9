"""``ciaovideo IN OUT``: upscale one file."""

import re
import shlex
import sys
from argparse import Action, ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from ciaovideo.cli.json_output import as_json
from ciaovideo.cli.loading import loading
from ciaovideo.cli.options import add_group, read_group
from ciaovideo.errors import VerificationError
from ciaovideo.options import UpscaleOptions, option_groups
from ciaovideo.storage.endpoints import PIPE, descriptor

if TYPE_CHECKING:
    from ciaovideo.findings import Finding
    from ciaovideo.pipeline.plan import UpscalePlan
    from ciaovideo.pipeline.session import Progress, Summary, UpscaleRun

EPILOG = """
commands: ciaovideo batch, train, evaluate, bench, preview, verify and weights; each has its own
--help.
An input with the name of a command is written with its folder: ./train.
- in place of a file is standard input or output, as YUV4MPEG2: raw pictures at a constant rate,
8 to 16 bits, from 4:2:0 to 4:4:4 and gray. All messages and --json then go to standard error; -v
prints options that give the colour tags to the next ffmpeg. A file named - is written ./-.
Named pipes, devices and descriptors (mkfifo out.y4m, /dev/stdout, /dev/fd/3) work like -.
--json prints one object: the plan of a dry run, else the summary. Each of its findings has kind
(chosen, fell back, guessed, changed, lost, damaged), subject, text, and time in seconds or null.
exit codes: 0 done, 2 usage, 3 media, 4 weights, 5 computing, 6 resuming, 129 terminal closed, 130
interrupted, 141 the output's reader closed the pipe, 143 terminated.
"""


class ShowVersion(Action):
    """Prints the installed version, which is looked up only then because that is slow."""

    def __call__(self, parser: ArgumentParser, *_: object) -> None:
        print(f"ciaovideo {version('ciaovideo')}")
        parser.exit()


def build_parser(prog: str) -> ArgumentParser:
    """The parser; options come from the config dataclasses."""
    parser = ArgumentParser(
        prog=prog,
        usage="%(prog)s input output [options]",
        description="Upscale a video to any size with CiaoSR, and keep all else in the file.",
        epilog=EPILOG,
        allow_abbrev=False,
    )
    parser.add_argument(
        "input",
        type=_place,
        help="a video file, numbered pictures as frames/%%06d.dpx (with --rate), or - for a pipe",
    )
    parser.add_argument(
        "output",
        type=_place,
        help="a file ending in .mp4, .m4v, .mov, .mkv, .webm, .avi, .mxf or .y4m, numbered pictures"
        " as frames/%%06d.png (.dpx, .png, .tif), or - for a pipe",
    )
    for config in (*option_groups().values(), UpscaleOptions):
        add_group(parser, config)
    parser.add_argument(
        "--report",
        type=Path,
        metavar="FILE",
        help="afterwards read all pictures of both files again, and write a report on what was"
        " kept, changed, lost and invented, as a page (.html) or as data (.json)",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the plan, and stop")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("-v", "--verbose", action="store_true", help="print more, show tracebacks")
    parser.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    parser.add_argument("--version", action=ShowVersion, nargs=0, help="print the version")
    return parser


def run(arguments: Namespace) -> int:
    """Upscale, with progress on standard error and a summary at the end."""
    options = read_options(arguments)
    with loading():
        from ciaovideo.pipeline.session import UpscaleRun

    if arguments.report is not None:
        from ciaovideo.report.preservation import check_report

        check_report(arguments.report, arguments.output)
    results = sys.stderr if descriptor(arguments.output, 1) == 1 else sys.stdout
    with UpscaleRun(arguments.input, arguments.output, options) as job:
        if arguments.dry_run:
            plan = job.estimate()
            print(as_json(plan) if arguments.json else describe_plan(plan), file=results)
            return 0
        if not arguments.quiet:
            print(
                f"model {_network(job.plan)} on {job.plan.device}, {job.plan.precision}",
                file=sys.stderr,
            )
            print_findings(job.plan.findings)
            if arguments.verbose and job.plan.next_words:
                words = shlex.join(job.plan.next_words)
                print(f"for the next ffmpeg, before its -i: {words}", file=sys.stderr)
        summary = _carried_out(job, quiet=arguments.quiet)
    if arguments.report is not None:
        make_report(arguments.report, job.options, summary, quiet=arguments.quiet)
    if arguments.json:
        print(as_json(summary), file=results)
    elif not arguments.quiet:
        told = set(job.plan.findings)
        print_findings(finding for finding in summary.findings if finding not in told)
        print(describe_summary(summary, verbose=arguments.verbose), file=results)
    return 0


def _carried_out(job: "UpscaleRun", *, quiet: bool) -> "Summary":
    """Run with a bar; a run that ends midway says what is kept of it, and what could have been."""
    from ciaovideo.cli.progress import frame_bar

    done = 0

    def moved(progress: "Progress") -> None:
        nonlocal done
        done = progress.frames
        on_progress(progress)

    try:
        with frame_bar(job.plan.frames, done=job.finished, quiet=quiet) as on_progress:
            return job.run(moved)
    except BaseException as error:
        if isinstance(error, VerificationError):  # the file is kept, and named
            done = 0
        if not quiet and (note := _left(job, done)):
            print(f"note: {note}", file=sys.stderr)
        raise


def _left(job: "UpscaleRun", done: int) -> str:
    """What is left of a run that ended after so many frames; empty if nothing could be."""
    if job.finished:
        return f"{_frames(job.finished)} are kept: the same command resumes after them"
    if job.options.resume or done < job.keepable:
        return ""
    return (
        f"{_frames(done)} were computed and are dropped: with --resume, finished segments are"
        " kept, and the same command goes on after them (for some percent of size and time, and"
        " twice the disk space)"
    )


def make_report(file: Path, options: UpscaleOptions, summary: "Summary", *, quiet: bool) -> None:
    """Write the preservation report on a finished run."""
    from ciaovideo.cli.progress import frame_bar
    from ciaovideo.report.page import write_report
    from ciaovideo.report.preservation import preservation_report

    with frame_bar(summary.frames, quiet=quiet) as on_progress:
        report = preservation_report(
            summary.source,
            summary.output,
            options=options,
            summary=summary,
            on_progress=on_progress,
        )
    write_report(report, file)


def read_options(arguments: Namespace) -> UpscaleOptions:
    """The options from parsed arguments; raises OptionError."""
    groups = {name: read_group(kind, arguments) for name, kind in option_groups().items()}
    return replace(read_group(UpscaleOptions, arguments), **groups)


def _network(plan: "UpscalePlan") -> str:
    """The network's name, its restoring strength, and whether its pictures are made consistent."""
    restored = f" at restore {plan.restore:g}" if plan.restore else ""
    return f"{plan.model}{restored}{', consistent' if plan.consistent else ''}"


def describe_plan(plan: "UpscalePlan") -> str:
    """A plan as text, one line for each property that a user may want to change."""
    info, (height, width), encoding = plan.info, plan.full_size, plan.encoding
    down, across = plan.out_size[0] / info.height, plan.out_size[1] / info.width
    memory = plan.memory
    own = f" with its own {encoding.own_quality}" if encoding.own_quality else ""
    rows = {
        "input": f"{plan.source}: {info.width}x{info.height} {info.coded_pix_fmt}, {info.codec}",
        "output": f"{_called(plan.output)}: {width}x{height} {encoding.pix_fmt},"
        f" {encoding.codec.name}{own}",
        "factor": f"{across:.6g} across, {down:.6g} down",
        "model": f"{_network(plan)}, {plan.precision} on {plan.device}",
        "color": f"{plan.color.matrix.name}, {plan.color.color_range.name} range",
        "memory": f"{memory.tiles} tile(s) of {memory.tile or 'whole frame'} px, "
        f"about {memory.bytes * plan.workers / 1e6:.0f} MB for {plan.workers} frame(s) at once",
        "kept": ", ".join(map(str, plan.streams.kept)) or "no other stream",
        "dropped": ", ".join(map(str, plan.streams.dropped)) or "nothing",
    }
    if plan.seconds_per_frame is not None:
        left = max(0, plan.frames - plan.finished)
        total = plan.seconds_per_frame * left
        rows["time"] = (
            f"about {plan.seconds_per_frame:.2g} s a frame, {total:.0f} s "
            f"for {_frames(left) if plan.frames else 'an unknown number of frames'}"
            f"{' that are missing' if plan.finished else ''}"
        )
    lines = [f"{name:8} {text}" for name, text in rows.items()]
    return "\n".join([*lines, *(f"{one.kind:9} {one}" for one in plan.findings)])


def print_findings(findings: "Iterable[Finding]") -> None:
    """Print each finding as a line on standard error."""
    for finding in findings:
        print(f"{finding.kind}: {finding}", file=sys.stderr)


def describe_summary(summary: "Summary", *, verbose: bool) -> str:
    """The result in one line, with the seconds of each stage if ``verbose``."""
    rate = summary.frames / summary.seconds if summary.seconds else 0.0
    height, width = summary.out_size
    line = (
        f"{_called(summary.output)}: {_frames(summary.frames)} of {width}x{height}"
        f" in {summary.seconds:.1f} s ({rate:.2f} fps)"
    )
    if summary.reused >= 0.005:
        line += f", {summary.reused:.0%} of the pixels unchanged and not computed again"
    if verbose:
        stages = ", ".join(f"{name} {s:.1f} s" for name, s in summary.stage_seconds.items())
        line += f"; busy time of threads: {stages}"
    return line


def _place(word: str) -> Path:
    """A path, in which only a bare - means a pipe."""
    if not word:
        raise ArgumentTypeError("the name is empty")
    if re.match("[a-z]{2,}://", word):
        raise ArgumentTypeError(f"{word} is a URL, not a file: download it first")
    path = Path(word)
    return path.absolute() if path == PIPE and word != str(PIPE) else path


def _frames(count: int) -> str:
    return "1 frame" if count == 1 else f"{count} frames"


def _called(output: Path) -> str:
    return "standard output" if output == PIPE else str(output)

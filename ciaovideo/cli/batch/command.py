"""``ciaovideo batch IN... -o OUT``: upscale many files, and ``ciaovideo batch status OUT``."""

import os
import signal
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from ciaovideo.cli.loading import loading
from ciaovideo.cli.options import add_group
from ciaovideo.cli.upscale import read_options
from ciaovideo.errors import OptionError
from ciaovideo.options import UpscaleOptions, option_groups

if TYPE_CHECKING:
    from argparse import _ArgumentGroup
    from collections.abc import Mapping, Sequence

    from ciaovideo.jobs.batch import Batch
    from ciaovideo.jobs.inputs import Found
    from ciaovideo.jobs.job import BatchOptions, Job
    from ciaovideo.jobs.survey import Look, Survey
    from ciaovideo.jobs.workers.cluster import ClusterWorkers
    from ciaovideo.jobs.workers.local import LocalWorkers
    from ciaovideo.jobs.workers.protocol import Workers

INTERRUPTED = 128 + signal.SIGINT
WITHOUT = ("resume", "via_ffmpeg")  # it always resumes, from segments that no system ffmpeg writes
EPILOG = """
IN is a video, a folder (searched to any depth), a quoted wildcard such as 'tapes/**/*.mov', or a
list ending in .csv or .toml. A list has an input for each row or [[file]], optionally an output
instead of --name, and any option by its name (model, scale, start, end, ...). OUT gets the folders
of the input, and outputs the names of their sources: X.mov of X.mov, X.mkv of X.ts, but X.ts.mkv
where X.ps would become X.mkv, too. --name may contain {stem}, {suffix}, {folder}, {number},
{height}, {width} and any option.
The same command resumes a batch: finished files are skipped, failed ones are tried again.
Ctrl-C finishes the current segments and stops; a second one stops at once. Finished segments are
kept. ciaovideo batch status OUT prints the state of a batch from any shell.
exit codes: 0 all files made, 7 some files failed, else that of the first failure; 130 interrupted.
"""


def build_parser(prog: str) -> ArgumentParser:
    """The parser; options of a run are those of ``ciaovideo IN OUT``."""
    parser = ArgumentParser(
        prog=prog,
        usage="%(prog)s IN... -o OUT [options]",
        description="Upscale many files with several workers; a stopped batch resumes.",
        epilog=EPILOG,
        allow_abbrev=False,
    )
    parser.add_argument("inputs", nargs="+", metavar="IN", help="files, folders, wildcards, lists")
    parser.add_argument("-o", "--output", type=Path, metavar="OUT", help="the folder to write into")
    _add_own(parser)
    for config in (*option_groups().values(), UpscaleOptions):
        add_group(parser, config, without=WITHOUT)
    parser.set_defaults(resume=True)
    parser.add_argument("--json", action="store_true", help="print events as JSON, one a line")
    parser.add_argument("-v", "--verbose", action="store_true", help="print more, show tracebacks")
    parser.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    return parser


def _add_own(parser: ArgumentParser) -> None:
    """The options of a batch, besides those of a run."""
    group = parser.add_argument_group("Batch")
    group.add_argument(
        "--name",
        default="",
        metavar="PATTERN",
        help='output name, such as "{stem}-{height}p.mkv" (default: that of the source)',
    )
    group.add_argument(
        "--workers",
        type=int,
        default=0,
        metavar="N",
        help="processes that share this machine's cores or GPUs (default: one, or one per GPU)",
    )
    group.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="workers of a Dask cluster over shared storage, tcp://HOST:8786; local:N to try it",
    )
    group.add_argument(
        "--same-bits",
        action="store_true",
        help="use only machines of one kind in a cluster: others may differ in the last bits",
    )
    _add_repeating(group)


def _add_repeating(group: "_ArgumentGroup") -> None:
    group.add_argument(
        "--retries",
        type=int,
        default=3,
        metavar="N",
        help="how often to retry a file before it counts as failed (default: %(default)s)",
    )
    group.add_argument(
        "--redo",
        action="store_true",
        help="remake outputs of another source or with other options; without it they are refused",
    )
    group.add_argument(
        "--reports",
        action="store_true",
        help="write a report beside each output on what was kept, changed, lost and invented, and"
        " report.html and report.json on all files; reads all pictures of both files again",
    )
    group.add_argument(
        "--no-disk-check",
        action="store_true",
        help="start at once, without probing all files, an estimate, and a check of the disk",
    )
    group.add_argument(
        "--dry-run",
        action="store_true",
        help="probe all files, try some frames, print costs and losses, and stop",
    )


def run(arguments: Namespace) -> int:
    """Carry out a batch, or print its state."""
    if arguments.inputs[0] == "status" and len(arguments.inputs) == 2 and not arguments.output:
        from ciaovideo.cli.batch.status import print_status

        return print_status(Path(arguments.inputs[1]), as_json=arguments.json)
    if arguments.output is None:
        build_parser("ciaovideo batch").error("the following arguments are required: -o/--output")
    options = read_options(arguments)
    with loading():
        from ciaovideo.cli.batch.progress import BatchPrinter
        from ciaovideo.cli.batch.survey import dry_run_code
        from ciaovideo.jobs.batch import Batch
        from ciaovideo.jobs.forecast import Forecast
        from ciaovideo.jobs.inputs import find_sources, make_jobs, names_sizes
        from ciaovideo.jobs.ledger import FOLDER, given_names, unfinished
        from ciaovideo.jobs.lock import refuse_locked

    if arguments.reports:
        _check_charts()
    if not arguments.dry_run:  # a survey may take hours
        refuse_locked(arguments.output / FOLDER / "lock")
    rated = options.input.rate is not None
    listing = find_sources(arguments.inputs, arguments.output, pictures=rated)
    where = listing.found, arguments.output, options
    sized = names_sizes(arguments.name)
    given = given_names(arguments.output)
    jobs = [] if sized else make_jobs(*where, name=arguments.name, given=given)
    with (
        _workers(arguments, options) as workers,
        BatchPrinter(quiet=arguments.quiet, events=arguments.json) as printer,
    ):
        printer.others(listing.others)
        known: dict[str, Look] = {}
        if sized:
            jobs, known = _sized_jobs(arguments, listing.found, options, workers)
        forecast = Forecast()
        if arguments.dry_run:
            return dry_run_code(_surveyed(arguments, jobs, known, workers))
        if not arguments.no_disk_check:
            left, made = unfinished(arguments.output, jobs)
            found = _surveyed(arguments, left, known, workers)
            found.check_disk(arguments.output)
            forecast = found.forecast(made)
        own = _batch_options(arguments)
        batch = Batch(arguments.output, workers, own, on_event=printer.event, on_tick=printer.tick)
        with _stops(batch):
            code = batch.run(jobs, forecast)
    return INTERRUPTED if batch.stopping else code


def _sized_jobs(
    arguments: Namespace, found: "Sequence[Found]", options: UpscaleOptions, workers: "Workers"
) -> "tuple[list[Job], dict[str, Look]]":
    """The jobs whose names need the sizes of outputs, and the files, which were surveyed."""
    from ciaovideo.cli.batch.survey import SurveyProgress
    from ciaovideo.jobs.survey import jobs_by_size

    words = found, arguments.output, options, arguments.name, workers
    with SurveyProgress(len(found), quiet=arguments.quiet or arguments.json) as progress:
        return jobs_by_size(*words, on_look=progress.seen)


def _surveyed(
    arguments: Namespace, jobs: "Sequence[Job]", known: "Mapping[str, Look]", workers: "Workers"
) -> "Survey":
    """Survey the files, and print what was found."""
    from ciaovideo.cli.batch.survey import SurveyPrinter, SurveyProgress
    from ciaovideo.jobs.ledger import unfinished
    from ciaovideo.jobs.survey import survey

    finished: set[str] = set()
    if arguments.dry_run:
        left, _ = unfinished(arguments.output, jobs)
        finished = {job.name for job in jobs} - {job.name for job in left}
    quiet = arguments.quiet
    printer = SurveyPrinter(as_json=arguments.json, quiet=quiet)
    with SurveyProgress(len(jobs), quiet=quiet or arguments.json) as progress:

        def look(job: "Job", file: "Look") -> None:
            printer.add(job, file)
            progress.seen()

        found = survey(jobs, workers, arguments.output, look, known, finished=finished)
    if arguments.dry_run:
        printer.result(found)
    else:
        printer.brief(found)
    return found


def _check_charts() -> None:
    """Raise OptionError if charts cannot be drawn, before any file is made."""
    from ciaovideo.charts import drawing

    with drawing():
        pass


def _batch_options(arguments: Namespace) -> "BatchOptions":
    from ciaovideo.jobs.job import BatchOptions

    return BatchOptions(
        retries=arguments.retries,
        redo=arguments.redo,
        report=arguments.reports,
        mixed=bool(arguments.cluster) and not arguments.same_bits,
    )


def _workers(arguments: Namespace, options: UpscaleOptions) -> "LocalWorkers | ClusterWorkers":
    """The requested workers; without a number, one for each GPU."""
    from ciaovideo.jobs.workers.local import LocalWorkers, find_devices

    if arguments.cluster:
        if arguments.workers:
            raise OptionError("a cluster has its own workers", "omit their number")
        return _cluster(arguments)
    if arguments.same_bits:
        raise OptionError("same bits apply to a cluster", "workers on one machine have them anyway")
    devices = find_devices(options.engine.device)
    return LocalWorkers(arguments.workers or max(1, len(devices)), devices=devices)


def _cluster(arguments: Namespace) -> "ClusterWorkers":
    try:
        from ciaovideo.jobs.workers.cluster import ClusterWorkers
    except ModuleNotFoundError as cause:
        raise OptionError(
            f"a cluster needs {cause.name}", "pip install 'ciaovideo[cluster]'"
        ) from cause
    return ClusterWorkers(arguments.cluster, same_bits=arguments.same_bits)


@contextmanager
def _stops(batch: "Batch") -> Iterator[None]:
    """Let the first Ctrl-C finish the current tasks; the second one interrupts."""

    def stop(_: int, __: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        batch.stop()
        os.write(2, b"\nciaovideo: the segments at work are finished; Ctrl-C again stops at once\n")

    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        yield
        return
    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)

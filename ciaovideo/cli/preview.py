"""``ciaovideo preview IN -o PAGE``: ten places of a film with the given settings."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from ciaovideo.cli.loading import loading
from ciaovideo.cli.options import add_group
from ciaovideo.cli.upscale import print_findings, read_options
from ciaovideo.errors import OptionError
from ciaovideo.options import option_groups


def build_parser(prog: str) -> ArgumentParser:
    """The input, the page, and the options of a run."""
    parser = ArgumentParser(
        prog=prog,
        usage="%(prog)s input [output] -o PAGE [options]",
        description="Enlarge a few frames at ten places of a film, and make a page that compares"
        " source, bicubic and the chosen settings, with the time and size that the whole film is"
        " estimated to take.",
        allow_abbrev=False,
    )
    parser.add_argument("input", type=Path, help="a video file")
    parser.add_argument(
        "output",
        type=Path,
        nargs="?",
        help="the name of the whole film's output: its suffix selects container and encoder"
        " (default: .mkv). Nothing is written there",
    )
    parser.add_argument("-o", "--page", type=Path, required=True, metavar="PAGE", help="the page")
    for config in option_groups().values():
        add_group(parser, config)
    parser.add_argument("-v", "--verbose", action="store_true", help="print more, show tracebacks")
    parser.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    parser.set_defaults(frames=None, overwrite=False, resume=False)
    return parser


def run(arguments: Namespace) -> int:
    """Make the page, with progress on standard error."""
    options, page = read_options(arguments), arguments.page
    with loading():
        from ciaovideo.cli.progress import frame_bar
        from ciaovideo.pages.page import check_place
        from ciaovideo.report.preview import PLACES, preview
        from ciaovideo.report.preview_page import about_size, about_time, write_preview

    if page.suffix.lower() not in (".html", ".htm"):
        raise OptionError(f"{page} is not an HTML file", "end its name in .html")
    check_place(page, charts=False)
    with frame_bar(PLACES, quiet=arguments.quiet) as on_progress:
        made = preview(arguments.input, arguments.output, options=options, on_progress=on_progress)
    write_preview(made, page)
    if not arguments.quiet:
        print_findings(made.plan.findings)
        about = f"{page}: {len(made.places)} places"
        if made.seconds:
            about += f"; all {made.plan.frames} frames take about {about_time(made.seconds)}"
            about += f" and {about_size(made.bytes)}"
        print(about)
    return 0

"""The options of a batch are those of one run, but for what a batch cannot do."""

import pytest

from ciaovideo.cli import upscale
from ciaovideo.cli.batch import command


def test_no_option_is_offered_that_is_always_refused(capsys: pytest.CaptureFixture[str]) -> None:
    parser = command.build_parser("ciaovideo batch")
    with pytest.raises(SystemExit):
        parser.parse_args(["in", "-o", "out", "--via-ffmpeg=-c:v libx264"])
    assert "--via-ffmpeg" in capsys.readouterr().err
    assert "via-ffmpeg" not in parser.format_help()


def test_all_other_options_of_a_run_are_offered() -> None:
    alone = vars(upscale.build_parser("ciaovideo").parse_args(["in.mkv", "out.mkv"]))
    batch = vars(command.build_parser("ciaovideo batch").parse_args(["in", "-o", "out"]))
    # One input is several, a page on one is --reports, and none is asked for its version.
    assert {*alone} - {*batch} == {"via_ffmpeg", "input", "report", "version"}

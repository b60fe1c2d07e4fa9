"""What is printed while a batch looks at its files."""

import pytest

from ciaovideo.cli.batch.survey import SurveyProgress
from ciaovideo.cli.progress import LINE_EVERY_S


@pytest.mark.parametrize(("quiet", "lines"), [(False, ["3 of 9", "7 of 9"]), (True, [])])
def test_without_a_terminal_a_line_a_minute_counts_the_files(
    capsys: pytest.CaptureFixture[str], quiet: bool, lines: list[str]
) -> None:
    now = 100.0
    with SurveyProgress(9, quiet=quiet, clock=lambda: now) as progress:
        for _ in range(9):
            now += LINE_EVERY_S / 3 if _ < 3 else LINE_EVERY_S / 4
            progress.seen()
    told = capsys.readouterr()
    assert told.err == "".join(f"{line} files surveyed\n" for line in lines)
    assert not told.out

"""How a command begins and ends: words that are no files, signals, and a full disk under stdout."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import ciaovideo
from ciaovideo.cli.loading import loading
from ciaovideo.cli.main import main, run
from ciaovideo.errors import OptionError
from tests.media import make_clip
from tests.processes import command


@pytest.mark.parametrize("word", ["", "https://example.org/a.mp4"])
def test_a_word_that_is_no_file_is_told_as_it_was_given(
    capsys: pytest.CaptureFixture[str], word: str
) -> None:
    with pytest.raises(SystemExit) as end:
        run([word, "out.mkv"])
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert "argument input:" in error
    assert word in error
    assert len(error.splitlines()) == 2  # a line on usage, and a line on this


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("buffered", [True, False])
def test_results_that_cannot_be_printed_are_an_error_in_words(buffered: bool) -> None:
    environment = os.environ | ({} if buffered else {"PYTHONUNBUFFERED": "1"})
    with Path("/dev/full").open("w") as full:
        process = command("train", "--list", stdout=full, text=True, env=environment)
        _, said = process.communicate()
    assert process.returncode == 3
    assert said.startswith("ciaovideo: ")
    assert os.strerror(errno.ENOSPC) in said
    assert len(said.splitlines()) == 2


def test_a_signal_that_nohup_ignores_stays_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["ciaovideo", "train", "--list"])
    monkeypatch.setattr(os, "_exit", sys.exit)  # where a thread of another test still works
    before = [signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGTERM)]
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with pytest.raises(SystemExit):
            main()
        with loading():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) != signal.SIG_IGN
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        for number, handler in zip((signal.SIGHUP, signal.SIGTERM), before, strict=True):
            signal.signal(number, handler)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell that closes streams")
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_end_no_run(tmp_path: Path, closed: str) -> None:
    """Nor do messages go to standard output in place of standard error."""
    make_clip(tmp_path / "in.mkv", seconds=0.2, width=32, height=32)
    words = [sys.executable, "-m", "ciaovideo", "in.mkv", "out.mkv", "--model", "bicubic", "--json"]
    process = subprocess.run(
        ["sh", "-c", f'"$@" {closed}', "sh", *words],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(ciaovideo.__file__).parents[1])},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.returncode == 0
    assert (tmp_path / "out.mkv").is_file()
    assert not process.stdout or json.loads(process.stdout)["frames"] == 5


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell that closes streams")
def test_a_closed_standard_output_is_no_pipe(tmp_path: Path) -> None:
    make_clip(tmp_path / "in.mkv", seconds=0.2, width=32, height=32)
    words = [sys.executable, "-m", "ciaovideo", "in.mkv", "-", "--model", "bicubic"]
    process = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", *words],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(ciaovideo.__file__).parents[1])},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.returncode == OptionError.exit_code
    assert len(process.stderr.splitlines()) == 2  # what is wrong, and what to do

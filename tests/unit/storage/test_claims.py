"""Two runs of one output, and what a killed one leaves: by processes that really live and die."""

import errno
import subprocess
from pathlib import Path

import pytest

from ciaovideo.errors import OutputExistsError
from ciaovideo.media.write.output import Destination, check_output
from ciaovideo.options import ModelOptions, UpscaleOptions
from ciaovideo.pipeline.session import UpscaleRun
from ciaovideo.storage.atomic import atomic_output
from ciaovideo.storage.claims import claim, leftovers
from tests.media import make_clip
from tests.processes import Process, python

RUN = """
import sys
from pathlib import Path
from ciaovideo.storage.atomic import atomic_output
with atomic_output(Path(sys.argv[1])) as temporary:
    temporary.write_bytes(b"half" * 500_000)
    print(temporary, flush=True)
    sys.stdin.read()
"""


def started(output: Path) -> tuple[Process, Path]:
    """Another process in the middle of writing an output, and its temporary file."""
    pipe = subprocess.PIPE
    process = python("-c", RUN, output, stdin=pipe, stdout=pipe, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


@pytest.mark.slow
def test_the_second_run_of_an_output_learns_it_at_the_start(tmp_path: Path) -> None:
    output, link = tmp_path / "out.mkv", tmp_path / "link.mkv"
    link.symlink_to(output)
    process, temporary = started(output)
    with process:
        for name in (output, link):
            for overwrite in (False, True):
                with pytest.raises(OutputExistsError, match=f"process {process.pid}"):
                    check_output(tmp_path / "in.mkv", Destination.of(name), overwrite=overwrite)
            with pytest.raises(OutputExistsError, match="wait"), atomic_output(name):
                pass
        assert leftovers(output) == ()
        check_output(tmp_path / "in.mkv", Destination.of(tmp_path / "out.mp4"))
        assert sorted(tmp_path.iterdir()) == [temporary, link]
        process.communicate("")
    assert output.stat().st_size == 2_000_000
    assert sorted(tmp_path.iterdir()) == [link, output]


@pytest.mark.slow
def test_what_a_killed_run_left_is_named_and_in_nobodys_way(tmp_path: Path) -> None:
    make_clip(clip := tmp_path / "in.mkv", width=64, height=48, seconds=0.2)
    options = UpscaleOptions(model=ModelOptions(model="bicubic"))
    output, other = tmp_path / "out.mkv", tmp_path / "other.mkv"
    process, temporary = started(output)
    with process:
        process.kill()
    (finding,) = leftovers(output)
    assert finding.subject == "temporary file"
    assert f"{temporary}, 2.0 MB" in finding.text
    with UpscaleRun(clip, output, options) as job:
        assert finding in job.plan.findings
    assert leftovers(other) == leftovers(output.with_suffix(".mp4")) == ()
    check_output(tmp_path / "in.mkv", Destination.of(output))
    with atomic_output(output) as written:
        written.write_bytes(b"whole")
    assert temporary.exists()


def test_one_process_cannot_write_an_output_twice_at_once(tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    with atomic_output(output) as temporary:
        temporary.write_bytes(b"first")
        with pytest.raises(OutputExistsError, match="being written"), atomic_output(output):
            pass
    assert output.read_bytes() == b"first"


def test_where_there_are_no_locks_nothing_is_refused_or_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_lock(handle: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, f"no lock {operation} for file {handle}")

    monkeypatch.setattr("ciaovideo.storage.claims.flock", no_lock)
    output = tmp_path / "out.mkv"
    with atomic_output(output) as temporary:
        check_output(tmp_path / "in.mkv", Destination.of(output))
        assert leftovers(output) == ()
        temporary.write_bytes(b"whole")
    assert output.read_bytes() == b"whole"


def test_long_names_that_begin_alike_are_two_outputs(tmp_path: Path) -> None:
    one, other = (tmp_path / f"{'x' * 100}{end}.mkv" for end in "ab")
    with claim(one) as first, claim(other) as second:
        assert first != second


@pytest.mark.parametrize("folder", [False, True])
def test_ctrl_c_right_behind_the_making_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: bool
) -> None:
    def interrupted(_: int, __: int) -> None:
        if list(tmp_path.iterdir()):  # what was made is to be locked
            raise KeyboardInterrupt

    monkeypatch.setattr("ciaovideo.storage.claims.flock", interrupted)
    with pytest.raises(KeyboardInterrupt), claim(tmp_path / "out.mkv", folder=folder):
        pass
    assert not list(tmp_path.iterdir())

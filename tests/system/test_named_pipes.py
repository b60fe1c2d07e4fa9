"""Named pipes, devices and descriptors in place of files: used in order, never moved or removed."""

import errno
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ciaovideo.cli.main import run
from ciaovideo.errors import DecodeError, EncodeError, OpenError, OptionError
from tests.commands import error_of, found_in, result_in
from tests.media import make_clip
from tests.outputs import left_behind, times
from tests.processes import command
from tests.waiting import FAR_TOO_LONG_S
from tests.y4m import FRAME, HEAD

WORDS = ("--scale", "1.5", "--model", "bicubic")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A quarter of a second with sound."""
    path = tmp_path_factory.mktemp("clip") / "in.mp4"
    make_clip(path, width=64, height=48, seconds=0.25, sound=True)
    return path


@pytest.fixture(scope="module")
def bare(clip: Path) -> bytes:
    """What it is as YUV4MPEG2, enlarged."""
    output = clip.parent / "bare.y4m"
    assert run([str(clip), str(output), *WORDS, "-q"]) == 0
    return output.read_bytes()


@contextmanager
def reader_of(path: Path, limit: int = -1) -> Iterator[list[bytes]]:
    """Another program that reads from a pipe: what it got, once the block is left."""
    got: list[bytes] = []

    def read() -> None:
        with path.open("rb") as file:
            got.append(file.read(limit))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    yield got
    thread.join(60)


@contextmanager
def writer_of(path: Path, data: bytes) -> Iterator[None]:
    """Another program that writes into a pipe."""
    thread = threading.Thread(target=path.write_bytes, args=(data,), daemon=True)
    thread.start()
    yield
    thread.join(60)


@pytest.mark.parametrize("name", ["out.y4m", "out", "out.fifo"])
def test_a_named_pipe_gets_what_a_file_gets(
    clip: Path, bare: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    os.mkfifo(output := tmp_path / name)
    with reader_of(output) as got:
        assert run([str(clip), str(output), *WORDS, "--json"]) == 0
    assert got == [bare]
    summary = result_in(capfd.readouterr().out)
    assert [summary[key] for key in ("output", "frames", "out_size")] == [str(output), 6, [72, 96]]
    assert {("fell back", "verification"), ("lost", "audio 1")} <= found_in(summary)
    assert output.is_fifo()
    assert left_behind(tmp_path, name) == []


def test_a_pipe_is_not_taken_for_a_container(clip: Path, tmp_path: Path) -> None:
    os.mkfifo(output := tmp_path / "out.mkv")
    error = error_of(OptionError, clip, output)
    assert str(output) in error.problem
    assert ".y4m" in error.hint
    os.mkfifo(output := tmp_path / "out.y4m")
    assert str(output) in error_of(OptionError, clip, output, "--overwrite").problem
    assert str(output) in error_of(OptionError, output, output).problem


def test_a_named_pipe_is_read_in_order(tmp_path: Path) -> None:
    os.mkfifo(source := tmp_path / "in.y4m")
    output = tmp_path / "out.mkv"
    with writer_of(source, HEAD + FRAME * 3):
        assert run([str(source), str(output), *WORDS, "-q"]) == 0
    assert len(times(output)) == 3
    output.unlink()
    with writer_of(source, HEAD + FRAME * 3 + FRAME[:-9]):
        assert str(source) in error_of(DecodeError, source, output, *WORDS).problem
    with writer_of(source, b"RIFF" * 99):
        assert str(source) in error_of(OpenError, source, output, *WORDS).problem
    assert left_behind(tmp_path, source.name) == []
    assert source.is_fifo()


def test_through_two_named_pipes(bare: bytes, tmp_path: Path) -> None:
    for name in ("in", "out"):
        os.mkfifo(tmp_path / name)
    with reader_of(tmp_path / "out") as got, writer_of(tmp_path / "in", bare):
        assert run([str(tmp_path / "in"), str(tmp_path / "out"), "--scale", "1", "-q"]) == 0
    assert got[0].count(b"FRAME\n") == 6


def test_a_reader_of_a_named_pipe_that_goes_away(clip: Path, tmp_path: Path) -> None:
    os.mkfifo(output := tmp_path / "out.y4m")
    with reader_of(output, limit=100):
        assert run([str(clip), str(output), "--scale", "12", "--model", "bicubic", "-q"]) == 141
    assert left_behind(tmp_path, output.name) == []


def test_devices_stay_devices(clip: Path) -> None:
    assert run([str(clip), "/dev/null", *WORDS, "-q"]) == 0
    assert "/dev/null" in error_of(OpenError, "/dev/null", "/dev/null").problem
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)  # noqa: PTH116
    if Path("/dev/full").exists():
        error = error_of(EncodeError, clip, "/dev/full", *WORDS)
        assert all(word in error.problem for word in ("/dev/full", os.strerror(errno.ENOSPC)))


def test_descriptors_by_their_names(clip: Path, bare: bytes, tmp_path: Path) -> None:
    """Not opened again: what is there already stays, and what a shell redirected is no output."""
    output = tmp_path / "redirected"
    with output.open("wb") as file:
        file.write(b"before")
        file.flush()
        assert run([str(clip), f"/dev/fd/{file.fileno()}", *WORDS, "-q"]) == 0
    assert output.read_bytes() == b"before" + bare
    with output.open("wb") as file:
        process = command(clip, "/dev/stdout", *WORDS, "--json", stdout=file)
        told = process.communicate(timeout=FAR_TOO_LONG_S)[1].decode()
    assert process.returncode == 0, told
    assert output.read_bytes() == bare
    assert result_in(told)["output"] == "/dev/stdout"
    assert "/dev/fd/999" in error_of(OptionError, clip, "/dev/fd/999").problem
    made = tmp_path / "out.mkv"
    process = command("/dev/stdin", made, *WORDS, "-q")
    told = process.communicate(bare, timeout=FAR_TOO_LONG_S)[1].decode()
    assert process.returncode == 0, told
    assert len(times(made)) == 6

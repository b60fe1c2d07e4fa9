import os
import re
from pathlib import Path

import pytest

from ciaovideo.errors import EncodeError, OptionError, OutputExistsError, VerificationError
from ciaovideo.media.write.output import Destination, check_output
from ciaovideo.storage.atomic import atomic_output
from ciaovideo.storage.endpoints import PIPE


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.mp4"
    path.write_bytes(b"input")
    return path


def test_a_free_name_in_a_folder_passes(source: Path, tmp_path: Path) -> None:
    check_output(source, Destination.of(tmp_path / "out.mkv"))


def test_existing_outputs_are_kept_unless_asked(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    output.write_bytes(b"precious")
    with pytest.raises(OutputExistsError, match="exists"):
        check_output(source, Destination.of(output))
    check_output(source, Destination.of(output), overwrite=True)


@pytest.mark.parametrize("link", ["itself", "symbolic", "hard"])
def test_the_input_is_never_replaced(source: Path, tmp_path: Path, link: str) -> None:
    output = {"itself": source, "symbolic": tmp_path / "s.mp4", "hard": tmp_path / "h.mp4"}[link]
    if link == "symbolic":
        output.symlink_to(source)
    if link == "hard":
        output.hardlink_to(source)
    with pytest.raises(OutputExistsError, match="is the input itself"):
        check_output(source, Destination.of(output), overwrite=True)


def test_folders_are_refused_and_devices_are_no_containers(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder.mp4"
    folder.mkdir()
    with pytest.raises(OutputExistsError, match="is a folder"):
        check_output(source, Destination.of(folder), overwrite=True)
    device = tmp_path / "device.mp4"
    device.symlink_to("/dev/null")
    with pytest.raises(OptionError, match=r"\.mp4"):
        check_output(source, Destination.of(device), overwrite=True)
    with pytest.raises(OptionError, match="/dev/null"):
        check_output(source, Destination.of(Path("/dev/null")), overwrite=True)
    os.mkfifo(pipe := tmp_path / "pipe")
    check_output(PIPE, Destination.of(pipe))
    check_output(source, Destination.of(pipe))
    with pytest.raises(OptionError, match="is the input itself"):
        check_output(pipe, Destination.of(pipe))
    disk = next((path for path in Path("/dev").iterdir() if path.is_block_device()), None)
    if disk is not None:
        (named := tmp_path / "disk.mp4").symlink_to(disk)
        with pytest.raises(OptionError, match="regular file"):
            check_output(source, Destination.of(named), overwrite=True)


def test_a_missing_folder_is_named(source: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="absent"):
        check_output(source, Destination.of(tmp_path / "absent" / "out.mp4"))


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_without_permission_is_named(source: Path, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    with pytest.raises(OptionError, match="cannot be written to"):
        check_output(source, Destination.of(locked / "out.mp4"))


def test_unknown_suffixes_are_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"\.xyz"):
        check_output(source, Destination.of(tmp_path / "out.xyz"))
    with pytest.raises(
        OptionError, match=re.escape(f"{tmp_path / 'full'}: the name has no suffix")
    ):
        check_output(source, Destination.of(tmp_path / "full"))


def test_the_name_appears_with_the_whole_file(tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    with atomic_output(output) as temporary:
        temporary.write_bytes(b"whole")
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(".")
        assert temporary.suffix == ".mp4"
        assert not output.exists()
    assert output.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [output]


@pytest.mark.parametrize("error", [KeyboardInterrupt, EncodeError, SystemExit])
def test_nothing_is_left_after_an_exception(tmp_path: Path, error: type[BaseException]) -> None:
    output = tmp_path / "out.mp4"
    output.write_bytes(b"before")

    def stopped() -> None:
        with atomic_output(output, overwrite=True) as temporary:
            temporary.write_bytes(b"half")
            raise error("stop")

    with pytest.raises(error):
        stopped()
    assert output.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [output]


def test_a_file_that_appeared_meanwhile_is_kept(tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"

    def race() -> None:
        with atomic_output(output) as temporary:
            temporary.write_bytes(b"ours")
            output.write_bytes(b"theirs")

    with pytest.raises(OutputExistsError, match="appeared meanwhile") as taken:
        race()
    assert output.read_bytes() == b"theirs"
    (kept,) = set(tmp_path.iterdir()) - {output}
    assert kept.read_bytes() == b"ours"
    assert taken.value.hint.endswith(f"the result is kept as {kept}")


def test_a_symbolic_link_goes_on_pointing(tmp_path: Path) -> None:
    target, link = tmp_path / "real.mp4", tmp_path / "link.mp4"
    target.write_bytes(b"old")
    link.symlink_to(target)
    with atomic_output(link, overwrite=True) as temporary:
        temporary.write_bytes(b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_long_names_fit(tmp_path: Path) -> None:
    output = tmp_path / ("x" * 250 + ".mp4")
    with atomic_output(output) as temporary:
        temporary.write_bytes(b"data")
    assert output.exists()


def test_an_output_that_nobody_wrote_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EncodeError, match="storing"), atomic_output(tmp_path / "out.mp4"):
        pass


def test_a_file_that_failed_its_verification_keeps_its_temporary_name(tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"

    def write() -> None:
        with atomic_output(output) as temporary:
            temporary.write_bytes(b"wrong")
            raise VerificationError("a frame is missing")

    with pytest.raises(VerificationError):
        write()
    (kept,) = tmp_path.iterdir()
    assert kept.name.startswith(".out.")
    assert kept.read_bytes() == b"wrong"


def test_the_data_is_on_the_disk_before_the_name_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out.mkv"
    synced: list[tuple[int, bool]] = []
    fsync = os.fsync

    def noted(handle: int) -> None:
        synced.append((os.fstat(handle).st_ino, output.exists()))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    with atomic_output(output) as temporary:
        temporary.write_bytes(b"whole")
    assert synced[0] == (output.stat().st_ino, False)

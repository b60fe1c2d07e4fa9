"""Checkpoints with any bytes in them: they are read, or refused in our words."""

import io
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciaovideo.errors import CiaoVideoError, CorruptWeightsError
from ciaovideo.train.loop import STATE
from ciaovideo.train.state import load_state, load_tensors
from tests.runs import small_runs, trainer

EXAMPLES = 40


@pytest.fixture(scope="module", autouse=True)
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bytes]:
    """The bytes of a checkpoint, in the folder of whose run the tests are."""
    folder = tmp_path_factory.mktemp("damage")
    with pytest.MonkeyPatch.context() as patch, small_runs(folder, patch):
        trainer(minutes=0).run()
        yield (Path("run") / STATE).read_bytes()


def resume(content: bytes) -> None:
    """Read a checkpoint of these bytes; only errors of ours come out."""
    path = Path("run") / STATE
    path.write_bytes(content)
    with suppress(CiaoVideoError):
        trainer()


@settings(max_examples=EXAMPLES)
@given(content=st.binary(max_size=200))
def test_any_bytes(content: bytes) -> None:
    Path("any.pt").write_bytes(content)
    for read in (load_state, load_tensors):
        with pytest.raises(CorruptWeightsError, match=r"any\.pt"):
            read(Path("any.pt"))


@settings(max_examples=EXAMPLES)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_checkpoint_that_is_cut_off(share: float, whole: bytes) -> None:
    (Path("run") / STATE).write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(CorruptWeightsError, match=STATE):
        trainer()


@settings(max_examples=EXAMPLES)
@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255))
@pytest.mark.heavy
def test_a_checkpoint_with_another_byte(place: float, value: int, whole: bytes) -> None:
    at = int(place * len(whole))
    resume(whole[:at] + bytes([value]) + whole[at + 1 :])


@pytest.mark.slow
@settings(max_examples=3 * EXAMPLES)
@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255))
def test_a_checkpoint_with_another_byte_in_its_table(
    place: float, value: int, whole: bytes
) -> None:
    """In the pickle, where names, kinds and sizes are, all around it as it should be."""
    damaged = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as before, zipfile.ZipFile(damaged, "w") as after:
        for entry in before.infolist():
            content = before.read(entry)
            if entry.filename.endswith("data.pkl"):
                at = int(place * len(content))
                content = content[:at] + bytes([value]) + content[at + 1 :]
            after.writestr(entry, content)
    resume(damaged.getvalue())

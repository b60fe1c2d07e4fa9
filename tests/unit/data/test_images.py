"""Pictures from folders and archives."""

import importlib
import io
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ciaovideo.data.images import list_pictures, load_pictures, read_picture, resize
from ciaovideo.errors import DecodeError, MissingInputError, OptionError

SIZES = {"b.png": (9, 12), "sub/a.webp": (10, 8), "c.bmp": (8, 8), "small.png": (7, 20)}


def png(height: int, width: int, *, seed: int = 0, form: str = "png") -> bytes:
    rgb = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(rgb).save(content, form, **({"lossless": True} if form == "webp" else {}))
    return content.getvalue()


def files() -> dict[str, bytes]:
    return {
        name: png(*size, seed=size[0], form=name.rpartition(".")[2]) for name, size in SIZES.items()
    } | {"._b.png": b"not a picture", "notes.txt": b"nor this"}


def folder_of(contents: dict[str, bytes], folder: Path) -> Path:
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def tar_of(contents: dict[str, bytes], path: Path) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in reversed(contents.items()):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def zip_of(contents: dict[str, bytes], path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in reversed(contents.items()):
            archive.writestr(name, content)
    return path


def test_folder_tar_and_zip_hold_the_same_pictures_by_name(tmp_path: Path) -> None:
    sources = (
        folder_of(files(), tmp_path / "folder"),
        tar_of(files(), tmp_path / "a.tar"),
        zip_of(files(), tmp_path / "a.zip"),
    )
    for source in sources:
        store = load_pictures([source], 8)
        assert len(store) == 3
        sizes = list(zip(store.heights.tolist(), store.widths.tolist(), strict=True))
        assert sizes == [SIZES["b.png"], SIZES["c.bmp"], SIZES["sub/a.webp"]]
        for index, size in enumerate(sizes):
            start = int(store.starts[index])
            samples = store.samples[start : start + 3 * size[0] * size[1]]
            rgb = np.random.default_rng(size[0]).integers(0, 256, (*size, 3), dtype=np.uint8)
            assert samples.tolist() == rgb.reshape(-1).tolist()


def test_excluded_names_are_left_out_of_every_kind_of_source(tmp_path: Path) -> None:
    contents = files()
    sources = (
        folder_of(contents, tmp_path / "pictures"),
        tar_of(contents, tmp_path / "a.tar"),
        zip_of(contents, tmp_path / "a.zip"),
    )
    for source in sources:
        assert load_pictures([source], 8, exclude=["sub/*"]).heights.tolist() == [9, 8]
        assert load_pictures([source], 8, exclude=["?.png", "*.bmp"]).heights.tolist() == [10]
        with pytest.raises(MissingInputError, match="no picture"):
            load_pictures([source], 8, exclude=["*"])


def test_each_picture_is_kept_once_at_each_size(tmp_path: Path) -> None:
    # Larger, a whole reduction, one that stops at 8 px, one as small as that, and one too small.
    names = {"a": (40, 24), "b": (10, 12), "c": (8, 8), "d": (7, 90)}
    folder = folder_of({f"{name}.png": png(*size) for name, size in names.items()}, tmp_path)
    store = load_pictures([folder], 8, sizes=(0.5, 0.25, 1.0))
    got = list(zip(store.heights.tolist(), store.widths.tolist(), strict=True))
    # A quarter of 24 would be 6: it is reduced to 8, a third.
    assert got == [(20, 12), (13, 8), (40, 24), (8, 10), (10, 12), (8, 8)]
    assert len(load_pictures([folder], 8)) == 3
    whole = read_picture(folder / "a.png")
    small = resize(whole, (20, 12), "lanczos")[0].permute(1, 2, 0)
    assert store.samples[: 3 * 20 * 12].tolist() == small.reshape(-1).tolist()
    own = slice(int(store.starts[2]), int(store.starts[3]))
    assert store.samples[own].tolist() == whole[0].permute(1, 2, 0).reshape(-1).tolist()


def test_several_sources_in_their_order(tmp_path: Path) -> None:
    single = folder_of({"z.png": png(11, 13)}, tmp_path) / "z.png"
    store = load_pictures([tar_of(files(), tmp_path / "a.tar"), single], 8)
    assert store.heights.tolist() == [9, 8, 10, 11]
    assert len(store.samples) == int(store.starts[-1]) + 3 * 11 * 13
    assert len(store.to(torch.device("cpu"))) == 4


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_every_kind_of_picture_becomes_rgb(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Image.new("RGB", (5, 4), (255, 255, 255)).convert(mode).save(path)
    assert read_picture(path).shape == (1, 3, 4, 5)
    assert read_picture(path).min() == 255


def test_a_picture_that_8_bit_cannot_hold_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    Image.fromarray(np.full((4, 4), 40000, dtype=np.uint16)).save(path)
    with pytest.raises(DecodeError, match=r"deep\.png.*8 bit"):
        read_picture(path)


@pytest.mark.parametrize("content", [b"", b"no picture", png(30, 30)[:-200]])
def test_a_damaged_picture_is_named(content: bytes, tmp_path: Path) -> None:
    folder_of({"good.png": png(9, 9), "hurt.png": content}, tmp_path)
    with pytest.raises(DecodeError, match=r"hurt\.png") as caught:
        load_pictures([tmp_path], 1)
    assert "BytesIO" not in str(caught.value)


def test_a_tar_that_was_cut_off_is_named(tmp_path: Path) -> None:
    path = tar_of({"a.png": png(40, 40), "b.png": png(40, 40)}, tmp_path / "a.tar")
    path.write_bytes(path.read_bytes()[:7000])
    with pytest.raises(DecodeError, match=r"a\.tar"):
        load_pictures([path], 1)


def test_a_zip_with_a_wrong_checksum_is_named(tmp_path: Path) -> None:
    path = zip_of({"a.png": png(9, 9)}, tmp_path / "a.zip")
    content = bytearray(path.read_bytes())
    content[60] ^= 255
    path.write_bytes(content)
    with pytest.raises(DecodeError, match=r"a\.zip"):
        load_pictures([path], 1)


def test_nothing_to_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="does not exist"):
        load_pictures([tmp_path / "absent.tar"], 1)
    with pytest.raises(MissingInputError, match="no picture in"):
        list_pictures(tmp_path)
    with pytest.raises(MissingInputError, match=r"absent\.png"):
        read_picture(tmp_path / "absent.png")
    folder_of({"a.png": png(9, 9)}, tmp_path)
    with pytest.raises(MissingInputError, match="10 px"):
        load_pictures([tmp_path], 10)


def test_without_pillow_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.delitem(sys.modules, "ciaovideo.data.images")
    with pytest.raises(OptionError, match=r"pip install 'ciaovideo\[train\]'"):
        importlib.import_module("ciaovideo.data.images")


def test_pictures_are_listed_by_path(tmp_path: Path) -> None:
    folder_of(files(), tmp_path)
    names = [path.relative_to(tmp_path).as_posix() for path in list_pictures(tmp_path)]
    assert names == ["b.png", "c.bmp", "small.png", "sub/a.webp"]


def test_resizing_is_pillows(tmp_path: Path) -> None:
    path = folder_of({"a.png": png(12, 20)}, tmp_path) / "a.png"
    picture = read_picture(path)
    with Image.open(path) as image:
        expected = np.asarray(image.resize((10, 6), Image.Resampling.LANCZOS))
    made = resize(picture, (6, 10), "lanczos")
    assert made.dtype == torch.uint8
    assert torch.equal(made[0].permute(1, 2, 0), torch.tensor(expected))

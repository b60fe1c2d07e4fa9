"""Pictures from folders, archives and videos, and Pillow's resizing."""

import io
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ciaovideo.data.clips import is_video, read_frames
from ciaovideo.errors import DecodeError, MissingInputError, OptionError

try:
    from PIL import Image, UnidentifiedImageError
except ImportError as cause:
    raise OptionError(
        "pictures are read with Pillow, which is not installed", "pip install 'ciaovideo[train]'"
    ) from cause

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})
# Errors of reading an archive; zipfile raises RuntimeError for a password or a compression.
BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError)
# Pillow's errors for a damaged picture; SyntaxError is that for a broken PNG.
UNREADABLE = (
    UnidentifiedImageError,
    Image.DecompressionBombError,
    OSError,
    SyntaxError,
    ValueError,
)
DEEP_MODES = ("I", "F")  # how the names of Pillow's modes of more than 8 bit begin

ResamplingFilter = Literal["bicubic", "lanczos"]
FILTERS = {"bicubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS}

Picture = np.ndarray[Any, np.dtype[np.uint8]]
Entry = tuple[str, Callable[[], bytes]]
"""The name of a picture within its source, and a function that reads its bytes."""


@dataclass(frozen=True, slots=True, eq=False)
class PictureStore:
    """Many RGB pictures of any sizes in one tensor.

    ``samples`` (N,) uint8: all pictures row by row, R G B interleaved; ``starts`` (P,) the first
    sample of each picture; ``heights`` and ``widths`` (P,) in px.
    """

    samples: Tensor
    starts: Tensor
    heights: Tensor
    widths: Tensor

    def __len__(self) -> int:
        return len(self.starts)

    def to(self, device: torch.device) -> "PictureStore":
        """The same pictures on a device."""
        parts = (self.samples, self.starts, self.heights, self.widths)
        return PictureStore(*(part.to(device) for part in parts))


def load_pictures(
    sources: Iterable[Path],
    smallest: int,
    *,
    every: int = 1,
    exclude: Sequence[str] = (),
    sizes: Sequence[float] = (1.0,),
) -> PictureStore:
    """Decode every picture of at least ``smallest`` px on both sides.

    A source is a picture, a video (one frame in ``every`` is used), a folder of both, searched to
    any depth, or a tar or a zip of pictures; they come in the order of the sources, and by name
    within each. ``exclude``: patterns, with * and ?, of names within a source to skip. ``sizes``:
    each picture is kept once at each, relative to its own and at most 1, reduced by Lanczos, but
    no further than to ``smallest`` px. Raises MissingInputError where nothing is found, DecodeError
    for a picture or an archive that is damaged, and what ``read_frames`` raises.
    """
    sources = list(sources)
    samples = bytearray()  # grows in place; joining a list of pictures would hold all of them twice
    shapes: list[tuple[int, int]] = []
    for source in sources:
        for picture in _pictures(source, every, exclude):
            for kept in _at_sizes(picture, sizes, smallest):
                samples += kept.data
                shapes.append((kept.shape[0], kept.shape[1]))
    if not shapes:
        raise MissingInputError(
            f"no picture of at least {smallest} px in {', '.join(map(str, sources)) or 'nothing'}",
            "name folders, tars or zips of pictures, or videos",
        )
    heights, widths = torch.tensor(shapes).unbind(dim=1)
    counts = 3 * heights * widths
    return PictureStore(
        samples=torch.frombuffer(samples, dtype=torch.uint8),
        starts=counts.cumsum(0) - counts,
        heights=heights,
        widths=widths,
    )


def read_picture(path: Path) -> Tensor:
    """One picture as (1, 3, H, W) uint8; raises MissingInputError or DecodeError."""
    try:
        content = path.read_bytes()
    except OSError as cause:
        raise MissingInputError(f"{path}: {cause.strerror}", "name a picture") from cause
    return torch.from_numpy(_decode(str(path), content)).permute(2, 0, 1).unsqueeze(0)


def list_pictures(folder: Path) -> list[Path]:
    """The pictures below a folder, sorted by path; raises MissingInputError if there are none."""
    found = sorted(filter(_is_picture, folder.rglob("*")), key=Path.as_posix)
    if not found:
        raise MissingInputError(f"no picture in {folder}", "name a folder of pictures")
    return found


def resize(picture: Tensor, out_size: tuple[int, int], kind: ResamplingFilter) -> Tensor:
    """One 8-bit picture at another (height, width), as Pillow does it.

    picture (1, 3, h, w) uint8 -> (1, 3, H, W) uint8; anti-aliased where it gets smaller.
    """
    height, width = out_size
    rgb = picture[0].permute(1, 2, 0).contiguous().cpu().numpy()
    made = Image.fromarray(rgb).resize((width, height), FILTERS[kind])
    return torch.from_numpy(np.array(made)).permute(2, 0, 1).unsqueeze(0)


def _pictures(source: Path, every: int, exclude: Sequence[str]) -> Iterator[Picture]:
    """Every picture in a source, and frames of its videos."""
    if source.is_dir():
        paths = filter(lambda path: is_video(path) or _is_picture(path), source.rglob("*"))
        for path in sorted(paths, key=Path.as_posix):
            if not _excluded(path.relative_to(source).as_posix(), exclude):
                yield from _pictures(path, every, exclude)
    elif is_video(source):
        yield from read_frames(source, every)
    else:
        with _entries(source) as entries:
            for name, read in entries:
                if not _excluded(name, exclude):
                    yield _decode(name if name == str(source) else f"{source}: {name}", read())


def _at_sizes(picture: Picture, sizes: Sequence[float], smallest: int) -> Iterator[Picture]:
    """A picture at the distinct sizes of these that are large enough, in their order."""
    shape = picture.shape[:2]
    if min(shape) < smallest:
        return
    shares = (max(share, smallest / min(shape)) for share in sizes)
    for height, width in dict.fromkeys(
        (round(shape[0] * share), round(shape[1] * share)) for share in shares
    ):
        if (height, width) == shape:
            yield picture
        else:
            small = Image.fromarray(picture).resize((width, height), FILTERS["lanczos"])
            yield np.array(small)


def _excluded(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


@contextmanager
def _entries(source: Path) -> Iterator[Iterator[Entry]]:
    """The pictures in a file, by name; an archive stays open while they are read."""
    try:
        if _is_picture(source):
            yield iter([(str(source), source.read_bytes)])
        elif tarfile.is_tarfile(source):
            with tarfile.open(source) as archive:
                yield _in_tar(source, archive)
        elif zipfile.is_zipfile(source):
            with zipfile.ZipFile(source) as archive:
                yield _in_zip(source, archive)
        else:
            yield iter([(str(source), source.read_bytes)])
    except FileNotFoundError as cause:
        raise MissingInputError(
            f"{source.absolute()} does not exist", "name folders, tars or zips of pictures"
        ) from cause
    except BROKEN as cause:
        raise DecodeError(f"{source}: cannot be read ({cause})", "get the file again") from cause


def _in_tar(source: Path, archive: tarfile.TarFile) -> Iterator[Entry]:
    for member in sorted(archive, key=lambda member: member.name):
        content = archive.extractfile(member) if member.isfile() else None
        if content is not None and _is_picture(PurePosixPath(member.name)):
            yield member.name, content.read


def _in_zip(source: Path, archive: zipfile.ZipFile) -> Iterator[Entry]:
    for name in sorted(archive.namelist()):
        if _is_picture(PurePosixPath(name)):
            yield name, lambda name=name: archive.read(name)  # type: ignore[misc]


def _is_picture(path: PurePosixPath | Path) -> bool:
    """Whether a name is a picture's, by suffix; hidden files are not: they may hold metadata."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _decode(name: str, content: bytes) -> Picture:
    """A picture's samples: (H, W, 3)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # about large pictures and odd palettes, which are accepted
            with Image.open(io.BytesIO(content)) as picture:
                if picture.mode.startswith(DEEP_MODES):
                    raise ValueError("more than 8 bit per sample")
                return np.array(picture.convert("RGB"))
    except UnidentifiedImageError as cause:  # its text is about memory, not about the file
        raise DecodeError(
            f"{name}: not a readable picture (of no known kind)", "remove it"
        ) from cause
    except UNREADABLE as cause:
        raise DecodeError(f"{name}: not a readable picture ({cause})", "remove it") from cause

"""Degradations of video: subsampled chroma, fields of two moments, lossy codecs."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ciaovideo.color import ColorSpec, Matrix, PixelLayout, Range, Siting, from_rgb, to_rgb
from ciaovideo.data.degradation.film import displaced
from ciaovideo.errors import OptionError

BLOCK = 16  # px, of every codec here
DV_FRAME = 576, 720  # DV is coded at television's own size only

# What each kind of video does with chroma: layout, siting.
KINDS = {
    "mpeg2": ("yuv420p", Siting.LEFT),
    "dv": ("yuv420p", Siting.TOPLEFT),
    "dv-ntsc": ("yuv411p", Siting.LEFT),
    "h264": ("yuv420p", Siting.LEFT),
    "vcd": ("yuv420p", Siting.CENTER),
    "studio": ("yuv422p", Siting.LEFT),
}
ALIKE = {"h265": "h264", "vp9": "h264", "mpeg4": "mpeg2"}  # codecs that do the same


def subsample_chroma(picture: Tensor, kind: str) -> Tensor:
    """Pictures (B, 3, H, W) as 8 bit Y'CbCr in limited range, and back; ``kind`` of ``KINDS``."""
    layout, spec = video_format(kind)
    return to_rgb(from_rgb(picture, layout, spec), layout, spec)


def video_format(kind: str) -> tuple[PixelLayout, ColorSpec]:
    """The layout and the tags of a kind of video: BT.601, limited range."""
    name, siting = KINDS[kind]
    spec = ColorSpec(matrix=Matrix.SMPTE170M, color_range=Range.LIMITED, siting=siting)
    return PixelLayout.of(name), spec


def combed(picture: Tensor, velocity: Tensor, strength: Tensor, *, first: int) -> Tensor:
    """Residual combing of a deinterlacer: every other row comes from half a frame later.

    ``velocity`` (B, 2) px per frame, down and right; ``strength`` (B,) in [0, 1], how much of the
    combing is left; ``first`` (0 or 1) is the row of the field that keeps its time.
    """
    later = displaced(picture, velocity / 2)
    row = torch.arange(picture.shape[-2], device=picture.device) % 2 != first
    return torch.where(
        row[:, None], torch.lerp(picture, later, strength[:, None, None, None]), picture
    )


def moving(picture: Tensor, velocity: Tensor, frames: int, now: int) -> Tensor:
    """A clip (B, T, 3, H, W) of pictures that drift by ``velocity`` (B, 2) px per frame.

    Frame ``now`` is the picture itself.
    """
    clip = [
        picture if time == now else displaced(picture, velocity * (time - now))
        for time in range(frames)
    ]
    return torch.stack(clip, dim=1)


def recompressed(
    clip: Tensor, kind: str, quality: int, *, corner: tuple[int, int] = (0, 0)
) -> Tensor:
    """Clips (B, T, 3, H, W) after a video codec: all of them side by side in one coded picture.

    ``kind`` and ``quality`` as ``ciaovideo.media.write.recompress`` has them. ``corner`` (y, x),
    below 16 px, is where in a block each picture begins. Raises OptionError where PyAV is not
    installed.
    """
    try:
        from ciaovideo.media.write.recompress import recompress
    except ImportError as cause:
        raise OptionError(
            "video codecs need PyAV, which is not installed",
            "install it, give data.pairs made where it is, or set data.degradation.codecs to 0",
        ) from cause
    layout, spec = video_format(ALIKE.get(kind, kind))
    batch, height, width = len(clip), *clip.shape[-2:]
    sheet, places = _sheet(clip, corner, DV_FRAME if kind == "dv" else None)
    planes = from_rgb(sheet.cpu(), layout, spec)
    codes = recompress([plane.contiguous() for plane in planes], kind, quality)
    made = to_rgb(codes, layout, spec).to(clip.device)
    cut = [made[:, :, y : y + height, x : x + width] for y, x in places[:batch]]
    return torch.stack(cut)


def _sheet(
    clip: Tensor, corner: tuple[int, int], size: tuple[int, int] | None
) -> tuple[Tensor, list[tuple[int, int]]]:
    """Clips on one sheet (T, 3, Y, X) of whole blocks, and where each lies.

    Where there is room for more of them they are repeated. Each has a margin of its own border
    around it, so that no block holds two pictures.
    """
    batch, _, _, height, width = clip.shape
    top, left = corner
    cell = tuple(math.ceil((side + BLOCK) / BLOCK) * BLOCK for side in (height, width))
    padding = (left, cell[1] - width - left, top, cell[0] - height - top)
    cells = F.pad(clip.flatten(0, 1), padding, mode="replicate").view(*clip.shape[:3], *cell)
    across = size[1] // cell[1] if size else math.ceil(math.sqrt(batch))
    down = size[0] // cell[0] if size else math.ceil(batch / across)
    if across * down < batch:
        raise OptionError(
            f"{batch} patches of {width} x {height} px do not fit a picture of {size}",
            "lower data.batch or data.patch",
        )
    order = torch.arange(across * down, device=clip.device) % batch
    rows = cells[order].view(down, across, *cells.shape[1:])
    sheet = rows.permute(2, 3, 0, 4, 1, 5).reshape(*clip.shape[1:3], down * cell[0], -1)
    if size:
        rest = (0, size[1] - sheet.shape[-1], 0, size[0] - sheet.shape[-2])
        sheet = F.pad(sheet, rest, mode="replicate")
    places = [
        (index // across * cell[0] + top, index % across * cell[1] + left)
        for index in range(across * down)
    ]
    return sheet, places

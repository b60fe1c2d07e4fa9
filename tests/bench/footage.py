"""Real footage side by side: bicubic and any weights, a frame of each video, as one picture.

``python tests/bench/footage.py VIDEO... --weights ciaosr-fast archive.safetensors --out look.png``
shows the part of frame ``--frame`` where most happens, enlarged by ``--scale``.
"""

import argparse
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[2]))

from ciaovideo.color import PixelLayout, to_rgb
from ciaovideo.engine.upscaler import Upscaler
from ciaovideo.errors import DecodeError
from ciaovideo.media.read.reader import VideoReader

CAPTION = 14  # px

type Upscale = Callable[[Tensor], Tensor]


def read_frame(path: Path, number: int) -> Tensor:
    """One frame, counted from 0, as rgb (1, 3, H, W) in [0, 1]."""
    with VideoReader(path) as reader:
        frame = next(islice(reader.frames(number + 1), number, None), None)
        layout = PixelLayout.of(reader.info.pix_fmt)
        spec = reader.info.color
    if frame is None:
        raise DecodeError(f"{path} has no frame {number}", "name an earlier one")
    planes = [plane[None] for plane in frame.planes]
    height, width = frame.planes[0].shape
    return to_rgb(planes, layout, spec.resolved(height, width, layout)[0]).clamp(0, 1)


def busiest(rgb: Tensor, side: int) -> Tensor:
    """The square of this side in which neighbours differ most, but not at the border."""
    luma = rgb.mean(dim=1, keepdim=True)
    change = F.pad((luma[..., 1:] - luma[..., :-1]).abs(), (0, 1))
    change = F.avg_pool2d(change[..., side // 4 :, side // 4 :], side, side // 4)
    at = int(change[0, 0].argmax())
    y, x = (side // 4 * (1 + part) for part in divmod(at, change.shape[-1]))
    return rgb[..., y : y + side, x : x + side]


def upscalers(weights: list[str], scale: float) -> dict[str, Upscale]:
    """Bicubic, and one for each name or file of weights."""

    def bicubic(rgb: Tensor) -> Tensor:
        return F.interpolate(rgb, scale_factor=scale, mode="bicubic")

    made: dict[str, Upscale] = {"bicubic": bicubic}
    for name in weights:
        if name.endswith(".safetensors"):
            upscaler = Upscaler(weights=name, scale=scale)
        else:
            upscaler = Upscaler(name, scale=scale)
        made[f"{Path(name).parent.name} {Path(name).stem}".strip()] = upscaler
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--weights", nargs="+", default=["ciaosr-fast"])
    parser.add_argument("--frame", type=int, default=10)
    parser.add_argument("--side", type=int, default=120, help="of the part shown, px")
    parser.add_argument("--scale", type=float, default=3.0)
    parser.add_argument("--out", type=Path, default=Path("footage.png"))
    arguments = parser.parse_args()
    made = upscalers(arguments.weights, arguments.scale)
    side = round(arguments.side * arguments.scale)
    size = (len(made) * side, len(arguments.videos) * (side + CAPTION))
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    for row, path in enumerate(arguments.videos):
        part = busiest(read_frame(path, arguments.frame), arguments.side)
        for column, (name, upscale) in enumerate(made.items()):
            codes = (upscale(part)[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0)
            corner = column * side, row * (side + CAPTION)
            pen.text((corner[0] + 2, corner[1] + 1), f"{path.stem}: {name}", fill="black")
            sheet.paste(Image.fromarray(codes.numpy()), (corner[0], corner[1] + CAPTION))
    sheet.save(arguments.out)
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    with torch.inference_mode():
        main()

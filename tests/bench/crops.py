"""A sheet of one crop by every network of ``ciaovideo evaluate --suite neighbours``.

python -m tests.bench.crops PICTURE SHEET.webp --scale 2

Shows the square in which bicubic loses most, LR first and the truth last, each with its PSNR in dB
on Y within the square.
"""

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ciaovideo.data.images import read_picture
from ciaovideo.data.pairs import pair
from ciaovideo.engine.engine import Engine
from ciaovideo.evaluate.baselines import BASELINES
from ciaovideo.evaluate.crops import SIDE, busiest_places
from ciaovideo.evaluate.protocol import Sample
from ciaovideo.evaluate.suites import SUITES
from ciaovideo.metrics import METRICS
from ciaovideo.models.weights import load_bundled
from ciaovideo.options import EngineOptions

CAPTION, GAP, COLUMNS = 22, 6, 7


def views(lr: Tensor, size: tuple[int, int], names: list[str]) -> dict[str, Tensor]:
    """The whole picture (1, 3, *size) by each name that does this scale."""
    made = {"LR": F.interpolate(lr, size, mode="nearest-exact")}
    for name in names:
        if name in BASELINES:
            made[name] = BASELINES[name](lr, size)
            continue
        network = load_bundled(name)
        if network.scales.hold((lr.shape[-2], lr.shape[-1]), size):
            made[name] = Engine(network, EngineOptions(device="cpu"))(lr, size)
    return made


def sheet(crops: dict[str, Tensor]) -> Image.Image:
    """Crops (1, 3, SIDE, SIDE) in rows, their names above them; the last is the truth."""
    *_, truth = crops.values()
    rows = -(-len(crops) // COLUMNS)
    width, height = truth.shape[-1] + GAP, truth.shape[-2] + CAPTION + GAP
    canvas = Image.new("RGB", (COLUMNS * width - GAP, rows * height - GAP), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=14)
    for index, (name, crop) in enumerate(crops.items()):
        row, column = divmod(index, COLUMNS)
        codes = (crop[0].clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        canvas.paste(Image.fromarray(codes), (column * width, row * height + CAPTION))
        scored = name not in ("LR", "truth")
        psnr = f" {METRICS['psnr'](crop.clamp(0, 1), truth, border=0).item():.2f}" if scored else ""
        draw.text((column * width, row * height + 2), name + psnr, fill="black", font=font)
    return canvas


def main() -> None:
    """Read one picture, write one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("picture", type=Path)
    parser.add_argument("sheet", type=Path)
    parser.add_argument("--scale", type=float, default=2.0)
    parser.add_argument("--side", type=int, default=SIDE, help="of the square, in HR px")
    parser.add_argument("--at", help="TOP,LEFT of the square, in HR px")
    arguments = parser.parse_args()
    hr, lr = (x.float() / 255 for x in pair(read_picture(arguments.picture), arguments.scale))
    size = hr.shape[-2], hr.shape[-1]
    place = busiest_places(Sample("", lr, hr, hr), 1)[0]
    top, left = map(int, arguments.at.split(",")) if arguments.at else place
    found = views(lr, size, SUITES["neighbours"].models()) | {"truth": hr}
    side = arguments.side
    cut = {name: x[..., top : top + side, left : left + side] for name, x in found.items()}
    sheet(cut).save(arguments.sheet, quality=90)
    print(f"wrote {arguments.sheet}: {len(cut)} crops at {top},{left}")


if __name__ == "__main__":
    main()

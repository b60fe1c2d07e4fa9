"""A contact sheet of every degradation, each alone on one picture, and the whole chain at the end.

``python tests/bench/degradations.py PICTURE --out sheet.png`` takes a square from the middle of a
picture. What differs between frames is shown as neighbouring frames.
"""

import argparse
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[2]))

from ciaovideo.data.degradation import film, noise, tape
from ciaovideo.data.degradation.blur import blur, gaussian_kernels, sinc_kernels, unsharp
from ciaovideo.data.degradation.chain import DegradationOptions, Degrader
from ciaovideo.data.degradation.draws import Draws
from ciaovideo.data.degradation.jpeg import jpeg
from ciaovideo.data.degradation.resampling import resample
from ciaovideo.data.images import read_picture

SIDE, CAPTION, ACROSS = 160, 14, 8


def value(number: float) -> Tensor:
    return torch.tensor([float(number)])


def pair(first: float, second: float) -> Tensor:
    return torch.tensor([[float(first), float(second)]])


def draws(seed: int) -> Draws:
    return Draws(torch.Generator().manual_seed(seed), torch.device("cpu"))


def blurred(picture: Tensor, sigma: Tensor, **shape: Tensor) -> Tensor:
    return blur(picture, gaussian_kernels(sigma, value(0.6), 21, **shape))


def enlarged(picture: Tensor) -> Tensor:
    """A part at the left, each pixel shown as 4 x 4."""
    top = SIDE // 2
    part = picture[..., top : top + SIDE // 4, : SIDE // 4]
    return torch.nn.functional.interpolate(part, (SIDE, SIDE))


def resized(picture: Tensor, kind: int, aliased: bool = False) -> Tensor:
    """To a third, and each pixel shown as a square."""
    small = resample(
        picture,
        value(SIDE),
        value(SIDE / 3),
        SIDE // 3,
        kind=torch.tensor([kind]),
        aliased=torch.tensor([aliased]),
    )
    return torch.nn.functional.interpolate(small, (SIDE, SIDE))


def optics(picture: Tensor) -> Iterator[tuple[str, Tensor]]:
    yield "original", picture
    yield "isotropic, 1.5 px", blurred(picture, pair(1.5, 1.5))
    yield "anisotropic, 0.5 / 4 px", blurred(picture, pair(0.5, 4))
    yield "generalised, power 3", blurred(picture, pair(3, 3), power=value(3))
    plateau = torch.tensor([True])
    yield "plateau, power 1", blurred(picture, pair(1, 1), power=value(1), plateau=plateau)
    yield "sinc, 0.9 rad/px", blur(picture, sinc_kernels(value(0.9), 21))
    yield "unsharp target, 0.5", unsharp(picture, 0.5)
    yield "unsharp, 1.5", unsharp(picture, 1.5)
    for kind, name in enumerate(("area", "bilinear", "bicubic")):
        yield f"1/3 {name}", resized(picture, kind)
    yield "1/3 bicubic aliased", resized(picture, 2, aliased=True)


def noises(picture: Tensor) -> Iterator[tuple[str, Tensor]]:
    colored, gray = torch.tensor([False]), torch.tensor([True])
    fields = torch.Generator().manual_seed(0)
    yield "Gaussian 15/255", noise.gaussian_noise(picture, value(15 / 255), colored, fields)
    yield "Gaussian gray", noise.gaussian_noise(picture, value(15 / 255), gray, fields)
    yield "Poisson 80 photons", noise.poisson_noise(picture, value(80), colored, fields)
    yield "Poisson gray", noise.poisson_noise(picture, value(80), gray, fields)
    yield "grain 0.05, 0.6 px", noise.grain(picture, value(0.05), value(0.6), gray, fields)
    yield "grain 0.05, 1.3 px", noise.grain(picture, value(0.05), value(1.3), colored, fields)
    yield "JPEG 50", jpeg(picture, value(50))
    yield "JPEG 15", jpeg(picture, value(15))


def films(picture: Tensor) -> Iterator[tuple[str, Tensor]]:
    yield "fading", film.fade(picture, draws(2))
    yield "fading, gray", film.fade(picture, draws(3), monochrome=1.0)
    yield "fading, toned", film.fade(picture, draws(6), monochrome=1.0)
    fields = torch.Generator().manual_seed(4)
    clip = picture[:, None].expand(-1, 3, -1, -1, -1)
    for number, frame in enumerate(film.flicker(clip, value(0.08), fields)[0]):
        yield f"flicker 0.08, frame {number}", frame[None]
    for number, frame in enumerate(film.weave(clip, value(4), fields)[0]):
        yield f"weave 4 px, frame {number}", frame[None]
    yield "scratches", film.scratches(picture, draws(7), width=(0.5, 1.2))
    yield "scratches", film.scratches(picture, draws(11), width=(0.5, 1.2))
    yield "dust", film.dust(picture, draws(8), radius=(1.0, 5.0))
    yield "dust", film.dust(picture, draws(9), radius=(1.0, 5.0))


def tapes(picture: Tensor) -> Iterator[tuple[str, Tensor]]:
    yield "enlarged", enlarged(picture)
    for kind in tape.KINDS:
        name, siting = tape.KINDS[kind]
        yield (
            f"{kind}: {name} {siting.name.lower()}",
            enlarged(tape.subsample_chroma(picture, kind)),
        )
    yield "fields, 8 px/frame", tape.combed(picture, pair(0, 8), value(1), first=0)
    yield "fields, half left", tape.combed(picture, pair(0, 8), value(0.5), first=0)
    clip = tape.moving(picture, pair(0.7, 2.3), 4, 2)
    for kind, quality in (("mpeg2", 6), ("mpeg2", 20), ("h264", 28), ("h264", 38), ("dv", 0)):
        made = tape.recompressed(clip, kind, quality, corner=(5, 9))
        yield f"{kind} {quality}", made[:, 2]
        yield f"{kind} {quality}, enlarged", enlarged(made[:, 2])


def chains(picture: Tensor) -> Iterator[tuple[str, Tensor]]:
    """LR patches at a third, drawn by the chain; each pixel shown as a square."""
    degrader = Degrader(DegradationOptions(share=1.0), SIDE // 3)
    generator = torch.Generator().manual_seed(1)
    for number in range(2 * ACROSS):
        lr = degrader(picture, value(SIDE), generator).lr
        yield f"chain {number}", torch.nn.functional.interpolate(lr, (SIDE, SIDE))


GROUPS: tuple[Callable[[Tensor], Iterator[tuple[str, Tensor]]], ...] = (
    optics,
    noises,
    films,
    tapes,
    chains,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--out", type=Path, default=Path("degradations.png"))
    arguments = parser.parse_args()
    picture = read_picture(arguments.picture).float() / 255
    top, left = ((length - SIDE) // 2 for length in picture.shape[-2:])
    picture = picture[..., top : top + SIDE, left : left + SIDE]
    tiles = [tile for group in GROUPS for tile in group(picture)]
    height = math.ceil(len(tiles) / ACROSS) * (SIDE + CAPTION)
    sheet = Image.new("RGB", (ACROSS * SIDE, height), "white")
    pen = ImageDraw.Draw(sheet)
    for index, (caption, tile) in enumerate(tiles):
        y, x = index // ACROSS * (SIDE + CAPTION), index % ACROSS * SIDE
        codes = (tile[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
        pen.text((x + 2, y + 1), caption, fill="black")
        sheet.paste(Image.fromarray(codes), (x, y + CAPTION))
    sheet.save(arguments.out)
    print(f"wrote {arguments.out}: {len(tiles)} pictures")


if __name__ == "__main__":
    main()

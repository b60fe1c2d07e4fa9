"""What each stage of a recipe changed: figures and pictures of any weights on worn pictures.

``python -m tests.bench.stages FOLDER --weights ciaosr-fast runs/archive/first-stage.safetensors
runs/archive/weights.safetensors`` takes the middle of each picture, makes LR of it by the recipe's
degradations and by bicubic alone, and compares what comes back with the crop. PSNR and SSIM are on
Y; structure is the loss of that name, and detail the finest derivatives over the truth's, as RMS:
below 1 is blurred. Grid is what repeats from LR pixel to LR pixel, in 8-bit steps of Y, and should
be the truth's: a network can make detail of it that nothing agrees with.
"""

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor

from ciaovideo.data.degradation.chain import Degrader
from ciaovideo.data.images import list_pictures, read_picture
from ciaovideo.metrics import METRICS
from ciaovideo.metrics.luma import luma
from ciaovideo.train.objective.losses import StructureLoss
from ciaovideo.train.recipe import read_recipe
from tests.bench.footage import CAPTION, upscalers

PATCH, SCALE = 64, 3  # LR px, and what they are enlarged by
SEED = 1

type Pairs = list[tuple[Tensor, Tensor]]
type Row = list[tuple[str, Tensor]]


def made_pairs(folder: Path, recipe: str, share: float) -> Pairs:
    """LR (1, 3, p, p) and the truth (1, 3, S, S) in its tones, of every picture large enough."""
    options = read_recipe(recipe, [f"data.degradation.share={share}"]).options
    degrader = Degrader(options.data.degradation, PATCH)
    generator = torch.Generator().manual_seed(SEED)
    side = PATCH * SCALE
    pairs = []
    for path in list_pictures(folder):
        picture = read_picture(path).float() / 255
        top, left = ((length - side) // 2 for length in picture.shape[-2:])
        if min(top, left) >= 0:
            crop = picture[..., top : top + side, left : left + side]
            made = degrader(crop, torch.tensor([side]), generator)
            pairs.append((made.lr, made.natural))
    return pairs


def grid(sr: Tensor) -> float:
    """RMS of the mean LR pixel of each picture, its own mean and coarser detail taken away."""
    y = luma(sr)[:, None]
    smooth = F.avg_pool2d(F.pad(y, (SCALE // 2,) * 4, mode="replicate"), SCALE, 1)
    side = y.shape[-1] // SCALE
    pixels = (y - smooth).view(len(y), side, SCALE, side, SCALE)
    return 255 * pixels.mean(dim=(1, 3)).square().mean(dim=(1, 2)).sqrt().mean().item()


def figures(results: list[Tensor], truths: list[Tensor]) -> list[str]:
    """Means over all pictures: PSNR, SSIM, structure, detail, grid."""
    sr, hr = torch.cat(results), torch.cat(truths)
    psnr, ssim = (METRICS[name](sr, hr, border=SCALE).mean().item() for name in ("psnr", "ssim"))
    loss = StructureLoss()
    ours, theirs = (next(loss.derivatives(rgb)).square().mean().sqrt() for rgb in (sr, hr))
    row = [f"{psnr:.2f}", f"{ssim:.3f}", f"{loss(sr, hr).item():.3f}"]
    return [*row, f"{(ours / theirs).item():.2f}", f"{grid(sr):.2f}"]


def draw(rows: list[Row], out: Path) -> None:
    """A row for each picture, named views side by side."""
    side = PATCH * SCALE
    sheet = Image.new("RGB", (len(rows[0]) * side, len(rows) * (side + CAPTION)), "white")
    pen = ImageDraw.Draw(sheet)
    for down, row in enumerate(rows):
        for across, (name, view) in enumerate(row):
            x, y = across * side, down * (side + CAPTION)
            codes = (view[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
            pen.text((x + 2, y + 1), name, fill="black")
            sheet.paste(Image.fromarray(codes), (x, y + CAPTION))
    sheet.save(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="HR pictures of 192 px at least")
    parser.add_argument("--weights", nargs="+", default=["ciaosr-fast"])
    parser.add_argument("--recipe", default="ciaosr-archive", help="whose degradations are taken")
    parser.add_argument("--rows", type=int, default=6, help="pictures shown")
    parser.add_argument("--out", type=Path, default=Path("stages.png"))
    arguments = parser.parse_args()
    made = upscalers(arguments.weights, SCALE)
    print("| LR | weights | PSNR | SSIM | structure | detail | grid |\n" + "|---" * 7 + "|")
    for kind, share in (("bicubic", 0.0), ("worn", 1.0)):
        pairs = made_pairs(arguments.folder, arguments.recipe, share)
        truths = [truth for _, truth in pairs]
        results = {
            name: [upscale(lr).clamp(0, 1) for lr, _ in pairs] for name, upscale in made.items()
        }
        for name, enlarged in results.items():
            print(f"| {kind} | {' | '.join([name, *figures(enlarged, truths)])} |")
        print(f"| {kind} | truth |  |  |  |  | {grid(torch.cat(truths)):.2f} |")
    shown: list[Row] = []
    for number in range(min(arguments.rows, len(pairs))):
        row = [(name, enlarged[number]) for name, enlarged in results.items()]
        shown.append([*row, ("truth", truths[number])])
    draw(shown, arguments.out)
    print(f"wrote {arguments.out}: {len(pairs)} pictures measured")


if __name__ == "__main__":
    with torch.inference_mode():
        main()

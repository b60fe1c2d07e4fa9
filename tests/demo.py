"""Draws one crop of a video three times: enlarged by nearest, by bicubic, and by ciaovideo.

python tests/demo.py LR.mp4 SR.mp4 COMPARE.png
"""

import sys
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont

MAGNIFIED = 4  # screen pixels per output pixel
SIDE = 120  # of the crop, in output pixels
BAR = 44  # height of the labels, in screen pixels
GAP = 8


def middle_frame(path: Path, total: int | None = None) -> tuple[Image.Image, int]:
    """The frame half-way through a video, and how many frames there are."""
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    if not frames:
        raise SystemExit(f"{path} holds no pictures")
    if total not in (None, len(frames)):
        raise SystemExit(f"{path} has {len(frames)} frames, the other video {total}")
    return Image.fromarray(frames[len(frames) // 2]), len(frames)


def busiest(image: Image.Image, side: int) -> tuple[int, int]:
    """Left and top of the square in which neighbouring pixels differ most."""
    gray = np.asarray(image.convert("L"), dtype=np.float64)
    detail = np.zeros_like(gray)
    detail[1:] += np.abs(np.diff(gray, axis=0))
    detail[:, 1:] += np.abs(np.diff(gray, axis=1))
    total = np.pad(detail.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    sums = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    top, left = np.unravel_index(sums.argmax(), sums.shape)
    return int(left), int(top)


def compare(lr: Image.Image, sr: Image.Image) -> Image.Image:
    """The three crops side by side, each with its label."""
    side = min(SIDE, *sr.size)
    scale = sr.width / lr.width
    left, top = (
        min(round(place * scale), whole - side)
        for place, whole in zip(busiest(lr, max(1, int(side / scale))), sr.size, strict=True)
    )
    versions = {
        f"input {lr.width} x {lr.height}, nearest": lr.resize(sr.size, Image.Resampling.NEAREST),
        "bicubic": lr.resize(sr.size, Image.Resampling.BICUBIC),
        f"ciaovideo {sr.width} x {sr.height}": sr,
    }
    shown = side * MAGNIFIED
    canvas = Image.new("RGB", (3 * shown + 2 * GAP, shown + BAR), "white")
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(size=24)
    for place, (label, image) in enumerate(versions.items()):
        x = place * (shown + GAP)
        crop = image.crop((left, top, left + side, top + side))
        canvas.paste(crop.resize((shown, shown), Image.Resampling.NEAREST), (x, BAR))
        draw.text((x + shown // 2, BAR // 2), label, fill="black", font=font, anchor="mm")
    return canvas


def main() -> None:
    """Read two videos, write one picture."""
    if len(sys.argv) != 4:
        raise SystemExit((__doc__ or "").strip())
    lr_path, sr_path, output = map(Path, sys.argv[1:])
    lr, count = middle_frame(lr_path)
    sr, _ = middle_frame(sr_path, count)
    output.parent.mkdir(parents=True, exist_ok=True)
    compare(lr, sr).save(output)
    print(f"wrote {output}")


if __name__ == "__main__":
    main()

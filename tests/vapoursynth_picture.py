"""Draws a crop of what a VapourSynth script makes: bicubic and ``vsciaovideo``, side by side.

python tests/vapoursynth_picture.py CLIP OUTPUT.png

The clip is reduced first, so that there is something to win back. ``.github/vapoursynth.png`` shows
frame 48 of a clip of Big Buck Bunny, (c) 2008 Blender Foundation, CC BY 3.0.
"""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = Path(sysconfig.get_path("scripts"))
SIDE = 128  # of a crop, in output pixels
MAGNIFIED = 2
BAR = 28  # height of the labels
GAP = 8
LABELS = ("resize.Bicubic", "vsciaovideo.upscale")
SCRIPT = """
import vapoursynth as vs
from vsciaovideo import upscale

clip = vs.core.bs.VideoSource(source, cachemode=0)[int(frame)]
clip = clip.resize.Bicubic(480, 270, format=vs.RGBS, matrix_in=1)
versions = clip.resize.Bicubic(1200, 676), upscale(clip, width=1200, height=676)
left, top, side = int(left), int(top), int(side)
crops = [version.std.CropAbs(side, side, left, top) for version in versions]
vs.core.std.StackHorizontal(crops).resize.Point(format=vs.RGB24).set_output()
"""


def crops(source: Path, *, frame: int = 48, left: int = 10, top: int = 58) -> list[Image.Image]:
    """The crops, made by vspipe."""
    arguments = {"source": source.resolve(), "frame": frame, "left": left, "top": top, "side": SIDE}
    words = [word for name, value in arguments.items() for word in ("-a", f"{name}={value}")]
    with TemporaryDirectory() as folder:
        script = Path(folder) / "script.vpy"
        script.write_text(SCRIPT, encoding="utf-8")
        done = subprocess.run(
            [PROGRAMS / "vspipe", *words, script, "-"],
            check=True,
            stdout=subprocess.PIPE,
            env={
                **os.environ,
                "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}",
                "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'plugins' / 'vapoursynth'}",
                "XDG_CONFIG_HOME": folder,
            },
        )
    green, blue, red = np.frombuffer(done.stdout, np.uint8).reshape(3, SIDE, 2 * SIDE)
    both = Image.fromarray(np.dstack([red, green, blue]))
    return [both.crop((x, 0, x + SIDE, SIDE)) for x in (0, SIDE)]


def drawn(images: list[Image.Image]) -> Image.Image:
    """The images magnified, each under its label."""
    shown = SIDE * MAGNIFIED
    canvas = Image.new("RGB", (2 * shown + GAP, shown + BAR), "white")
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(size=18)
    for place, (label, image) in enumerate(zip(LABELS, images, strict=True)):
        x = place * (shown + GAP)
        canvas.paste(image.resize((shown, shown), Image.Resampling.NEAREST), (x, BAR))
        draw.text((x + shown // 2, BAR // 2), label, fill="black", font=font, anchor="mm")
    return canvas


def main() -> None:
    """Read a clip, write a picture."""
    if len(sys.argv) != 3:
        raise SystemExit((__doc__ or "").strip())
    drawn(crops(Path(sys.argv[1]))).save(sys.argv[2], optimize=True)
    print(f"wrote {sys.argv[2]}")


if __name__ == "__main__":
    main()

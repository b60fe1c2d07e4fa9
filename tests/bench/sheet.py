"""Crops of videos at several strengths of restoring, side by side on one sheet.

    python tests/bench/sheet.py sheet.png "old film=film.mkv@10:300,20" "talk.mp4@20:40,10" ...

A row is a video: [NAME=]FILE@FRAME:LEFT,TOP, with a crop of 96x72 px of the source. The first
column shows its own pixels; then come bicubic, restore 0, what auto takes, 0.5 and 1, all enlarged
by 3.
"""

import argparse
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ciaovideo.engine.engine import Engine
from ciaovideo.engine.model_choice import load_network
from ciaovideo.evaluate.baselines import BASELINES
from ciaovideo.evaluate.clips import true_frames
from ciaovideo.media.read.probe import probe
from ciaovideo.models.restoration import restore_for
from ciaovideo.options import EngineOptions, ModelOptions

CROP = (96, 72)  # px of the source across and down
SCALE = 3
MARGIN = 24  # px of the source around a crop, so that its border is that of the whole picture
STRENGTHS = (0.0, None, 0.5, 1.0)  # None is what auto takes
HEAD, GAP = 22, 4
ROW = re.compile(r"(?:(?P<name>[^=]+)=)?(?P<file>.+)@(?P<frame>\d+):(?P<left>\d+),(?P<top>\d+)")


@dataclass(frozen=True)
class Row:
    """A crop of a frame: R'G'B' (1, 3, h, w) with a margin, and where in it the crop lies."""

    name: str
    picture: Tensor
    box: tuple[int, int, int, int]  # left, top, right, bottom in pixels of ``picture``
    auto: float

    @classmethod
    def of(cls, text: str) -> "Row":
        """A row by its words on the command line."""
        found = ROW.fullmatch(text)
        if found is None:
            raise SystemExit(f"{text}: write [NAME=]FILE@FRAME:LEFT,TOP")
        file, number = Path(found["file"]), int(found["frame"])
        frames = list(true_frames(file, number + 1))
        if len(frames) <= number:
            raise SystemExit(f"{file} has {len(frames)} frames: name one from 0 on")
        left, top = int(found["left"]), int(found["top"])
        height, width = frames[number].shape[-2:]
        if left + CROP[0] > width or top + CROP[1] > height:
            raise SystemExit(f"{text}: the crop of {CROP[0]}x{CROP[1]} leaves {width}x{height}")
        x, y = max(0, left - MARGIN), max(0, top - MARGIN)
        part = frames[number][..., y : top + CROP[1] + MARGIN, x : left + CROP[0] + MARGIN]
        box = (left - x, top - y, left - x + CROP[0], top - y + CROP[1])
        return cls(found["name"] or file.stem, part, box, restore_for(probe(file).quantiser.qp))

    def cut(self, picture: Tensor, scale: int) -> Image.Image:
        """The crop of ``picture``, which is this one's enlarged ``scale`` times."""
        left, top, right, bottom = (side * scale for side in self.box)
        codes = (picture[0, :, top:bottom, left:right].clamp(0, 1) * 255).round().byte()
        return Image.fromarray(np.ascontiguousarray(codes.permute(1, 2, 0).numpy()))


def cells(row: Row, engines: dict[float, Engine], model: str) -> list[tuple[str, Image.Image]]:
    """Title and picture of each column."""
    size = (row.picture.shape[-2] * SCALE, row.picture.shape[-1] * SCALE)
    own = row.cut(row.picture, 1).resize(
        (CROP[0] * SCALE, CROP[1] * SCALE), Image.Resampling.NEAREST
    )
    made = [(row.name, own), ("bicubic", row.cut(BASELINES["bicubic"](row.picture, size), SCALE))]
    for wanted in STRENGTHS:
        strength = row.auto if wanted is None else wanted
        if strength not in engines:
            network = load_network(ModelOptions(model=model, restore=strength), "cpu")[1]
            engines[strength] = Engine(network, EngineOptions(device="cpu"))
        title = f"restore {strength:g}" if wanted is not None else f"auto: {strength:.2g}"
        made.append((title, row.cut(engines[strength](row.picture, size), SCALE)))
    return made


def main() -> None:
    """Draw the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sheet", type=Path)
    parser.add_argument("rows", nargs="+", metavar="[NAME=]FILE@FRAME:LEFT,TOP")
    parser.add_argument("--model", default="ciaosr-fast")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    engines: dict[float, Engine] = {}
    rows = [cells(Row.of(text), engines, arguments.model) for text in arguments.rows]
    wide, high = CROP[0] * SCALE + GAP, CROP[1] * SCALE + GAP + HEAD
    sheet = Image.new("RGB", (wide * len(rows[0]) - GAP, high * len(rows) - GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for down, row in enumerate(rows):
        for across, (title, picture) in enumerate(row):
            draw.text((across * wide + 2, down * high + 1), title, "black", font)
            sheet.paste(picture, (across * wide, down * high + HEAD))
    sheet.save(arguments.sheet)


if __name__ == "__main__":
    main()

"""Finds the parts of a frame that differ from the frame before: only they are computed.

Film has title cards, letterboxes and still drawings; screen recordings hardly change at all. A
colour depends only on the samples within the network's reach. So where these equal those of the
frame before, byte for byte, the computed picture is the same.
"""

from dataclasses import dataclass
from functools import reduce
from itertools import combinations, pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from ciaovideo.color import PixelLayout
from ciaovideo.tiling import Rect

BLOCK = 16  # LR px: changes are found in squares of this side
MOST_BOXES = 16  # more boxes are replaced by one around them all
WORTH = 0.9  # parts are computed if they and their halos cover less than this share of the frame
CHROMA_REACH = 4 + 8  # px: chroma is at most four times coarser, and filtered before and after
STEP = 4  # output px: parts begin at a whole chroma sample of any layout


@dataclass(frozen=True, slots=True)
class ChangeFinder:
    """Finds the parts of the output to compute, for frames of one layout and size.

    ``halo``: LR pixels around a pixel on which its colour depends. Sizes are (height, width).
    """

    layout: PixelLayout
    lr_size: tuple[int, int]
    out_size: tuple[int, int]
    halo: int

    def parts(
        self, planes: tuple[Tensor, ...], before: tuple[Tensor, ...] | None
    ) -> tuple[Rect, ...]:
        """Boxes of the output that cover every sample that may differ; empty for an equal picture.

        One box for the whole frame if computing it at once costs no more.
        """
        whole = (Rect(0, 0, *self.out_size),)
        if before is None:
            return whole
        frame = Rect(0, 0, *self.lr_size)
        boxes = _boxes(self._changed_blocks(planes, before))
        if len(boxes) > MOST_BOXES:
            boxes = [reduce(Rect.union, boxes)]
        parts = [_scaled(box, BLOCK).grown(self.halo + CHROMA_REACH, frame) for box in boxes]
        while pair := self._worth_joining(parts):
            parts = [part for part in parts if part not in pair]
            parts.append(pair[0].union(pair[1]))
        cost = sum(self._cost(part) for part in parts)
        return tuple(map(self._in_output, parts)) if cost < WORTH * frame.area else whole

    def _cost(self, part: Rect) -> int:
        """LR pixels that are computed: only the encoder reads a halo around the part."""
        frame = Rect(0, 0, *self.lr_size)
        return part.grown(self.halo // 2, frame).area

    def _changed_blocks(self, planes: tuple[Tensor, ...], before: tuple[Tensor, ...]) -> Tensor:
        """Whether any sample of each block changed in any plane: (rows, columns) of blocks."""
        rows, columns = (-(-side // BLOCK) for side in self.lr_size)
        changed = torch.zeros(rows, columns, dtype=torch.bool)
        for index, (now, then) in enumerate(zip(planes, before, strict=True)):
            if torch.equal(now, then):
                continue
            height, width = (BLOCK >> log2 for log2 in self.layout.plane_log2(index))
            short = columns * width - now.shape[1], rows * height - now.shape[0]
            squares = F.pad(now != then, (0, short[0], 0, short[1]))
            changed |= squares.view(rows, height, columns, width).any(3).any(1)
        return changed

    def _worth_joining(self, parts: list[Rect]) -> tuple[Rect, Rect] | None:
        """Two parts that cost no more as one."""
        for one, other in combinations(parts, 2):
            if self._cost(one.union(other)) <= self._cost(one) + self._cost(other):
                return one, other
        return None

    def _in_output(self, part: Rect) -> Rect:
        """The output samples of an LR box, grown to multiples of STEP."""
        (top, bottom), (left, right) = (
            (
                start * out // count // STEP * STEP,
                min(-(-stop * out // (count * STEP)) * STEP, out),
            )
            for start, stop, count, out in (
                (part.top, part.bottom, self.lr_size[0], self.out_size[0]),
                (part.left, part.right, self.lr_size[1], self.out_size[1]),
            )
        )
        return Rect(top, left, bottom, right)


def _scaled(box: Rect, factor: int) -> Rect:
    return Rect(box.top * factor, box.left * factor, box.bottom * factor, box.right * factor)


def _boxes(mask: Tensor) -> list[Rect]:
    """Boxes that cover all true values: runs of rows, joined with equal runs of the row above."""
    open_boxes: dict[tuple[int, int], Rect] = {}
    done: list[Rect] = []
    for row, line in enumerate(mask.tolist()):
        runs = _runs(line)
        done += [box for run, box in open_boxes.items() if run not in runs]
        open_boxes = {
            run: Rect(open_boxes[run].top if run in open_boxes else row, run[0], row + 1, run[1])
            for run in runs
        }
    return [*done, *open_boxes.values()]


def _runs(line: list[bool]) -> list[tuple[int, int]]:
    """[start, stop) of each run of true values."""
    edges = [at for at, (a, b) in enumerate(pairwise([False, *line, False])) if a != b]
    return list(zip(edges[::2], edges[1::2], strict=True))

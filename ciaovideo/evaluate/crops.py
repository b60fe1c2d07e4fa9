"""Crops of measured pictures: the same place by every method."""

from dataclasses import dataclass, field

import torch.nn.functional as F
from torch import Tensor

from ciaovideo.evaluate.baselines import interpolate
from ciaovideo.evaluate.protocol import Sample
from ciaovideo.media.pictures.webp import encode_webp
from ciaovideo.metrics.luma import luma

SIDE = 192  # HR px a side, less in smaller pictures
STEP = 8  # px between candidate places
CROPS = 4  # of each set
LR, TRUTH = "LR", "truth"


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """One place in a picture: ``views`` are WebP files by method, LR first and the truth last."""

    dataset: str
    name: str
    scale: float
    size: tuple[int, int]
    views: dict[str, bytes]


@dataclass(slots=True, eq=False)
class Gallery:
    """Collects crops during measuring: of a set's first pictures, and of a video's first frame."""

    scale: float
    _places: dict[tuple[str, str], list[tuple[int, int]]] = field(default_factory=dict)
    _views: dict[tuple[str, str, int], dict[str, Tensor]] = field(default_factory=dict)

    def add(self, dataset: str, method: str, sample: Sample, *, is_video: bool = False) -> None:
        """Keep a method's crops of a picture, if the picture is a selected one."""
        key = dataset, sample.name
        if key not in self._places:
            kept = sum(name == dataset for name, _ in self._places)
            if kept >= (1 if is_video else CROPS):
                return
            self._places[key] = busiest_places(sample, CROPS if is_video else 1)
        for number, place in enumerate(self._places[key]):
            views = self._views.setdefault((*key, number), {})
            if not views:
                size = (sample.hr.shape[-2], sample.hr.shape[-1])
                views[LR] = _cut(F.interpolate(sample.lr, size, mode="nearest-exact"), place)
                views[TRUTH] = _cut(sample.hr, place)
            views[method] = _cut(sample.sr, place)

    def crops(self) -> list[Crop]:
        """All crops, in the order of the sets."""
        return [
            _coded((dataset, name), self.scale, views)
            for (dataset, name, _), views in self._views.items()
        ]


def _coded(key: tuple[str, str], scale: float, views: dict[str, Tensor]) -> Crop:
    truth = views[TRUTH]
    order = [label for label in views if label != TRUTH]
    coded = {label: encode_webp(views[label]) for label in (*order, TRUTH)}
    return Crop(*key, scale, (truth.shape[-2], truth.shape[-1]), coded)


def _cut(picture: Tensor, place: tuple[int, int]) -> Tensor:
    top, left = place
    return picture[0, :, top : top + SIDE, left : left + SIDE].clone()


def busiest_places(sample: Sample, count: int) -> list[tuple[int, int]]:
    """Where bicubic interpolation has the largest error: (top, left) of disjoint crops.

    They do not depend on the method. At least one, at most ``count``.
    """
    height, width = sample.hr.shape[-2:]
    plain = interpolate(sample.lr, (height, width), kind="bicubic")
    lost = (luma(plain) - luma(sample.hr)).square()[:, None]  # (1, 1, H, W)
    means = F.avg_pool2d(lost, (min(SIDE, height), min(SIDE, width)), stride=STEP)[0, 0]
    places: list[tuple[int, int]] = []
    while len(places) < count:
        row, column = divmod(int(means.argmax()), means.shape[1])
        if means[row, column] < 0:
            break
        places.append((STEP * row, STEP * column))
        near = SIDE // STEP - 1
        means[max(0, row - near) : row + near + 1, max(0, column - near) : column + near + 1] = -1
    return places

"""zimg, VapourSynth's resizer: the other opinion on colour."""

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ciaovideo.color import ColorSpec, PixelLayout


class Zimg:
    """Conversions of single pictures by one of its filters, by VapourSynth's name of it."""

    def __init__(self, kernel: str = "Bilinear") -> None:
        self.kernel = kernel
        self.vs: Any = importlib.import_module("vapoursynth")

    def _format(self, layout: PixelLayout) -> Any:
        family = self.vs.GRAY if layout.family == "gray" else self.vs.YUV
        log2_y, log2_x = layout.log2_chroma
        integer = self.vs.INTEGER
        core = self.vs.core
        return core.query_video_format(family, integer, layout.bit_depth, log2_x, log2_y).id

    def _resize(self, clip: Any) -> Any:
        return getattr(clip.resize, self.kernel)

    def _clip(self, planes: Sequence[Tensor], pixel_format: Any, **props: int) -> Any:
        height, width = planes[0].shape[-2:]
        frame = self.vs.core.create_video_frame(pixel_format, width, height)
        for index, plane in enumerate(planes):
            np.copyto(np.asarray(frame[index]), plane.numpy())
        blank = self.vs.core.std.BlankClip(None, width, height, pixel_format, 1)
        clip = blank.std.ModifyFrame([blank], lambda n, f: frame)
        return clip.std.SetFrameProps(**props)

    def _planes(self, clip: Any) -> list[Tensor]:
        frame = clip.get_frame(0)
        return [torch.from_numpy(np.array(frame[p])) for p in range(frame.format.num_planes)]

    def to_rgb(self, planes: Sequence[Tensor], layout: PixelLayout, spec: ColorSpec) -> Tensor:
        """Planes (1, h_p, w_p) -> (1, 3, h, w)."""
        clip = self._clip(
            [plane[0] for plane in planes],
            self._format(layout),
            _Matrix=int(spec.matrix),
            _Range=spec.color_range - 1,
            _ChromaLocation=spec.siting - 1,
        )
        return torch.stack(self._planes(self._resize(clip)(format=self.vs.RGBS)))[None]

    def from_rgb(self, rgb: Tensor, layout: PixelLayout, spec: ColorSpec) -> list[Tensor]:
        """Floats rgb (1, 3, h, w) -> planes (1, h_p, w_p)."""
        clip = self._clip(list(rgb[0]), self.vs.RGBS, _Matrix=0)
        converted = self._resize(clip)(
            format=self._format(layout),
            matrix=int(spec.matrix),
            range=spec.color_range - 1,
            chromaloc=spec.siting - 1,
        )
        return [plane[None] for plane in self._planes(converted)]

"""One picture as planes in any layout, and what it shall become."""

from dataclasses import dataclass
from typing import final

from torch import Tensor

from ciaovideo.color import PlaneFormat


@final
@dataclass(frozen=True, slots=True)
class Picture:
    """One picture: a plane (h_p, w_p) for each component of its format, in the layout's order.

    ``out_format`` and ``out_size`` (height, width) say what it shall become: its own format and
    the size that the upscaler makes of it, where they are not given.
    """

    planes: tuple[Tensor, ...]
    format: PlaneFormat
    out_format: PlaneFormat | None = None
    out_size: tuple[int, int] | None = None

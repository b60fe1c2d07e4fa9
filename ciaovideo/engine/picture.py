"""One picture as planes in any layout, with the format and size of its result."""

from dataclasses import dataclass
from typing import final

from torch import Tensor

from ciaovideo.color import PlaneFormat


@final
@dataclass(frozen=True, slots=True)
class Picture:
    """One picture: a plane (h_p, w_p) for each component of its format, in the layout's order.

    ``out_format`` and ``out_size`` (height, width) are those of the result. The defaults are the
    picture's own format and the upscaler's size.
    """

    planes: tuple[Tensor, ...]
    format: PlaneFormat
    out_format: PlaneFormat | None = None
    out_size: tuple[int, int] | None = None

"""Options for the output's size."""

import math
from dataclasses import dataclass
from fractions import Fraction

from ciaovideo.config import opt
from ciaovideo.errors import OptionError, UnsupportedScaleError
from ciaovideo.notation import check_shape, fitting_sides, nearest_side, parse_size

MAX_SCALE = 30.0  # published networks of this family were measured up to this scale


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeOptions:
    """Output size. Give one of these; without any, the scale is 2."""

    scale: float | None = opt(None, "output side over input side, any number from 1 to 30", "S")
    size: str | None = opt(None, "exact output size, for example 1920x1080", "WxH")
    width: int | None = opt(None, "output width; the height follows", "PX")
    height: int | None = opt(None, "output height; the width follows", "PX")
    square_pixels: bool = opt(
        False, "resample to square pixels; sizes then follow the aspect ratio on screen"
    )

    pad: str | None = opt(
        None,
        "centre the enlarged picture in a black frame of this size; without another size the"
        " picture is as large as fits",
        "WxH",
    )

    def __post_init__(self) -> None:
        names = ("scale", "size", "width", "height")
        given = [name for name in names if getattr(self, name) is not None]
        if len(given) > 1:
            raise OptionError(f"{' and '.join(given)} contradict each other", "give only one")
        if self.scale is not None and not -math.inf < self.scale < math.inf:
            raise OptionError(f"scale must be finite, got {self.scale}", "for example 2.5")
        for text in (self.size, self.pad):
            if text is not None:
                parse_size(text)

    def padded(self, picture: tuple[int, int]) -> tuple[int, int]:
        """The output's (height, width) for a picture's; raises OptionError for a larger one."""
        if self.pad is None:
            return picture
        height, width = parse_size(self.pad)
        if picture[0] > height or picture[1] > width:
            raise OptionError(
                f"the picture of {picture[1]}x{picture[0]} does not fit into {self.pad}",
                "pad to a larger size, or omit the picture's size",
            )
        return height, width

    def resolve(
        self,
        height: int,
        width: int,
        *,
        even: bool | tuple[bool, bool] = False,
        sar: Fraction | None = None,
    ) -> tuple[int, int]:
        """The exact output (height, width) for an input of this height and width.

        ``even`` rounds derived sides (not explicit ones) to even numbers, both or each of (height,
        width), as encoders need for 4:2:0. ``sar``, the input's sample aspect ratio, counts only
        for square pixels: the scale then refers to the smallest square-pixel picture that has all
        of the input's rows and columns. Raises UnsupportedScaleError outside
        1 to 30 times the input, and OptionError for a size that would distort the picture.
        """
        stretch = sar if self.square_pixels and sar else Fraction(1)
        shape = height / min(stretch, Fraction(1)), width * max(stretch, Fraction(1))
        pair = (even, even) if isinstance(even, bool) else even
        target = self._target(shape, (height, width), pair)
        if self.square_pixels and self.size is not None:
            check_shape(target, shape)
        for name, new, old in (("height", target[0], height), ("width", target[1], width)):
            if new < old:
                raise UnsupportedScaleError(
                    f"the output {name} {new} is below the input's {old}",
                    "ask for a size at or above the input's",
                )
            if new > old * MAX_SCALE:
                raise UnsupportedScaleError(
                    f"the output {name} {new} is more than {MAX_SCALE:g} times the input's {old}",
                    f"ask for at most {int(old * MAX_SCALE)}",
                )
        return target

    def _target(
        self, shape: tuple[Fraction, Fraction], least: tuple[int, int], even: tuple[bool, bool]
    ) -> tuple[int, int]:
        """The output's sides from the input's shape on screen; ``least`` are its stored sides."""
        height, width = shape
        if self.size is not None:
            return parse_size(self.size)
        if self.width is not None:
            return nearest_side(height * self.width / width, least[0], even[0]), self.width
        if self.height is not None:
            return self.height, nearest_side(width * self.height / height, least[1], even[1])
        if self.pad is not None and self.scale is None:
            return fitting_sides(shape, parse_size(self.pad), even)
        scale = 2.0 if self.scale is None else self.scale
        if not 1 <= scale <= MAX_SCALE:
            raise UnsupportedScaleError(
                f"scale {scale} is outside 1 to {MAX_SCALE:g}",
                "to make a picture smaller, use a resizer"
                if scale < 1
                else f"ask for at most {MAX_SCALE:g}",
            )
        return (
            nearest_side(height * scale, least[0], even[0]),
            nearest_side(width * scale, least[1], even[1]),
        )

"""Rows and columns at the sides of a picture: a crop, or padding."""

from fractions import Fraction
from typing import NamedTuple, Self

from ciaovideo.color import PixelLayout


class Margins(NamedTuple):
    """Pixels at each side of a picture, none negative; false if all are zero."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0

    def __bool__(self) -> bool:
        return any(tuple(self))

    def __str__(self) -> str:
        """The sides with a margin, as text."""
        named = zip(tuple(self), ("top", "bottom", "left", "right"), strict=True)
        return ", ".join(f"{count} px at the {side}" for count, side in named if count)

    def inner(self, height: int, width: int) -> tuple[int, int]:
        """The (height, width) inside the margins of a picture of this size."""
        return height - self.top - self.bottom, width - self.left - self.right

    def outer(self, height: int, width: int) -> tuple[int, int]:
        """The (height, width) of a picture of this size with the margins added."""
        return height + self.top + self.bottom, width + self.left + self.right

    def fit(self, height: int, width: int) -> bool:
        """Whether they leave at least a pixel of a picture of this size."""
        return min(self.inner(height, width)) > 0

    def scaled(self, before: tuple[int, int], after: tuple[int, int]) -> Self:
        """The margins of a picture scaled from one (height, width) to another, in whole pixels."""
        down, across = (Fraction(new, old) for new, old in zip(after, before, strict=True))
        return type(self)(
            top=round(self.top * down),
            bottom=round(self.bottom * down),
            left=round(self.left * across),
            right=round(self.right * across),
        )

    def aligned(self, layout: PixelLayout, *, fields: bool = False) -> Self:
        """The margins rounded down to whole chroma samples at top and left.

        Otherwise chroma would shift. With ``fields``, rows keep their field as well.
        """
        rows, columns = (1 << log2 for log2 in layout.log2_chroma)
        rows *= 2 if fields else 1
        return self._replace(top=self.top // rows * rows, left=self.left // columns * columns)


NO_MARGINS = Margins()

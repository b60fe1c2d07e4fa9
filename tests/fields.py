"""Reading which field a picture was made of."""

from typing import Any

from numpy.typing import NDArray

from tests.media import read_counter


def read_field_counter(luma: NDArray[Any]) -> int:
    """The number of a picture of an interlaced clip, whose counter is a Gray code.

    A plain counter's lowest block flickers from field to field, which no deinterlacer can tell
    from two still pictures woven into one.
    """
    code = number = read_counter(luma)
    while code := code >> 1:
        number ^= code
    return number

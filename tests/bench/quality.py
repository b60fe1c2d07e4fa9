"""Which values of the encoders' own quality scales look alike: the table in ``media/codecs/table``.

``python tests/bench/quality.py CLIP...`` codes each clip (4:2:0, without loss: what an encoder gets
here is an enlarged picture, so make them with ``ciaovideo IN CLIP.mkv --codec ffv1``) at many
values with the encoders' default presets, and measures luma against what went in: the mean SSIM of
the frames as decibels, -10 log10(1 - SSIM), and their mean PSNR. For each crf of libx264 the table
gives the value of another encoder with the same SSIM: the median over the clips, the least and the
greatest, and the median by PSNR instead. Standard error gets a line for each coded clip.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.coded_quality import Quality, coded, read

REFERENCE = "libx264"
VALUES = {  # tried of each encoder
    REFERENCE: range(10, 35, 4),
    "libx265": range(6, 43, 6),
    "libsvtav1": (1, 3, 5, *range(7, 64, 8)),
}


def same(quality: Sequence[float], values: Sequence[float], wanted: float) -> float | None:
    """The value at which quality, falling from its best, is the wanted one; None where it never is.

    libsvtav1's is not best at its least value: 10 bits get worse below 7.
    """
    best = quality.index(max(quality))
    quality, values = quality[best:], values[best:]
    if not quality[-1] <= wanted <= quality[0]:
        return None
    return float(np.interp(wanted, quality[::-1], values[::-1]))


def table(found: dict[str, dict[str, list[Quality]]]) -> Iterator[str]:
    """The rows, of a result for each clip, encoder and value in ``VALUES``."""
    for codec in VALUES:
        if codec == REFERENCE:
            continue
        yield f"{codec:>10}   by SSIM (least to greatest)   by PSNR   clips"
        for place, crf in enumerate(VALUES[REFERENCE]):
            by: tuple[list[float], list[float]] = ([], [])
            for clip in found.values():
                for index, alike in enumerate(by):
                    falling = [quality[index] for quality in clip[codec]]
                    value = same(falling, list(VALUES[codec]), clip[REFERENCE][place][index])
                    alike += [] if value is None else [value]
            if by[0] and by[1]:
                yield (
                    f"{crf:>10}   {median(by[0]):7.2f} ({min(by[0]):5.2f} to {max(by[0]):5.2f})"
                    f"           {median(by[1]):7.2f}   {len(by[0]):5}"
                )


def main() -> None:
    """Measure, then print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("clips", type=Path, nargs="+")
    found: dict[str, dict[str, list[Quality]]] = {}
    for path in parser.parse_args().clips:
        info, frames = read(path)
        found[path.name] = {}
        for codec, values in VALUES.items():
            results = found[path.name][codec] = []
            for value in values:
                results.append(coded(info, frames, codec, value))
                words = " ".join(f"{number:.3f}" for number in results[-1])
                print(path.stem, codec, value, words, file=sys.stderr, flush=True)
    print("\n".join(table(found)))


if __name__ == "__main__":
    main()

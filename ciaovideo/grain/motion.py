"""How a picture moves as a whole from one frame to the next, in whole pixels."""

import torch
from torch import Tensor

SIDE = 512  # px: the middle of a picture that is looked at
CLEAR = 8.0  # standard deviations of the correlation of noise; its highest of SIDE^2 is 5


def global_shift(before: Tensor, after: Tensor) -> tuple[int, int]:
    """By how many px (down, right) luma (h, w) moves; (0, 0) where nothing is sure.

    By phase correlation: all that two frames have in common speaks, at whatever contrast.
    """
    height, width = (min(SIDE, side) for side in before.shape)
    top, left = (before.shape[0] - height) // 2, (before.shape[1] - width) // 2
    window = torch.outer(*(torch.hann_window(side, periodic=False) for side in (height, width)))
    spectra = []
    for luma in (before, after):
        middle = luma[top : top + height, left : left + width]
        spectra.append(torch.fft.rfft2((middle - middle.mean()) * window))
    shared = spectra[0].conj() * spectra[1]
    correlation = torch.fft.irfft2(shared / shared.abs().clamp(min=1e-9), s=(height, width))
    place = int(correlation.argmax())
    if float(correlation.flatten()[place]) * (height * width) ** 0.5 < CLEAR:
        return 0, 0
    down, right = divmod(place, width)
    return (down + height // 2) % height - height // 2, (right + width // 2) % width - width // 2


def overlap(before: Tensor, after: Tensor, shift: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The parts of two frames (h, w) that show the same, if the picture moved by that much."""
    pairs = []
    for sign, luma in ((1, before), (-1, after)):
        cut = luma
        for dim, by in enumerate(shift):
            skipped = max(0, -sign * by)
            cut = cut.narrow(dim, skipped, cut.shape[dim] - abs(by))
        pairs.append(cut)
    return pairs[0], pairs[1]

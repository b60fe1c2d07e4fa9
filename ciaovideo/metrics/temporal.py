"""Flicker, which metrics of single pictures do not measure."""

from torch import Tensor

from ciaovideo.metrics.luma import luma_pair


def temporal_error(sr: Tensor, hr: Tensor, *, border: int) -> Tensor:
    """Error of the changes from frame to frame: (T - 1,), 0 if they equal the true ones.

    sr and hr (T, 3, H, W) in [0, 1], consecutive frames. The mean over Y, without ``border``
    pixels, of |(sr[t] - sr[t - 1]) - (hr[t] - hr[t - 1])|, in codes of 8 bits (1/255). An error
    that stays is not counted; one that comes and goes is flicker. It is not in ``METRICS``, because
    it takes consecutive frames.
    """
    ours, true = luma_pair(sr, hr, border)
    drift: Tensor = (ours.diff(dim=0) - true.diff(dim=0)).abs().mean(dim=(-2, -1)) * 255
    return drift

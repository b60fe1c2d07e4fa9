"""How much a video flickers that should not: what single pictures cannot show."""

from torch import Tensor

from ciaovideo.metrics.luma import luma_pair


def temporal_error(sr: Tensor, hr: Tensor, *, border: int) -> Tensor:
    """How far changes from frame to frame are from the true changes: (T - 1,), 0 if they agree.

    sr and hr (T, 3, H, W) in [0, 1], consecutive frames. The mean over Y, without ``border``
    pixels, of |(sr[t] - sr[t - 1]) - (hr[t] - hr[t - 1])|, in steps of 8 bit (1/255). An error that
    stands still costs nothing; one that comes and goes is what the eye calls flicker. (No entry of
    ``METRICS``, because it looks at two frames.)
    """
    ours, true = luma_pair(sr, hr, border)
    drift: Tensor = (ours.diff(dim=0) - true.diff(dim=0)).abs().mean(dim=(-2, -1)) * 255
    return drift

"""Pictures as WebP files, which every browser shows."""

from fractions import Fraction

import av
from torch import Tensor


def encode_webp(picture: Tensor, quality: int | None = None) -> bytes:
    """A picture (3, H, W) in [0, 1] as a WebP file, rounded to 8 bit.

    Lossless without a ``quality`` of 0 to 100.
    """
    rgb = (picture.detach().cpu() * 255).round().clamp(0, 255).byte().permute(1, 2, 0).contiguous()
    lossless = quality is None
    context = av.CodecContext.create("libwebp", "w")
    context.height, context.width = rgb.shape[0], rgb.shape[1]
    context.pix_fmt = "bgra" if lossless else "yuv420p"
    context.time_base = Fraction(1, 25)
    context.options = {"lossless": "1"} if quality is None else {"quality": str(quality)}
    frame = av.VideoFrame.from_ndarray(rgb.numpy(), format="rgb24")
    frame = frame.reformat(format=context.pix_fmt)
    return b"".join(bytes(packet) for packet in (*context.encode(frame), *context.encode(None)))

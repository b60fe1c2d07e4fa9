"""How coarsely a video was quantised, which determines how much is restored.

The best source is the block quantisers that a decoder exports (H.264, MPEG-1, -2 and -4, VP9). The
next is the settings that an encoder wrote into the stream (x265). Otherwise the bits per pixel are
compared with how much the pictures have to code. All are converted to one scale, the quantiser
parameter of H.264, of which 6 more double the step: step = 0.625 * 2 ** (QP / 6) (ITU-T H.264,
8.5.9).
"""

import math
import re
from dataclasses import dataclass
from typing import Any, cast

import av
import numpy as np
import torch
from av.sidedata.encparams import VideoEncParams
from av.sidedata.sidedata import Type
from av.video.stream import VideoStream

from ciaovideo.media.source.header import codec_name

EXPORT = {"export_side_data": "venc_params"}  # makes decoders export their quantisers
VP9, H264, MPEG2 = 0, 1, 2  # AVVideoEncParamsType
STEP_AT_0 = 0.625
# Production codecs, whose artefacts are too small to restore.
INTERMEDIATE = frozenset({"prores", "dnxhd", "cfhd", "jpeg2000", "vc2", "dirac", "v210", "jpegxs"})
# Bits per pixel of H.264 over a codec's own at the same quality, for decoders that export no
# quantisers. Estimates, not measured here: an error of a factor of 1.5 moves the quantiser by 3.5,
# and the strength of restoring by 0.15 at most.
EFFICIENCY = {
    "hevc": 1.6, "av1": 1.9, "vvc": 2.3, "vp8": 0.95, "vc1": 0.9, "wmv3": 0.85, "wmv2": 0.65,
    "wmv1": 0.6, "rv40": 0.9, "rv30": 0.75, "theora": 0.7, "mjpeg": 0.25, "dvvideo": 0.3,
}  # fmt: skip
UNKNOWN = 0.7
# step = RATE * residual / bits per pixel; x264's own steps give 0.4 to 1.9, mostly near this.
RATE = 0.75
# Factor from a codec family's step to the step at which x264 has the same PSNR. Measured on the
# clip city at 352x288, with MPEG-2 and -4 at quantisers 3 and 6, and VP9 at crf 35.
AS_X264 = {MPEG2: 1.6, VP9: 0.5}
X265_OVER_X264 = 1.4  # crf of x265 over x264's of the same quality (see media/codecs/table.py)
QP_OVER_CRF = 6.4  # mean QP of I, P and B frames over x264's crf, at crf 18 to 33 (5.4 to 8)
DELTA_QP = 16  # byte offset in AVVideoBlockParams, after position and size
SETTING = re.compile(rb"(x26[45]).*? crf=([0-9]+(?:\.[0-9]+)?)", re.DOTALL)
LUMA_STEP = 2  # px between samples of the pictures that are measured


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantiserEvidence:
    """How a video was coded, from a sample of its frames.

    ``qp`` is the mean quantiser parameter on H.264's scale, None if the video is lossless or
    nothing is known; ``source`` names the evidence.
    """

    codec: str
    qp: float | None
    source: str

    def __str__(self) -> str:
        if self.qp is None:
            return f"{self.codec}, {self.source}"
        return f"{self.codec}, quantiser {self.qp:.0f} on H.264's scale ({self.source})"


def tell_quantisers(av_stream: VideoStream) -> None:
    """Make a decoder that has not started export the quantisers of its blocks.

    With frame threads, FFmpeg exports them before all are known.
    """
    av_stream.codec_context.thread_type = "SLICE"
    av_stream.codec_context.options = EXPORT


class QuantiserSample:
    """A sample of a video's frames, as evidence of how it was coded."""

    def __init__(self, av_stream: VideoStream) -> None:
        self._av_stream = av_stream
        self._quantisers: list[float] = []
        self._settings: float | None = None
        self._residuals: list[float] = []
        self._before: torch.Tensor | None = None

    def look(self, picture: av.VideoFrame) -> None:
        """Add one frame; frames are added in the order of the video, without gaps."""
        for block in picture.side_data.values():
            if isinstance(block, VideoEncParams):
                depth = picture.format.components[0].bits
                self._quantisers += _quantiser(block, depth)
            elif block.type is Type.SEI_UNREGISTERED and self._settings is None:
                found = SETTING.search(bytes(block))
                if found:
                    more = X265_OVER_X264 if found[1] == b"x265" else 0.0
                    self._settings = float(found[2]) - more + QP_OVER_CRF
        if not self._quantisers and self._settings is None:
            self._measure(picture)

    def evidence(self, bits_per_pixel: float | None) -> QuantiserEvidence:
        """The evidence of all frames; ``bits_per_pixel`` of the coded video, None if unknown."""
        codec = codec_name(self._av_stream)
        if lossless(self._av_stream):
            return QuantiserEvidence(codec=codec, qp=None, source="lossless")
        if codec in INTERMEDIATE:
            return QuantiserEvidence(codec=codec, qp=None, source="a production codec")
        if self._quantisers:
            qp = sum(self._quantisers) / len(self._quantisers)
            return QuantiserEvidence(codec=codec, qp=qp, source="from its blocks")
        if self._settings is not None:
            return QuantiserEvidence(codec=codec, qp=self._settings, source="the encoder's own crf")
        if bits_per_pixel and self._residuals:
            residual = sum(self._residuals) / len(self._residuals)
            worth = bits_per_pixel * EFFICIENCY.get(codec, UNKNOWN)
            qp = _qp(max(RATE * residual / worth, STEP_AT_0))
            source = f"from {bits_per_pixel:.3f} bits per pixel"
            return QuantiserEvidence(codec=codec, qp=min(max(qp, 10.0), 40.0), source=source)
        return QuantiserEvidence(codec=codec, qp=None, source="quantisers unknown")

    def _measure(self, picture: av.VideoFrame) -> None:
        """Measure how much of a picture has to be coded: the smaller of two mean differences.

        One is to the picture before, the other to the mean of each sample's neighbours.
        """
        luma = _luma(picture)
        before, self._before = self._before, luma
        if luma is None:
            return
        own = (luma[1:-1, 1:-1] * 2 - luma[1:-1, :-2] - luma[1:-1, 2:]).abs().mean().item() / 2
        if before is not None and before.shape == luma.shape:
            own = min(own, (luma - before).abs().mean().item())
        self._residuals.append(own)


def lossless(av_stream: VideoStream) -> bool:
    """Whether a codec is lossless: raw samples, or lossless and never lossy to FFmpeg."""
    descriptor = av.codec.Codec(av_stream.codec_context.codec.name, "r")
    return codec_name(av_stream) == "rawvideo" or (
        bool(descriptor.lossless) and not bool(descriptor.lossy)
    )


def _quantiser(block: VideoEncParams, depth: int) -> list[float]:
    """The mean quantiser parameter of a frame's luma on H.264's scale, in a list; may be empty."""
    kind = block.codec_type
    told = block.qp + _mean_difference(block)
    if kind == H264:  # with 6 more for each bit beyond 8
        return [told - 6 * (depth - 8)]
    if kind == MPEG2 and told > 0:  # twice the scale's code, the step of a weight of 16
        return [_qp(AS_X264[kind] * told)]
    if kind == VP9 and told > 0:
        return [_qp(AS_X264[kind] * _vp9_step(told))]
    return []


def _mean_difference(block: VideoEncParams) -> float:
    """The mean difference of the blocks' quantisers from the frame's; 0 without blocks.

    PyAV's ``qp_map`` needs blocks that cover the frame evenly, which those of fields do not.
    """
    if not block.nb_blocks:
        return 0.0
    first, size = block.blocks_offset, block.block_size
    blocks = np.frombuffer(cast(Any, block), np.uint8)[first : first + block.nb_blocks * size]
    differences = blocks.reshape(-1, size)[:, DELTA_QP : DELTA_QP + 4].copy().view(np.int32)
    return float(differences.mean())


def _vp9_step(index: float) -> float:
    """About the AC step of a VP9 quantiser index at 8 bits: even, then by 1.86 % (8.6.1)."""
    coefficient = index + 8 if index < 100 else 108 * math.exp(0.01825 * (index - 100))
    return coefficient / 8


def _qp(step: float) -> float:
    return 6 * math.log2(step / STEP_AT_0)


def _luma(picture: av.VideoFrame) -> torch.Tensor | None:
    """A subsample of the first plane, in steps of 8 bits; None for layouts without samples."""
    form = picture.format
    if not form.components or form.has_palette or form.is_bit_stream:
        return None
    bits = form.components[0].bits
    if bits > 16:  # floats
        return None
    plane = picture.planes[0]
    wide = bits > 8
    if plane.line_size < picture.width * (2 if wide else 1):
        return None
    samples = torch.frombuffer(plane, dtype=torch.uint16 if wide else torch.uint8)
    rows = samples.view(-1, plane.line_size // (2 if wide else 1))
    some = rows[: picture.height : LUMA_STEP, : picture.width].to(torch.float32)
    return some / 2.0 ** (bits - 8)

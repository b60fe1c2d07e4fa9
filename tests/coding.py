"""An encoder alone: what it is opened for, frames for it, and its packets."""

from fractions import Fraction

import torch

from ciaovideo.color import ColorSpec
from ciaovideo.media.codecs.choice import choose_codec
from ciaovideo.media.frame import Frame, VideoInfo
from ciaovideo.media.write.encoder import FrameEncoder, VideoTarget
from ciaovideo.options import EncodeOptions
from ciaovideo.storage.segments import CodedPacket
from tests.places import container_of

TICK = Fraction(1, 12800)
STEP = 512
HEIGHT, WIDTH = 48, 64


def target_for(codec: str, suffix: str = ".mp4") -> VideoTarget:
    preset = "ultrafast" if codec.startswith("libx26") else None
    options = EncodeOptions(codec=codec, preset=preset)
    choice = choose_codec(options, container_of(suffix), "yuv420p", HEIGHT, WIDTH)
    info = VideoInfo(
        path="",
        height=HEIGHT,
        width=WIDTH,
        pix_fmt="yuv420p",
        color=ColorSpec(),
        codec="",
        time_base=TICK,
        frame_rate=Fraction(25),
    )
    return VideoTarget.of(info, choice, (HEIGHT, WIDTH))


def frame(number: int) -> Frame:
    luma = torch.full((HEIGHT, WIDTH), 20 + 8 * number, dtype=torch.uint8)
    chroma = torch.full((HEIGHT // 2, WIDTH // 2), 128, dtype=torch.uint8)
    return Frame((luma, chroma, chroma), number * STEP, TICK, STEP)


def coded(encoder: FrameEncoder, count: int) -> list[CodedPacket]:
    packets = [packet for number in range(count) for packet in encoder.encode(frame(number))]
    return packets + encoder.flush()

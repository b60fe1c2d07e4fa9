"""Files whose sound begins late, so that their headers lack it."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np


def write_late_sound(
    path: Path,
    name: str,
    *,
    begin: int,
    seconds: int,
    width: int = 64,
    longer: bool = False,
    until: int | None = None,
    options: dict[str, str] | None = None,
) -> None:
    """A video of noise, whose pictures fill packets of their own, with sound from some second."""
    noise = np.random.default_rng(1)
    with av.open(path, "w", format=name, options=options or {}) as container:
        video: Any = container.add_stream("flv1" if name == "flv" else "mpeg2video", rate=25)
        video.width, video.height, video.pix_fmt = width, 48, "yuv420p"
        video.bit_rate = 2_000_000
        sound: Any = container.add_stream("mp3" if name == "flv" else "mp2", rate=44100)
        sound.layout = "mono"
        waiting = [
            packet
            for at in range(
                begin * 44100, (until or seconds) * 44100 + (4410 if longer else -22050), 1152
            )
            for packet in sound.encode(silence(at))
        ]
        for number in range(seconds * 25):
            picture = noise.integers(16, 235, (72, width), np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, "yuv420p")
            frame.pts = number
            container.mux(video.encode(frame))
            while waiting and waiting[0].pts * waiting[0].time_base <= number / 25:
                container.mux(waiting.pop(0))
        container.mux(video.encode(None))
        container.mux(waiting)


def silence(at: int) -> av.AudioFrame:
    """A thirtieth of a second, at a sample."""
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.int16), "s16p", "mono")
    frame.sample_rate, frame.pts, frame.time_base = 44100, at, Fraction(1, 44100)
    return frame

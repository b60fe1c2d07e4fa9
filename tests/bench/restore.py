"""What strength of restoring is best by coding, and what auto takes.

    python tests/bench/restore.py CLIP... [--codings h264:18,h264:23] [--frames 4]

Each clip of true frames is reduced by 2, coded into a file as people share it, and enlarged at
strengths from 0 to 0.6. A line gives PSNR on Y at each, auto's strength and PSNR, and how far that
is from the best. Lanczos is the line to stay above.
"""

import argparse
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
import torch
from av.video.stream import VideoStream
from torch import Tensor

from ciaovideo.color import from_rgb
from ciaovideo.data.pairs import crop_size, lr_size
from ciaovideo.engine.engine import Engine
from ciaovideo.engine.model_choice import load_network
from ciaovideo.evaluate.baselines import BASELINES
from ciaovideo.evaluate.clips import reduced, true_frames
from ciaovideo.evaluate.coded import COLOR, LAYOUT, Coding
from ciaovideo.evaluate.protocol import Upscale
from ciaovideo.media.read.probe import probe
from ciaovideo.metrics import METRICS
from ciaovideo.models.restoration import restore_for
from ciaovideo.options import EngineOptions, ModelOptions

SCALE = 2.0
STRENGTHS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
RATE = Fraction(25)
ENCODERS = {
    "h264": "libx264", "h265": "libx265", "vp9": "libvpx-vp9",
    "mpeg2": "mpeg2video", "mpeg4": "mpeg4",
}  # fmt: skip


def coded(lr: Tensor, coding: Coding, path: Path) -> None:
    """Write LR frames (T, 3, h, w) as a file that was coded so; ``clean`` is FFV1."""
    planes = [plane.to(torch.uint8).numpy() for plane in from_rgb(lr, LAYOUT, COLOR)]
    with av.open(path, "w") as file:
        stream = cast(VideoStream, file.add_stream(ENCODERS.get(coding.kind, "ffv1"), rate=RATE))
        stream.height, stream.width, stream.pix_fmt = lr.shape[-2], lr.shape[-1], "yuv420p"
        stream.options = dict[str, object](_settings(coding))
        for number in range(len(lr)):
            packed = np.concatenate([plane[number].reshape(-1) for plane in planes])
            picture = av.VideoFrame.from_ndarray(packed.reshape(-1, lr.shape[-1]), format="yuv420p")
            picture.pts, picture.time_base = number, 1 / RATE
            file.mux(stream.encode(picture))
        file.mux(stream.encode(None))


def _settings(coding: Coding) -> dict[str, str]:
    quality = str(coding.quality)
    if coding.kind in ("mpeg2", "mpeg4"):
        return {"qmin": quality, "qmax": quality, "bf": "2"}
    more = {"vp9": {"b": "0"}, "h265": {"x265-params": "log-level=none"}}.get(coding.kind, {})
    return {"crf": quality, **more} if coding.kind else {}


def psnr(enlarge: Upscale, lr: list[Tensor], hr: Tensor) -> float:
    """The mean over frames, on Y without the border."""
    size = (hr.shape[-2], hr.shape[-1])
    made = [enlarge(frame, size).clamp(0, 1) for frame in lr]
    values = [
        METRICS["psnr"](sr, true[None], border=round(SCALE)).item()
        for sr, true in zip(made, hr, strict=True)
    ]
    return sum(values) / len(values)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--codings", default="clean,h264:18,h264:23,h264:28,h264:33")
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--model", default="ciaosr-fast")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    options = EngineOptions(device="cpu")
    engines: dict[float, Engine] = {}

    def engine(strength: float) -> Engine:
        if strength not in engines:
            wanted = ModelOptions(model=arguments.model, restore=strength)
            engines[strength] = Engine(load_network(wanted, "cpu")[1], options)
        return engines[strength]

    print(
        "clip, coding: Lanczos |", *(f"{s:g}" for s in STRENGTHS), "| auto (strength), to the best"
    )
    for clip in arguments.clips:
        hr = torch.cat(list(true_frames(clip, arguments.frames)))
        height, width = crop_size((hr.shape[-2], hr.shape[-1]), SCALE, even=True)
        hr = hr[..., :height, :width]
        lr = reduced(hr, lr_size((height, width), SCALE))
        for text in arguments.codings.split(","):
            coding = Coding.of(text)
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "lr.mkv"
                coded(lr, coding, file)
                frames = [lr[n : n + 1] for n in range(len(lr))]
                if coding.kind:
                    frames = list(true_frames(file, None))
                auto = restore_for(probe(file).quantiser.qp)
            lanczos = psnr(BASELINES["lanczos"], frames, hr)
            found = {strength: psnr(engine(strength), frames, hr) for strength in STRENGTHS}
            chosen = found.get(auto) or psnr(engine(auto), frames, hr)
            swept = " ".join(f"{value:.2f}" for value in found.values())
            print(
                f"{clip.stem}, {coding}: {lanczos:.2f} | {swept} | {chosen:.2f} ({auto:g}),"
                f" {chosen - max(found.values()):+.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()

"""What a strength of restoring for each block could gain over one for the whole video, at most.

    python tests/bench/strength_map.py CLIP... [--codings h264:18,h264:23] [--frames 8]

Each clip is reduced by 2, coded, and enlarged at strengths from 0 to 0.6. A block is what a
macroblock becomes, 32x32 px. A line gives PSNR on Y (of all frames' squared errors) with the
strength that is best for all frames, then what is gained by the best for each quantiser, by the
best for each frame, and by the best for each block. All are chosen by the truth, which no run has:
they bound from above what a map of strengths drawn from the quantisers, or from anything, can gain.
"""

import argparse
import math
import tempfile
from pathlib import Path

import av
import numpy as np
import torch
import torch.nn.functional as F
from av.sidedata.encparams import VideoEncParams
from torch import Tensor

from ciaovideo.data.pairs import crop_size, lr_size
from ciaovideo.engine.engine import Engine
from ciaovideo.engine.model_choice import load_network
from ciaovideo.evaluate.clips import reduced, true_frames
from ciaovideo.evaluate.coded import Coding
from ciaovideo.media.inspect.quantisers import tell_quantisers
from ciaovideo.metrics.luma import luma
from ciaovideo.options import EngineOptions, ModelOptions
from tests.bench.restore import SCALE, STRENGTHS, coded

BLOCK = 32  # px that a macroblock becomes
BORDER = 2


def quantisers(file: Path) -> Tensor:
    """The quantiser of each macroblock of an H.264 file (T, rows, columns)."""
    maps = []
    with av.open(file) as container:
        stream = container.streams.video[0]
        tell_quantisers(stream)
        for picture in container.decode(stream):
            (told,) = (d for d in picture.side_data.values() if isinstance(d, VideoEncParams))
            maps.append(torch.from_numpy(np.asarray(told.qp_map()).astype(np.int64)))
    return torch.stack(maps)


def block_errors(engine: Engine, frames: list[Tensor], hr: Tensor) -> Tensor:
    """Squared errors on Y, summed over each block (T, rows, columns)."""
    size = (hr.shape[-2], hr.shape[-1])
    sums = []
    for frame, true in zip(frames, hr, strict=True):
        error = (luma(engine(frame, size).clamp(0, 1)) - luma(true[None])).square()
        error[..., :BORDER, :] = error[..., -BORDER:, :] = 0
        error[..., :BORDER] = error[..., -BORDER:] = 0
        error = F.pad(error, (0, -size[1] % BLOCK, 0, -size[0] % BLOCK))
        sums.append(F.avg_pool2d(error, BLOCK)[0] * BLOCK**2)
    return torch.stack(sums)


def least(errors: Tensor, groups: Tensor) -> float:
    """The sum of errors (strengths, N) where each group of N has the strength that suits it."""
    _, index = torch.unique(groups, return_inverse=True)
    sums = torch.zeros(len(errors), int(index.max()) + 1, dtype=torch.float64)
    sums.index_add_(1, index, errors.double())
    return sums.amin(0).sum().item()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--codings", default="h264:18,h264:23,h264:28,h264:33")
    parser.add_argument("--frames", type=int, default=8)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    engines = [
        Engine(load_network(ModelOptions(restore=strength), "cpu")[1], EngineOptions(device="cpu"))
        for strength in STRENGTHS
    ]
    print("clip, coding: PSNR, gain by quantiser, by frame, by block")
    for clip in arguments.clips:
        hr = torch.cat(list(true_frames(clip, arguments.frames)))
        size = crop_size((hr.shape[-2], hr.shape[-1]), SCALE, even=True)
        hr = hr[..., : size[0], : size[1]]
        lr = reduced(hr, lr_size(size, SCALE))
        pixels = len(hr) * (size[0] - 2 * BORDER) * (size[1] - 2 * BORDER)
        for text in arguments.codings.split(","):
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "lr.mkv"
                coded(lr, Coding.of(text), file)
                frames, qp = list(true_frames(file, None)), quantisers(file)
            errors = torch.stack([block_errors(one, frames, hr) for one in engines])
            frame = torch.arange(len(hr))[:, None, None].expand(qp.shape)
            groups = (0 * qp, qp, frame, torch.arange(qp.numel()).view(qp.shape))
            flat = errors.flatten(1)
            values = [-10 * math.log10(least(flat, g.reshape(-1)) / pixels) for g in groups]
            gains = ", ".join(f"{value - values[0]:+.3f}" for value in values[1:])
            print(f"{clip.stem}, {text}: {values[0]:.2f}, {gains}", flush=True)


if __name__ == "__main__":
    main()

"""``patch.paste`` fused for GPUs, in two kernels.

The first makes probabilities without storing scores: one pass over the places finds maximum and
sum of each pixel, a second computes the scores again and writes exp(score - maximum) / sum. The
other adds the nine probabilities of each diagonal as it reads them (pixel and place moved
together), and multiplies the sum with the values. ``patch.paste`` is the definition.

Per (pixel, place) pair at C = 64, scale 2: 2 * 288 + 256 = 832 multiplications, 1.66 kFLOP; one
probability of 2 bytes written, and read nine times, from cache but for the first. 960x540 in
windows of 48 + 2 * 8 has about 1.0e9 pairs: 1.7 TFLOP and about 4 GB, so the tensor cores bound
it, if the nine unaligned loads do not.
"""

import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor

from ciaovideo.ops.dispatch import device_of
from ciaovideo.ops.layers_triton import precision_of

PIXELS, PLACES, DEPTH = 64, 64, 32  # rows, columns and inner length of a product
CHANNELS = 128  # of the values, at most, in one program
WARPS, STAGES = 8, 2


def paste(query: Tensor, key: Tensor, value: Tensor, *, pairs: int) -> Tensor:
    """query (B, C, h, w), key (B, 9 C, places), value (B, V, h', w') -> (B, V, h, w).

    In bands of rows of at most ``pairs`` (pixel, place) pairs, unless one row has more.
    """
    batch, _, height, width = query.shape
    places = value.shape[-2] * value.shape[-1]
    step = max(1, pairs // (batch * width * places) - 2)
    framed = F.pad(query, (1, 1, 1, 1))
    key, value = key.contiguous(), value.contiguous()
    out = value.new_empty(batch, value.shape[1], height, width)
    for top in range(0, height, step):
        bottom = min(top + step, height)
        first, last = max(top - 1, 0), min(bottom + 1, height)
        patches = F.unfold(framed[..., first : last + 2, :], 3)
        chance = _probabilities(patches.contiguous(), key)
        _paste_band(chance, value, out, (top, bottom), first)
    return out


def _probabilities(patches: Tensor, key: Tensor) -> Tensor:
    """Softmax over places: patches (B, K, pixels), key (B, K, places) -> (B, pixels, places)."""
    batch, depth, pixels = patches.shape
    chance = patches.new_empty(batch, pixels, key.shape[-1])
    with device_of(patches):
        _softmax[(triton.cdiv(pixels, PIXELS), batch)](
            patches,
            key,
            chance,
            pixels,
            key.shape[-1],
            depth,
            PIXELS=PIXELS,
            PLACES=PLACES,
            DEPTH=DEPTH,
            PRECISION=precision_of(),
            num_warps=WARPS,
            num_stages=STAGES,
        )
    return chance


def _paste_band(
    chance: Tensor, value: Tensor, out: Tensor, band: tuple[int, int], first: int
) -> None:
    batch, channels, height, width = out.shape
    count = (band[1] - band[0]) * width
    kept = max(16, min(CHANNELS, triton.next_power_of_2(channels)))
    with device_of(out):
        _paste[(triton.cdiv(count, PIXELS), triton.cdiv(channels, kept), batch)](
            chance,
            value,
            out,
            chance.shape[1],
            count,
            band[0],
            first,
            height,
            width,
            *value.shape[-2:],
            channels,
            PIXELS=PIXELS,
            PLACES=DEPTH,
            CHANNELS=kept,
            PRECISION=precision_of(),
            num_warps=WARPS,
            num_stages=STAGES,
        )


@triton.jit
def _scores(
    patches, key, pixel, place, pixels, places, depth,
    PIXELS: tl.constexpr, PLACES: tl.constexpr, DEPTH: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    total = tl.zeros([PIXELS, PLACES], tl.float32)
    for start in range(0, depth, DEPTH):
        inner = start + tl.arange(0, DEPTH)
        inside = (pixel < pixels)[:, None] & (inner < depth)[None, :]
        patch = tl.load(patches + inner[None, :] * pixels + pixel[:, None], mask=inside, other=0.0)
        inside = (inner < depth)[:, None] & (place < places)[None, :]
        keys = tl.load(key + inner[:, None] * places + place[None, :], mask=inside, other=0.0)
        total = tl.dot(patch, keys, total, input_precision=PRECISION)
    return tl.where((place < places)[None, :], total, float("-inf"))


@triton.jit
def _softmax(
    patches, key, chance, pixels, places, depth,
    PIXELS: tl.constexpr, PLACES: tl.constexpr, DEPTH: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """PIXELS pixels of one picture against all places, twice."""
    picture = tl.program_id(1).to(tl.int64)
    patches += picture * depth * pixels
    key += picture * depth * places
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    most = tl.full([PIXELS], float("-inf"), tl.float32)
    total = tl.zeros([PIXELS], tl.float32)
    for start in range(0, places, PLACES):
        place = start + tl.arange(0, PLACES)
        score = _scores(
            patches, key, pixel, place, pixels, places, depth, PIXELS, PLACES, DEPTH, PRECISION
        )
        higher = tl.maximum(most, tl.max(score, axis=1))
        total = total * tl.exp(most - higher) + tl.sum(tl.exp(score - higher[:, None]), axis=1)
        most = higher
    target = chance + (picture * pixels + pixel)[:, None] * places
    for start in range(0, places, PLACES):
        place = start + tl.arange(0, PLACES)
        score = _scores(
            patches, key, pixel, place, pixels, places, depth, PIXELS, PLACES, DEPTH, PRECISION
        )
        probability = tl.exp(score - most[:, None]) / total[:, None]
        there = (pixel < pixels)[:, None] & (place < places)[None, :]
        tl.store(target + place[None, :], probability.to(chance.dtype.element_ty), mask=there)


@triton.jit
def _paste(
    chance, value, out, pixels, count, top, first, height, width, map_height, map_width, channels,
    PIXELS: tl.constexpr, PLACES: tl.constexpr, CHANNELS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """PIXELS pixels of a band, CHANNELS channels of the values, of one picture."""
    picture = tl.program_id(2).to(tl.int64)
    places = map_height * map_width
    own = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    y, x = top + own // width, own % width
    pixel = (picture * pixels + (y - first) * width + x)[:, None] * places
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    kept = channel < channels
    value += picture * channels * places
    total = tl.zeros([PIXELS, CHANNELS], tl.float32)
    for start in range(0, places, PLACES):
        place = start + tl.arange(0, PLACES)
        place_y, place_x = place // map_width, place % map_width
        box = tl.zeros([PIXELS, PLACES], tl.float32)
        for step in tl.static_range(9):
            dy, dx = step // 3 - 1, step % 3 - 1
            there = (own < count) & (y >= dy) & (y < height + dy) & (x >= dx) & (x < width + dx)
            seen = (place_y >= dy) & (place_y < map_height + dy) & (place < places)
            seen &= (place_x >= dx) & (place_x < map_width + dx)
            back = (dy * width + dx).to(tl.int64) * places + dy * map_width + dx
            at = chance + pixel + place[None, :] - back
            box += tl.load(at, mask=there[:, None] & seen[None, :], other=0.0).to(tl.float32)
        inside = (place < places)[:, None] & kept[None, :]
        values = tl.load(value + channel[None, :] * places + place[:, None], mask=inside, other=0.0)
        box = box.to(value.dtype.element_ty)
        total = tl.dot(box, values, total, input_precision=PRECISION)
    target = out + (picture * channels + channel)[None, :] * (height * width)
    target += (top * width + own)[:, None]
    there = (own < count)[:, None] & kept[None, :]
    tl.store(target, total.to(out.dtype.element_ty), mask=there)

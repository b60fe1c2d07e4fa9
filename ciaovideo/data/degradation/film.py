"""Degradations of film: faded dyes, flicker, gate weave, scratches, dust."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ciaovideo.data.degradation.draws import Draws
from ciaovideo.data.degradation.noise import LUMA
from ciaovideo.grid import constant

LIFT = (0.0, 0.12)  # of black, where dyes have faded
GAIN = (0.75, 1.0)  # of white, for each dye
GAMMA = (0.85, 1.2)
SATURATION = (0.3, 1.0)
SEPIA = (1.0, 0.87, 0.69)  # tint of toned black and white

SCRATCHES, SPECKS, HAIRS = 3, 5, 2  # the most on one picture


def fade(picture: Tensor, draws: Draws, *, monochrome: float = 0.0) -> Tensor:
    """Other tones: lifted blacks, dimmed whites, weak colours, a cast; each picture its own.

    With the probability ``monochrome`` no colour at all, half of these toned as sepia. It is the
    same for all pixels of a picture, and no neighbourhood shows how much: in training, targets
    get it too.
    """
    count = len(picture)
    column = (count, 1, 1, 1)
    luma = _luma(picture)
    saturation = draws.uniform(*SATURATION, count)
    gray = draws.chance(monochrome, count)
    saturation = saturation.masked_fill(gray, 0.0).view(column)
    made = torch.lerp(luma.expand_as(picture), picture, saturation).clamp(0, 1)
    made = made.pow(draws.uniform(*GAMMA, count).view(column))
    gains = draws.uniform(*GAIN, 3 * count).view(count, 3, 1, 1)
    plain = draws.uniform(*GAIN, count).view(column).expand(-1, 3, -1, -1)
    sepia = draws.chance(0.5, count).view(column)
    tint = torch.where(sepia, constant(SEPIA, picture).view(1, 3, 1, 1), plain)
    gains = torch.where(gray.view(column), tint, gains)
    lift = draws.uniform(*LIFT, count).view(column)
    return lift + (gains - lift).clamp(min=0.2) * made


def flicker(clip: Tensor, depth: Tensor, generator: torch.Generator, *, still: int = -1) -> Tensor:
    """Frames (B, T, 3, H, W) whose light varies from one to the next by ``depth`` (B,), as sigma.

    Half of it is the whole frame's, the other half a slope from top to bottom. The frame numbered
    ``still`` keeps its light.
    """
    batch, frames, _, height, _ = clip.shape
    whole, slope = torch.randn(2, batch, frames, generator=generator, device=clip.device)
    if still >= 0:
        whole[:, still] = slope[:, still] = 0
    y = torch.linspace(-1, 1, height, device=clip.device)
    light = (whole[..., None] + slope[..., None] * y) / math.sqrt(2)  # (B, T, H)
    gain: Tensor = 1 + depth[:, None, None] * light
    return clip * gain[:, :, None, :, None]


def displaced(picture: Tensor, offset: Tensor) -> Tensor:
    """Pictures (B, 3, H, W) moved by ``offset`` (B, 2) px down and right; borders are repeated."""
    batch, _, height, width = picture.shape
    size = constant([height, width], offset)
    theta = picture.new_zeros(batch, 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = 1
    theta[:, :, 2] = (-2 * offset / size).flip(1)  # its columns are x, y
    grid = F.affine_grid(theta, [batch, 1, height, width], align_corners=False)
    return F.grid_sample(picture, grid, mode="bicubic", padding_mode="border", align_corners=False)


def weave(clip: Tensor, amount: Tensor, generator: torch.Generator, *, still: int = -1) -> Tensor:
    """Frames (B, T, 3, H, W) that sit unsteadily in the gate: sigma ``amount`` (B,) px each way.

    The frame numbered ``still`` keeps its place.
    """
    batch, frames = clip.shape[:2]
    offset = amount[:, None, None] * torch.randn(
        batch, frames, 2, generator=generator, device=clip.device
    )
    if still >= 0:
        offset[:, still] = 0
    return displaced(clip.flatten(0, 1), offset.flatten(0, 1)).view_as(clip)


def scratches(picture: Tensor, draws: Draws, *, width: tuple[float, float] = (0.3, 0.9)) -> Tensor:
    """Vertical scratches, one to three on each picture: bright, dark or green-blue, wavering.

    ``width`` is the range of their half width, px. Bright ones lie in the emulsion, through which
    light then falls; dark ones on the base; colour film is hurt layer by layer.
    """
    batch, _, height, breadth = picture.shape
    count = batch * SCRATCHES
    y = torch.arange(height, device=picture.device) / height
    x = torch.arange(breadth, device=picture.device) + 0.5
    place = draws.uniform(0, breadth, count)[:, None]
    phase, waves = draws.uniform(0, 2 * math.pi, count), draws.uniform(0.2, 1.5, count)
    path = place + draws.uniform(-3, 3, count)[:, None] * y
    swing = (2 * math.pi * waves[:, None] * y + phase[:, None]).sin()
    path = path + draws.uniform(0, 1.2, count)[:, None] * swing
    across = (x - path[:, :, None]) / draws.uniform(*width, count)[:, None, None]
    start = draws.uniform(-0.5, 0.6, count)[:, None]
    length = draws.uniform(0.4, 1.5, count)[:, None]
    there = ((y - start) * 20).clamp(0, 1) * ((start + length - y) * 20).clamp(0, 1)
    depth = draws.uniform(0.25, 0.9, count)[:, None] * there
    mask = (-0.5 * across**2).exp() * depth[:, :, None]  # (count, H, W)
    shown = draws.below(SCRATCHES, batch)[:, None] >= torch.arange(SCRATCHES, device=x.device)
    mask = mask.view(batch, SCRATCHES, 1, height, breadth) * shown[:, :, None, None, None]
    color = _color_of_marks(draws, count).view(batch, SCRATCHES, 3, 1, 1)
    return _painted(picture, mask, color)


def dust(picture: Tensor, draws: Draws, *, radius: tuple[float, float] = (0.6, 3.0)) -> Tensor:
    """Specks (up to five) of irregular outline, and hairs (up to two); white or black.

    ``radius`` is the range of the specks', px. White is dust on the negative, black on the print.
    """
    batch, _, height, width = picture.shape
    device = picture.device
    y = torch.arange(height, device=device)[:, None] + 0.5
    x = torch.arange(width, device=device)[None, :] + 0.5
    size = height, width
    for make, most in ((_specks, SPECKS), (_hairs, HAIRS)):
        count = batch * most
        mask = make(draws, count, (y, x), size, radius)
        shown = draws.below(most + 1, batch)[:, None] > torch.arange(most, device=device)
        mask = mask.view(batch, most, 1, *size) * shown[:, :, None, None, None]
        bright = draws.chance(0.5, batch).to(picture.dtype).view(batch, 1, 1, 1, 1)
        color = (0.04 + 0.92 * bright).expand(-1, most, 3, -1, -1)
        picture = _painted(picture, mask, color)
    return picture


def _specks(
    draws: Draws,
    count: int,
    at: tuple[Tensor, Tensor],
    size: tuple[int, int],
    radius: tuple[float, float],
) -> Tensor:
    """Masks (count, H, W) of blobs whose radius varies with the angle."""
    y, x = _from_places(draws, count, at, size)
    angle, distance = torch.atan2(y, x), (y * y + x * x).sqrt()
    outline = torch.ones_like(angle)
    for lobes in (1, 2, 3, 5):
        weight = draws.uniform(0, 0.35, count)[:, None, None]
        phase = draws.uniform(0, 2 * math.pi, count)[:, None, None]
        outline = outline + weight * (lobes * angle + phase).cos()
    reach = draws.log_uniform(*radius, count)[:, None, None] * outline.clamp(min=0.2)
    return (reach - distance + 0.5).clamp(0, 1) * draws.uniform(0.6, 1, count)[:, None, None]


def _hairs(
    draws: Draws,
    count: int,
    at: tuple[Tensor, Tensor],
    size: tuple[int, int],
    radius: tuple[float, float],
) -> Tensor:
    """Masks (count, H, W) of thin arcs, up to fifteen times as long as specks are wide."""
    y, x = _from_places(draws, count, at, size)
    angle = draws.uniform(0, math.pi, count)[:, None, None]
    along = angle.cos() * x + angle.sin() * y
    across = angle.cos() * y - angle.sin() * x
    length = draws.uniform(3 * radius[1], 15 * radius[1], count)[:, None, None] / 2
    bend = draws.uniform(-0.5, 0.5, count)[:, None, None]
    off = (across - bend * along * along / length).abs()
    steep = (1 + (2 * bend * along / length) ** 2).sqrt()  # distances along the normal
    thin = draws.uniform(0.3, 0.8, count)[:, None, None]
    mask = (thin - off / steep + 0.5).clamp(0, 1) * (length - along.abs()).clamp(0, 1)
    return mask * draws.uniform(0.4, 0.9, count)[:, None, None]


def _from_places(
    draws: Draws, count: int, at: tuple[Tensor, Tensor], size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """How far each pixel lies from drawn places, px: y and x, (count, H, W) after broadcast."""
    return tuple(  # type: ignore[return-value]
        axis - draws.uniform(0, side, count)[:, None, None]
        for axis, side in zip(at, size, strict=True)
    )


def _color_of_marks(draws: Draws, count: int) -> Tensor:
    """White for half of them, black for three in ten, else green to cyan: (count, 3)."""
    kind = draws.uniform(0, 1, count)[:, None]
    white = torch.full((count, 3), 0.95, device=kind.device)
    cyan = white * constant([0.1, 1.0, 0.7], white)
    return torch.where(kind < 0.5, white, torch.where(kind < 0.8, 0.04 * white, cyan))


def _painted(picture: Tensor, mask: Tensor, color: Tensor) -> Tensor:
    """Marks (B, N, 1, H, W) of colours (B, N, 3, 1, 1), one over the other."""
    for number in range(mask.shape[1]):
        picture = torch.lerp(picture, color[:, number].expand_as(picture), mask[:, number])
    return picture


def _luma(picture: Tensor) -> Tensor:
    """BT.601 luma (B, 1, H, W)."""
    return (picture * constant(LUMA, picture).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)

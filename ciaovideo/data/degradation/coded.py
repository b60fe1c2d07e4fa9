"""Degradations of coded video without wear: a resize, 4:2:0, one codec.

For weights that remove codec artefacts and keep what cameras record: the same grain lies on patches
and targets, targets are not sharpened, and patches are predicted frames, not the clip's first one,
which is coded as a still.
"""

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from ciaovideo.config import opt
from ciaovideo.data.degradation import tape
from ciaovideo.data.degradation.blur import blur, gaussian_kernels, kernel_side, smooth
from ciaovideo.data.degradation.chain import Degraded, Range
from ciaovideo.data.degradation.draws import Draws
from ciaovideo.data.degradation.jpeg import jpeg
from ciaovideo.errors import OptionError

CLIP = 4  # frames; all but the first are taken
SPEED = 3.0  # px per frame at most, in three of ten patches none
# What reduces a picture, and how often. Scalers of video are bicubic or sharper; too many soft ones
# teach the network to sharpen what is sharp.
FILTERS: tuple[tuple[str, float], ...] = (("bicubic", 0.7), ("area", 0.2), ("bilinear", 0.1))
NEAR = 0.9  # px per frame at most, where two frames are seen
HALO_SIGMA = (0.6, 1.4)  # LR px, of the unsharp masks that others put on their video
HALO_WEIGHT = (0.2, 0.8)
# What coded it, how often, and from which qualities, half open. Constant rate factors as people
# share video, quantisers as on DVDs and in old .avi, libjpeg's qualities for what was a still.
CODEC_SHARES: tuple[tuple[str, float, tuple[int, int]], ...] = (
    ("h264", 0.45, (17, 35)),
    ("h265", 0.20, (20, 35)),
    ("mpeg2", 0.15, (2, 11)),
    ("mpeg4", 0.05, (2, 7)),
    ("vp9", 0.05, (30, 45)),
    ("jpeg", 0.10, (70, 96)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodedOptions:
    """Coding. How LR patches are coded as video; probabilities are per patch or group."""

    share: float = opt(0.0, "groups of patches that are coded; the others are only reduced", "P")
    resized: float = opt(0.35, "groups that went through a size in between, of coded ones", "P")
    between: Range = opt((0.75, 1.25), "height and width in between, over the patch's", "LOW,HIGH")
    blur_sigma: Range = opt((0.01, 0.3), "deviation of a lens's blur, LR pixels", "LOW,HIGH")
    halo: float = opt(0.1, "coded patches that were sharpened before coding", "P")
    twins: float = opt(0.0, "coded groups of which a second frame is seen, less than 1 px off", "P")
    grain: float = opt(0.4, "patches with grain, which lies on their targets, too", "P")
    grain_sigma: Range = opt((0.5, 6.0), "deviation of the grain, of 255", "LOW,HIGH")

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float) and not 0 <= value <= 1:
                raise OptionError(f"{field.name} {value} is not a probability", "use 0 to 1")
            if isinstance(value, tuple) and not 0 < value[0] <= value[1]:
                raise OptionError(f"{field.name} {value} is not a range", "write LOW,HIGH above 0")


class Coder:
    """Makes LR patches of ``patch`` px as they come out of video files, by ``options``.

    All draws come from the generator that a call is given.
    """

    def __init__(self, options: CodedOptions, patch: int) -> None:
        self.options = options
        self.patch = patch

    def __call__(self, crop: Tensor, side: Tensor, generator: torch.Generator) -> Degraded:
        """Crops (B, 3, S, S) in [0, 1], each ``side`` px (B,) of it, the rest its border."""
        options = self.options
        draws = Draws(generator, crop.device)
        coded = draws.happens(options.share)
        resized = coded and draws.happens(options.resized)
        lr = self._reduced(crop, side, draws, blurred=coded, resized=resized)
        natural = crop.clone()
        grainy = draws.some(options.grain, len(crop))
        for index in grainy.tolist():
            field = self._grain(lr[index : index + 1], draws)
            lr[index] += field[0]
            natural[index] += _enlarged(field, int(side[index]), crop.shape[-1])[0]
        twin, shift = None, (0.0, 0.0)
        if coded:
            lr = self._haloed(lr, draws).clamp(0, 1)
            if options.twins and draws.happens(options.twins):
                down, right = draws.uniform(-NEAR, NEAR, 2).tolist()
                lr, twin = self._coded(lr, draws, (down, right))
                shift = -down, -right  # of the frame before
            else:
                lr, _ = self._coded(lr, draws)
        natural = natural.clamp(0, 1)
        twin = None if twin is None else _stepped(twin)
        return Degraded(_stepped(lr), natural, natural, twin, shift)

    def _reduced(
        self, crop: Tensor, side: Tensor, draws: Draws, *, blurred: bool, resized: bool
    ) -> Tensor:
        """To the patch's size: at once, or through a size in between."""
        count = len(crop)
        kinds = draws.weighted([share for _, share in FILTERS], 2 * count).view(count, 2).tolist()
        between = draws.uniform(*self.options.between, 2 * count).view(count, 2) * self.patch
        sides = between.round().long().clamp(min=1).tolist()
        if blurred:
            sigma = draws.uniform(*self.options.blur_sigma, count) * (side / self.patch)
            both = sigma[:, None].expand(-1, 2)
            kernels = gaussian_kernels(
                both, torch.zeros_like(sigma), kernel_side(float(sigma.max()))
            )
            crop = blur(crop, kernels)
        made = []
        for index, own in enumerate(side.tolist()):
            picture = crop[index : index + 1, :, :own, :own]
            if resized:
                height, width = sides[index]
                picture = _resized(picture, (height, width), FILTERS[kinds[index][1]][0])
            made.append(_resized(picture, (self.patch, self.patch), FILTERS[kinds[index][0]][0]))
        return torch.cat(made)

    def _grain(self, patch: Tensor, draws: Draws) -> Tensor:
        """A field of the patch's shape, the same in all channels half of the time."""
        low, high = self.options.grain_sigma
        sigma = float(draws.log_uniform(low / 255, high / 255, 1))
        field = torch.randn(patch.shape, generator=draws.fields, device=patch.device) * sigma
        return field[:, :1].expand_as(field) if draws.happens(0.5) else field

    def _haloed(self, lr: Tensor, draws: Draws) -> Tensor:
        picked = draws.some(self.options.halo, len(lr))
        if len(picked):
            sigma = float(draws.uniform(*HALO_SIGMA, 1))
            weight = draws.uniform(*HALO_WEIGHT, len(picked))[:, None, None, None]
            lr[picked] = lr[picked] + weight * (lr[picked] - smooth(lr[picked], sigma))
        return lr

    def _coded(
        self, lr: Tensor, draws: Draws, speed: tuple[float, float] | None = None
    ) -> tuple[Tensor, Tensor]:
        """A later frame of a clip after one codec, and the frame before it; 4:2:0 in any case.

        A still after JPEG is both. ``speed`` is that of all pictures, in px per frame down and
        right; drawn for each where it is not given.
        """
        which = int(draws.weighted([share for _, share, _ in CODEC_SHARES], 1).item())
        kind, _, (best, worst) = CODEC_SHARES[which]
        quality = best + draws.number(worst - best)
        count, now = len(lr), 1 + draws.number(CLIP - 1)
        velocity = draws.uniform(-SPEED, SPEED, 2 * count).view(count, 2)
        velocity = velocity * draws.chance(0.7, count)[:, None]
        corner = draws.number(tape.BLOCK), draws.number(tape.BLOCK)
        if speed is not None:
            velocity = velocity.new_tensor(speed).expand(count, 2)
        if kind == "jpeg" and speed is None:
            qualities = torch.full((count,), float(quality), device=lr.device)
            return (jpeg(lr, qualities, subsampled=True),) * 2
        clip = tape.moving(lr, velocity, CLIP, now).clamp(0, 1)
        if kind == "jpeg":
            qualities = torch.full((2 * count,), float(quality), device=lr.device)
            both = jpeg(torch.cat([lr, clip[:, now - 1]]), qualities, subsampled=True)
            return both[:count], both[count:]
        made = tape.recompressed(clip, kind, quality, corner=corner)
        return made[:, now], made[:, now - 1]


def _stepped(lr: Tensor) -> Tensor:
    """In steps of 1/255."""
    return (lr.clamp(0, 1) * 255).round() / 255


def _resized(picture: Tensor, size: tuple[int, int], kind: str) -> Tensor:
    if kind == "area" and all(
        new <= old for new, old in zip(size, picture.shape[-2:], strict=True)
    ):
        return F.interpolate(picture, size, mode="area")
    mode = "bicubic" if kind == "area" else kind
    return F.interpolate(picture, size, mode=mode, align_corners=False, antialias=True)


def _enlarged(field: Tensor, side: int, room: int) -> Tensor:
    """A field of the LR patch on its HR crop, whose border is repeated up to ``room`` px."""
    made = F.interpolate(field, (side, side), mode="bicubic", align_corners=False)
    return F.pad(made, (0, room - side, 0, room - side), mode="replicate")

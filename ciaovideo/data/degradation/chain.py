"""All degradations in a row, with drawn parameters: HR crops in, degraded LR patches out."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from ciaovideo.config import opt
from ciaovideo.data.degradation import film, noise, tape
from ciaovideo.data.degradation.blur import blur, draw_kernels, kernel_side, sinc_kernels, unsharp
from ciaovideo.data.degradation.draws import Draws
from ciaovideo.data.degradation.jpeg import jpeg
from ciaovideo.data.degradation.resampling import BICUBIC, KINDS, resample
from ciaovideo.errors import OptionError

Range = tuple[float, float]

CLIP = 4  # frames, of what a codec sees
MONOCHROME = 0.4  # of the pictures that fade
SINC_CUTOFF = (1.05, 3.14)  # rad/px: a third of what a picture can hold, to all of it
GRAIN = (0.01, 0.06)  # deviation at middle gray
GRAY = 0.4  # of the pictures with noise: the same in all channels
QUALITIES = {"mpeg2": (2, 20), "h264": (20, 38), "dv": (0, 1)}  # drawn from these, half open


@dataclass(frozen=True, slots=True, kw_only=True)
class DegradationOptions:
    """Degradation. How LR patches are worn; probabilities are per patch unless stated otherwise.

    The ranges are those of Real-ESRGAN (arXiv 2107.10833, section 4.1) at scale 4, its lengths in
    LR pixels, so that they mean the same at every scale.
    """

    share: float = opt(0.0, "patches that are degraded; the others are plain bicubic", "P")
    twice: float = opt(0.8, "steps with a second blur, noise and JPEG", "P")
    shuffle: float = opt(0.5, "steps with blur, noise and JPEG in shuffled order", "P")
    blur: float = opt(0.9, "patches that are blurred, each time", "P")
    blur_sigma: Range = opt((0.05, 0.75), "deviation of the blurs, LR pixels", "LOW,HIGH")
    ringing: float = opt(0.3, "patches that pass a sinc filter at the end", "P")
    resize: Range = opt((0.6, 2.0), "side in between, over that of the LR patch", "LOW,HIGH")
    noise: float = opt(0.8, "patches with noise, each time; half of it Poisson's", "P")
    noise_sigma: Range = opt((1.0, 20.0), "deviation of the noise, of 255", "LOW,HIGH")
    jpeg: float = opt(0.5, "patches that pass JPEG, each time", "P")
    jpeg_quality: Range = opt((35.0, 95.0), "libjpeg's quality", "LOW,HIGH")
    fading: float = opt(0.3, "patches with other tones or none; their targets, too", "P")
    film: float = opt(0.4, "patches with grain; half of them with dust, half with scratches", "P")
    fields: float = opt(0.15, "patches with residual combing", "P")
    chroma: float = opt(0.3, "steps with subsampled chroma, where no codec does it", "P")
    codecs: float = opt(0.4, "steps whose patches pass MPEG-2, H.264 or DV as clips", "P")
    sharpen: float = opt(0.5, "weight of the unsharp mask on the targets; 0 leaves them", "W")

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float) and field.metadata["unit"] == "P" and not 0 <= value <= 1:
                raise OptionError(f"{field.name} {value} is not a probability", "use 0 to 1")
            if isinstance(value, tuple) and not 0 < value[0] <= value[1]:
                raise OptionError(f"{field.name} {value} is not a range", "write LOW,HIGH above 0")
        if not self.jpeg_quality[1] <= 100:
            raise OptionError(f"jpeg_quality {self.jpeg_quality} exceeds 100")
        if not self.sharpen >= 0:
            raise OptionError(f"sharpen {self.sharpen} is below 0")


@dataclass(frozen=True, slots=True, eq=False)
class Degraded:
    """LR patches (B, 3, p, p) in steps of 1/255, and the crops they come from (B, 3, S, S).

    ``natural`` crops have the tones of the patches, ``sharp`` ones are unsharp-masked, too.
    ``twin``, if there is one, is another frame of the same scene (B, 3, p, p), in which all lies
    ``shift`` LR pixels further down and right.
    """

    lr: Tensor
    natural: Tensor
    sharp: Tensor
    twin: Tensor | None = None
    shift: tuple[float, float] = (0.0, 0.0)


@dataclass(slots=True, eq=False)
class _Canvas:
    """Pictures of sides (B,) at the top left of (B, 3, S, S), and LR pixels' size there (B,)."""

    picture: Tensor
    side: Tensor
    patch: int

    @property
    def lr_pixel(self) -> Tensor:
        return self.side / self.patch


class Degrader:
    """Makes LR patches of ``patch`` px out of HR crops, by ``options``.

    What happens to each patch, and how strongly, is drawn for each; orders and codecs, for each
    call. All draws come from the generator that a call is given.
    """

    def __init__(self, options: DegradationOptions, patch: int) -> None:
        self.options = options
        self.patch = patch
        self.mid = round(patch * max(1.0, options.resize[1]))  # side of the canvas in between

    def __call__(self, crop: Tensor, side: Tensor, generator: torch.Generator) -> Degraded:
        """Crops (B, 3, S, S) in [0, 1], each ``side`` px (B,) of it, the rest its border."""
        options = self.options
        draws = Draws(generator, crop.device)
        natural = crop.clone()
        faded = draws.some(options.fading * options.share, len(crop))
        if len(faded):
            natural[faded] = film.fade(crop[faded], draws, monochrome=MONOCHROME)
        sharp = unsharp(natural, options.sharpen) if options.sharpen else natural
        whole = _Canvas(natural, side.to(natural.dtype), self.patch)
        lr = _resized(whole, self.patch, torch.full_like(side, BICUBIC)).picture
        picked = draws.some(options.share, len(crop))
        if len(picked):
            lr[picked] = self.degrade(natural[picked], side[picked], draws)
        return Degraded((lr.clamp(0, 1) * 255).round() / 255, natural, sharp)

    def degrade(self, crop: Tensor, side: Tensor, draws: Draws) -> Tensor:
        """The whole row: optics, film, a second generation, video. Patches (B, 3, p, p)."""
        options = self.options
        canvas = _Canvas(crop, side.to(crop.dtype), self.patch)
        count = len(crop)
        between = draws.log_uniform(*options.resize, count) * self.patch
        canvas = self._generation(canvas, between.clamp(max=self.mid), self.mid, draws)
        canvas.picture = self._film(canvas, draws)
        if draws.happens(options.twice):
            last = draws.uniform(0.8, 1.2, count) * self.patch
            last = last.clamp(max=self.mid)
            canvas = self._generation(canvas, last, self.mid, draws)
        canvas = _resized(canvas, self.patch, draws.below(KINDS, count))
        return self._video(self._ringing(canvas.picture, draws), draws)

    def _generation(self, canvas: _Canvas, side: Tensor, room: int, draws: Draws) -> _Canvas:
        """Blur, resize to ``side`` (B,) on a canvas of ``room`` px, noise, JPEG; or shuffled."""
        steps: list[Callable[[_Canvas, Draws], None]] = [self._blur, self._noise, self._jpeg]
        order = [0, 1, 2]
        if draws.happens(self.options.shuffle):
            order = draws.order(3)
        steps[order[0]](canvas, draws)
        aliased = draws.chance(0.25, len(side))
        kind = draws.below(KINDS, len(side))
        canvas = _resized(canvas, room, kind, side=side, aliased=aliased)
        for index in order[1:]:
            steps[index](canvas, draws)
        return canvas

    def _blur(self, canvas: _Canvas, draws: Draws) -> None:
        picked = draws.some(self.options.blur, len(canvas.side))
        if len(picked):
            low, high = (sigma * canvas.lr_pixel[picked] for sigma in self.options.blur_sigma)
            side = kernel_side(float(high.max()))
            kernels = draw_kernels(draws, (low, high), side)
            canvas.picture[picked] = blur(canvas.picture[picked], kernels)

    def _noise(self, canvas: _Canvas, draws: Draws) -> None:
        picked = draws.some(self.options.noise, len(canvas.side))
        low, high = (sigma / 255 for sigma in self.options.noise_sigma)
        poisson = len(picked) // 2
        for make, which in ((noise.poisson_noise, picked[:poisson]), (None, picked[poisson:])):
            if not len(which):
                continue
            strength = draws.log_uniform(low, high, len(which))
            gray = draws.chance(GRAY, len(which))
            pictures = canvas.picture[which]
            if make is not None:  # at middle gray, as strong as the other kind
                pictures = make(pictures, 0.5 / strength**2, gray, draws.fields)
            else:
                pictures = noise.gaussian_noise(pictures, strength, gray, draws.fields)
            canvas.picture[which] = pictures.clamp(0, 1)

    def _jpeg(self, canvas: _Canvas, draws: Draws) -> None:
        picked = draws.some(self.options.jpeg, len(canvas.side))
        if len(picked):
            quality = draws.uniform(*self.options.jpeg_quality, len(picked))
            subsampled = draws.number(4) > 0
            canvas.picture[picked] = jpeg(canvas.picture[picked], quality, subsampled=subsampled)

    def _film(self, canvas: _Canvas, draws: Draws) -> Tensor:
        """Grain, then marks, at the size the picture has now."""
        picked = draws.some(self.options.film, len(canvas.side))
        picture = canvas.picture
        if len(picked):
            count = len(picked)
            strength = draws.log_uniform(*GRAIN, count)
            size = draws.uniform(0.4, 1.0, count) * canvas.lr_pixel[picked].clamp(min=0.7)
            gray = draws.chance(0.6, count)
            picture[picked] = noise.grain(picture[picked], strength, size, gray, draws.fields)
        for mark in (film.dust, film.scratches):
            marked = picked[draws.some(0.5, len(picked))]
            if len(marked):
                picture[marked] = mark(picture[marked], draws)
        return picture.clamp(0, 1)

    def _ringing(self, picture: Tensor, draws: Draws) -> Tensor:
        picked = draws.some(self.options.ringing, len(picture))
        if len(picked):
            kernels = sinc_kernels(draws.uniform(*SINC_CUTOFF, len(picked)), 13)
            picture[picked] = blur(picture[picked], kernels).clamp(0, 1)
        return picture

    def _video(self, picture: Tensor, draws: Draws) -> Tensor:
        """Residual combing, then a codec on a drifting clip, or subsampled chroma alone."""
        count = len(picture)
        velocity = draws.uniform(-3, 3, 2 * count).view(count, 2)
        velocity = velocity * draws.chance(0.7, count)[:, None]
        picked = draws.some(self.options.fields, count)
        if len(picked):
            strength = draws.uniform(0.2, 1, len(picked))
            speed = draws.uniform(1, 8, len(picked)) * velocity[picked, 1].sign()
            speed = torch.stack([0.3 * velocity[picked, 0], speed + (speed == 0)], dim=1)
            made = tape.combed(picture[picked], speed, strength, first=draws.number(2))
            picture[picked] = made
        if draws.happens(self.options.codecs):
            return self._coded(picture.clamp(0, 1), velocity, draws)
        if draws.happens(self.options.chroma):
            kinds = sorted(tape.KINDS)
            return tape.subsample_chroma(picture, kinds[draws.number(len(kinds))])
        return picture

    def _coded(self, picture: Tensor, velocity: Tensor, draws: Draws) -> Tensor:
        kind = ("mpeg2", "h264", "mpeg2", "h264", "dv")[draws.number(5)]
        best, worst = QUALITIES[kind]
        quality = best + draws.number(worst - best)
        corner = draws.number(tape.BLOCK), draws.number(tape.BLOCK)
        now = draws.number(CLIP)
        clip = tape.moving(picture, velocity, CLIP, now)
        # The frame that is kept stays as it is: its neighbours make it hard to predict.
        weave, depth = draws.uniform(0, 0.6, len(picture)), draws.uniform(0, 0.08, len(picture))
        clip = film.weave(clip, weave, draws.fields, still=now)
        clip = film.flicker(clip, depth, draws.fields, still=now).clamp(0, 1)
        if kind == "dv":
            clip, now = picture[:, None], 0  # each frame is coded for itself
        return tape.recompressed(clip, kind, quality, corner=corner)[:, now]


def _resized(
    canvas: _Canvas,
    room: int,
    kind: Tensor,
    *,
    side: Tensor | None = None,
    aliased: Tensor | None = None,
) -> _Canvas:
    """On a canvas of ``room`` px, which without ``side`` (B,) it fills."""
    if side is None:
        side = torch.full_like(canvas.side, room)
    picture = resample(canvas.picture, canvas.side, side, room, kind=kind, aliased=aliased)
    return _Canvas(picture, side, canvas.patch)

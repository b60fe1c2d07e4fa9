"""Renders planes of one format as larger planes of another: every frame and picture.

Opacity is enlarged by the network as a gray picture, and apart from the colours. Measured on mattes
drawn 8 times finer and halved to 96x96, at x2 with ciaosr-fast, PSNR of the matte: a disc 42.2 dB
(bicubic 30.4, bilinear 28.4), letters 39.1 (25.8, 24.1), hair 22.0 (15.5, 14.0), a soft ramp 59.3
(55.6, 58.6); of a textured disc laid over a background, 45.9 dB where bicubic opacity with the
network's colours gives 36.1, since edges of the two then differ in sharpness. Files do not state
whether colours are premultiplied; both kinds are enlarged as they are. In straight alpha the
colours of invisible pixels matter: black there darkens the edge (38.6 dB), as in every resizer that
works this way (bicubic 34.6).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ciaovideo.color import ColorSpec, Dither, PlaneFormat, from_rgb, to_rgb
from ciaovideo.engine.engine import Engine
from ciaovideo.grid import placed
from ciaovideo.tiling import Rect

type Planes = tuple[Tensor, ...]
"""One picture: a plane (h_p, w_p) for each component, in the layout's order, opacity last."""

type Enlarge = Callable[[Tensor, Rect | None], Tensor]
"""R'G'B' (B, 3, h, w) to that of a part of the output, or of all of it."""

MARGIN = 8  # output px around a part that the chroma filter may read; a multiple of any chroma's


class Renderer:
    """Colour to R'G'B', network, colour back, with copies to and from the device.

    Planes return to the device that they came from. Opacity is enlarged separately if source and
    target have it. ``dither`` is ordered, for integer codes. Safe to call from several threads, on
    a GPU each with its own CUDA stream (``workers.py``): there a call synchronises once, at its
    end.
    """

    def __init__(
        self, engine: Engine, source: PlaneFormat, target: PlaneFormat, *, dither: bool = False
    ) -> None:
        self.engine = engine
        self.source = source
        self.target = target
        self.dither = dither

    def of(self, color: ColorSpec | None) -> "Renderer":
        """A renderer whose output has the colour tags ``color`` (resolved); None: the source's."""
        if color is None or color == self.source.color:
            return self
        return Renderer(
            self.engine, replace(self.source, color=color), self.target, dither=self.dither
        )

    def render(self, planes: Planes, out_size: tuple[int, int], part: Rect | None = None) -> Planes:
        """One picture at ``out_size`` (height, width), or a ``part`` of it in output px.

        Planes of a part hold its ``halved`` boxes. Raises the engine's errors.
        """
        if part is not None:
            return self.render_parts(planes, out_size, (part,))[0]
        if self.source.opacity:
            return self._finite(out_size, lambda enlarge: self._gray(enlarge, planes, out_size))
        lr = self._upload(planes)
        return self._finite(
            out_size,
            lambda enlarge: self._home(
                self._encoded(enlarge, enlarge(lr, None), planes, out_size), planes[0].device
            ),
        )

    def render_into(
        self, out: Sequence[Planes], pictures: Sequence[Planes], out_size: tuple[int, int]
    ) -> None:
        """Render pictures of one size as one batch, each into given planes in CPU memory."""
        lr = torch.cat([self._upload(planes) for planes in pictures])

        def fill(enlarge: Enlarge) -> None:
            rgb = enlarge(lr, None).split(1)
            for targets, planes, picture in zip(out, pictures, rgb, strict=True):
                self._encoded(enlarge, picture, planes, out_size, out=targets)

        self._finite(out_size, fill)

    def render_parts(
        self, planes: Planes, out_size: tuple[int, int], parts: Sequence[Rect]
    ) -> list[Planes]:
        """Parts of one picture, as ``render`` makes them, with one synchronisation on a GPU."""
        lr = self._upload(planes)

        def cut(enlarge: Enlarge) -> list[Planes]:
            return [self._part(enlarge, lr, planes, out_size, part) for part in parts]

        return self._finite(out_size, cut)

    @torch.inference_mode()
    def _finite[R](self, out_size: tuple[int, int], make: Callable[[Enlarge], R]) -> R:
        """The network's results; computed again in fp32 where a value was not finite."""
        with self.engine.failed_twins.noted():
            return self._finite_noted(out_size, make)

    def _finite_noted[R](self, out_size: tuple[int, int], make: Callable[[Enlarge], R]) -> R:
        finite: list[Tensor] = []

        def enlarge(lr: Tensor, part: Rect | None) -> Tensor:
            sr, good = self.engine.start(lr, out_size, part)
            finite.append(good)
            return sr

        made = make(enlarge)
        # On a GPU, reading it waits for all work begun before.
        if not finite or bool(torch.stack(finite).all() if len(finite) > 1 else finite[0]):
            return made
        made = make(lambda lr, part: self.engine.exact(lr, out_size, part))
        if self.engine.device.type == "cuda":
            torch.cuda.current_stream(self.engine.device).synchronize()
        return made

    @torch.inference_mode()
    def _upload(self, planes: Planes) -> Tensor:
        """A picture as rgb (1, 3, h, w) on the engine's device."""
        colors = self.source.opaque
        sent = [_sent(plane, self.engine.device)[None] for plane in planes]
        count = len(planes) - self.source.layout.alpha
        with self.engine.failed_twins.noted():
            return to_rgb(sent[:count], colors.layout, colors.color, dtype=colors.dtype)

    def _encoded(
        self,
        enlarge: Enlarge,
        rgb: Tensor,
        planes: Planes,
        out_size: tuple[int, int],
        *,
        read: Rect | None = None,
        out: Planes | None = None,
    ) -> Planes:
        """R'G'B' (1, 3, H, W) and the picture's opacity as planes, on the device or in ``out``.

        From a GPU the copies are still running. With ``read``, only that part of the output.
        """
        colors = self.target.opaque
        origin = (read.top, read.left) if read else (0, 0)
        direct: list[Tensor] | None = None
        if out is not None and rgb.device == out[0].device:
            direct = [plane[None] for plane in out[: len(out) - self.target.layout.alpha]]
        made = list(
            from_rgb(
                rgb,
                colors.layout,
                colors.color,
                dtype=colors.dtype,
                out=direct,
                dither=Dither(origin) if self.dither else None,
            )
        )
        if self.target.layout.alpha:
            made.append(self.enlarge_opacity(enlarge, planes[-1], out_size, read))
        if out is None:
            return tuple(plane[0].contiguous() for plane in made)
        for target, plane in list(zip(out, made, strict=True))[len(direct or ()) :]:
            target.copy_(plane[0], non_blocking=True)
        return out

    def _part(
        self,
        enlarge: Enlarge,
        lr: Tensor,
        planes: Planes,
        out_size: tuple[int, int],
        part: Rect,
    ) -> Planes:
        """A part, cut from a slightly larger part of the output, which the chroma filter reads."""
        read = part.grown(MARGIN, Rect(0, 0, *out_size))
        made = self._encoded(enlarge, enlarge(lr, read), planes, out_size, read=read)
        own = []
        for index, plane in enumerate(made):
            log2 = self.target.layout.plane_log2(index)
            origin = read.halved(log2)
            own.append(plane[part.halved(log2).moved(-origin.top, -origin.left).slices])
        return self._home(tuple(own), planes[0].device)

    def _gray(self, enlarge: Enlarge, planes: Planes, out_size: tuple[int, int]) -> Planes:
        """A picture that is opacity alone."""
        plane = self.enlarge_opacity(enlarge, planes[0], out_size)
        return self._home((plane[0].contiguous(),), planes[0].device)

    def enlarge_opacity(
        self, enlarge: Enlarge, plane: Tensor, out_size: tuple[int, int], part: Rect | None = None
    ) -> Tensor:
        """Opacity (h, w) -> (1, H, W) in the target's format, floats clamped to [0, 1].

        With a ``part`` only that of the result, in output px. A plane of one value, as most are,
        stays one without the network: opaque to the last code. In CPU memory this is checked
        without a GPU synchronisation; the result stays on the device that made it.
        """
        source, target = (
            kind if kind.opacity else PlaneFormat.of_opacity(kind.layout, kind.dtype)
            for kind in (self.source, self.target)
        )
        value = plane[:1, :1]
        flat = bool((plane == value).all())
        plane = (value if flat else placed(plane, self.engine.device))[None]
        rgb = to_rgb([plane], source.layout, source.color, dtype=source.dtype)
        rgb = rgb if flat else enlarge(rgb, part)
        (made,) = from_rgb(rgb, target.layout, target.color, dtype=target.dtype)
        if made.is_floating_point():
            made = made.clamp(0, 1)
        size = (part.height, part.width) if part else out_size
        return made.expand(1, *size) if flat else made

    def _home(self, planes: Planes, device: torch.device) -> Planes:
        """The planes on a device; from a GPU they are copied asynchronously, to pinned memory."""
        pinned = self.engine.device.type == "cuda" and device.type == "cpu"
        return tuple(
            plane
            if plane.device == device
            else torch.empty(
                plane.shape, dtype=plane.dtype, device=device, pin_memory=pinned
            ).copy_(plane, non_blocking=True)
            for plane in planes
        )


def _sent(plane: Tensor, device: torch.device) -> Tensor:
    """The plane on a device; to a GPU it is copied asynchronously, through pinned memory."""
    if device.type == "cuda" and plane.device.type == "cpu" and not plane.is_pinned():
        plane = torch.empty(plane.shape, dtype=plane.dtype, pin_memory=True).copy_(plane)
    return plane.to(device, non_blocking=True)

"""The filter: each frame goes to the library as a ``Picture`` and comes back as one."""

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import vapoursynth as vs
from ciaovideo import Picture, PlaneFormat, Upscaler
from ciaovideo.errors import CiaoVideoError, OptionError
from ciaovideo.options import Precision

from vsciaovideo.frames import (
    alpha_format,
    layout_of,
    read_planes,
    set_props,
    source_format,
    target_format,
    write_planes,
)


def upscale(
    clip: vs.VideoNode,
    scale: float | None = None,
    *,
    width: int | None = None,
    height: int | None = None,
    model: str = "auto",
    weights: str | Path | None = None,
    device: str = "auto",
    num_streams: int = 2,
    tile: int | None = None,
    precision: Precision = "auto",
    format: int | vs.VideoFormat | None = None,
) -> vs.VideoNode:
    """Enlarge a clip: frame n in is frame n out, properties kept.

    ``scale`` is any number from 1 to 30, 2 if nothing is given; or give ``width``, ``height`` or
    both. ``format`` is the output's, the input's if not given. ``num_streams`` frames are computed
    at once, on a GPU each in its own CUDA stream. Every frame depends on its own input alone, so
    frames may be asked for in any order. Raises vs.Error.
    """
    if not isinstance(clip, vs.VideoNode):
        raise vs.Error(f"upscale: {clip!r} is no clip: give a vs.VideoNode")
    with _vs_errors():
        _check_whole(width=width, height=height, num_streams=num_streams, tile=tile)
        exact = (height, width) if height is not None and width is not None else None
        upscaler = Upscaler(
            model,
            weights=weights,
            scale=scale,
            size=exact,
            width=None if exact else width,
            height=None if exact else height,
            device=device,
            precision=precision,
            tile=tile or 0,
            workers=num_streams,
        )
        render = _Render(upscaler, format)
        with clip.get_frame(0) as first:  # what is wrong with the clip is said now
            render.plan(first)
        canvas = render.canvas(clip)
    # A node calls its function for one frame at a time. One node more than streams: a frame is
    # fetched or stored while others are computed.
    nodes = [canvas.std.ModifyFrame(clip, render) for _ in range(num_streams + 1)]
    return canvas.std.FrameEval(lambda n: nodes[n % len(nodes)], clip_src=nodes)


class _Render:
    """Makes an output frame of an input frame; called from several threads."""

    def __init__(self, upscaler: Upscaler, wanted: int | vs.VideoFormat | None) -> None:
        self._upscaler = upscaler
        self._wanted = None if wanted is None else vs.core.get_video_format(wanted)
        if self._wanted is not None and self._wanted.id == vs.NONE:
            raise OptionError(f"there is no format {wanted!r}", "for example vs.YUV420P10")
        self._told = False

    def __call__(self, n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        with _vs_errors(f"frame {n}: "):
            source, target, out_size = self.plan(f)
            made = self._upscaler.submit(Picture(read_planes(f), source, target, out_size))
            alpha = f.props.get("_Alpha")
            if isinstance(alpha, vs.VideoFrame):
                opacity = self._upscaler.submit(
                    Picture(read_planes(alpha), alpha_format(alpha), None, out_size)
                )
            frame = vs.core.create_video_frame(self._wanted or f.format, *reversed(out_size))
            write_planes(frame, made.result().planes)
            set_props(frame, f, target)
            if isinstance(alpha, vs.VideoFrame):
                enlarged = vs.core.create_video_frame(alpha.format, *reversed(out_size))
                write_planes(
                    enlarged,
                    [
                        plane.clamp(0, 1) if plane.is_floating_point() else plane
                        for plane in opacity.result().planes
                    ],
                )
                enlarged.props.update(alpha.props)
                frame.props["_Alpha"] = enlarged
        return frame

    def plan(self, frame: vs.VideoFrame) -> tuple[PlaneFormat, PlaneFormat, tuple[int, int]]:
        """What goes in, what comes out, and its (height, width); raises CiaoVideoError."""
        source, guess = source_format(frame)
        if guess and not self._told:
            self._told = True
            vs.core.log_message(vs.MESSAGE_TYPE_WARNING, f"upscale: {guess}")
        video_format = self._wanted or frame.format
        out_size = self._out_size(frame.height, frame.width, video_format)
        return source, target_format(source, video_format, out_size), out_size

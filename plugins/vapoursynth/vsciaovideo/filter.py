"""The filter: each frame goes to the library as a ``Picture`` and comes back as one."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from numbers import Real
from pathlib import Path
from typing import Any

import vapoursynth as vs

from ciaovideo import Picture, PlaneFormat, Upscaler
from ciaovideo.errors import CiaoVideoError, OptionError
from ciaovideo.options import Precision
from vsciaovideo.frames import (
    alpha_picture,
    layout_of,
    new_alpha,
    new_frame,
    read_planes,
    set_props,
    source_format,
    target_format,
)

MAX_SIDE = 999_999  # px: the library's limit


def upscale(
    clip: vs.VideoNode,
    scale: float | None = None,
    *,
    width: int | None = None,
    height: int | None = None,
    model: str = "auto",
    weights: str | Path | None = None,
    restore: float = 0.0,
    device: str = "auto",
    num_streams: int | None = None,
    tile: int | None = None,
    precision: Precision = "auto",
    format: int | vs.VideoFormat | None = None,
    deterministic: bool = False,
    consistent: bool = False,
) -> vs.VideoNode:
    """Enlarge a clip: frame n of the output is frame n of the input, with its properties.

    ``scale`` is any number from 1 to 30, by default 2; or give ``width``, ``height`` or both.
    ``restore`` goes from 0 (faithful) over 0.5 (codec artefacts removed) to 1 (worn film and tape
    repaired). ``format`` is the output's, by default the input's. ``num_streams`` frames are
    computed at once: by default three on a GPU, each in its own CUDA stream, or one per CPU core.
    ``deterministic`` gives the same bits in every run, regardless of free memory. A ``consistent``
    frame, reduced again by bicubic, equals the input's. Each frame depends only on its own input.
    Raises vs.Error.
    """
    with _vs_errors():
        _check(vs.VideoNode, "give a clip", clip=clip)
        _check_sides(width=width, height=height)
        _check(int | None, "give a whole number", num_streams=num_streams, tile=tile)
        _check(Real | None, "give a number", scale=scale, restore=restore)
        _check(str, "give a name", model=model, device=device, precision=precision)
        _check(str | Path | None, "give a path", weights=weights)
        _check(bool, "give True or False", deterministic=deterministic, consistent=consistent)
        upscaler = Upscaler(
            model,
            weights=weights,
            restore=restore,
            scale=scale,
            **_sides(width, height),
            device=device,
            precision=precision,
            tile=tile or 0,
            workers=num_streams,
            deterministic=deterministic,
            consistent=consistent,
        )
        render = _Render(upscaler, format)
        return _in_turns(clip, render.canvas(clip), render, upscaler.workers + 1)


def _in_turns(
    clip: vs.VideoNode, canvas: vs.VideoNode, render: "_Render", count: int
) -> vs.VideoNode:
    """The clip rendered by ``count`` nodes in turn.

    A node calls its function for one frame at a time, so nodes take turns. One node more than
    streams: a frame is fetched or stored while others are computed.
    """
    count = min(count, clip.num_frames)
    if count == 1:
        return canvas.std.ModifyFrame(clip, render)
    nodes = []
    for turn in range(count):
        empty, frames = (
            node.std.SelectEvery(count, turn, modify_duration=False) for node in (canvas, clip)
        )
        nodes.append(empty.std.ModifyFrame(frames, partial(render.every, count, turn)))
    return vs.core.std.Interleave(nodes, mismatch=True, modify_duration=False)


def _sides(width: int | None, height: int | None) -> dict[str, Any]:
    """The library's names for the sides that are given: both together are a size."""
    if width is not None and height is not None:
        return {"size": (height, width)}
    return {"width": width, "height": height}


class _Render:
    """Makes an output frame of an input frame; called from several threads."""

    def __init__(self, upscaler: Upscaler, wanted: int | vs.VideoFormat | None) -> None:
        self._upscaler = upscaler
        self._wanted = None if wanted is None else _video_format(wanted)
        self._told = False

    def __call__(self, n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        with _vs_errors(_FrameError, f"frame {n}: "):
            source, target, out_size = self.plan(f)
            made = self._upscaler.submit(Picture(read_planes(f), source, target, out_size))
            alpha = f.props.get("_Alpha")
            if alpha is not None:
                made_alpha = self._upscaler.submit(alpha_picture(f, out_size))
            frame = new_frame(self._wanted or f.format, made.result().planes)
            set_props(frame, f, target)
            if alpha is not None:
                frame.props["_Alpha"] = new_alpha(alpha, made_alpha.result().planes)
        return frame

    def every(self, count: int, turn: int, n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        """The same for every ``count``-th frame from frame ``turn`` on."""
        return self(n * count + turn, f)

    def plan(self, frame: vs.VideoFrame) -> tuple[PlaneFormat, PlaneFormat, tuple[int, int]]:
        """Input format, output format and output (height, width); raises CiaoVideoError."""
        source, guess = source_format(frame)
        if guess and not self._told:
            self._told = True
            vs.core.log_message(vs.MESSAGE_TYPE_WARNING, f"upscale: {guess}")
        video_format = self._wanted or frame.format
        out_size = self._out_size(frame.height, frame.width, video_format)
        return source, target_format(source, video_format, out_size), out_size

    def canvas(self, clip: vs.VideoNode) -> vs.VideoNode:
        """A blank clip of the output's format and size, variable where the output's are.

        Requests a frame only in that case: players have none before they start. Raises
        CiaoVideoError for errors that are known without a frame.
        """
        video_format = self._wanted or clip.format
        any_format = video_format is None or video_format.id == vs.NONE
        if clip.width and clip.format is not None and clip.format.id != vs.NONE:
            layout_of(clip.format)
            height, width = self._out_size(clip.height, clip.width, video_format)
        else:
            with clip.get_frame(0) as first:
                height, width = self.plan(first)[2]
        return vs.core.std.BlankClip(
            width=width,
            height=height,
            format=None if any_format else video_format.id,
            length=clip.num_frames,
            fpsnum=clip.fps_num,
            fpsden=clip.fps_den,
            keep=True,
            varsize=self._size_changes(clip, any_format),
            varformat=any_format,
        )

    def _size_changes(self, clip: vs.VideoNode, any_format: bool) -> bool:
        """Whether output sizes vary: with the input's, or with the rounding of formats."""
        if not clip.width:
            return self._upscaler.size.size is None
        size = clip.height, clip.width
        out_size = self._upscaler.out_size
        return any_format and out_size(*size, even=True) != out_size(*size, even=False)

    def _out_size(self, height: int, width: int, video_format: vs.VideoFormat) -> tuple[int, int]:
        layout, _ = layout_of(video_format)
        made = self._upscaler.out_size(height, width, even=any(layout.even_sides))
        multiples = tuple(1 << times for times in layout.log2_chroma)
        if any(side % multiple for side, multiple in zip(made, multiples, strict=True)):
            raise OptionError(
                f"{made[1]}x{made[0]} is not a size for {layout.name}",
                f"give a width divisible by {multiples[1]} and a height divisible by "
                f"{multiples[0]}, or another format",
            )
        return made


class _FrameError(vs.Error):  # type: ignore[misc]
    """An error of one frame.

    VapourSynth prints it like an uncaught exception: traceback, class name, text. The traceback is
    hidden, since it helps no user; the class name is the filter's, set below.
    """

    __traceback__ = property(lambda _: None, lambda _, where: None)


_FrameError.__module__, _FrameError.__qualname__ = "builtins", "upscale"


@contextmanager
def _vs_errors(kind: type[vs.Error] = vs.Error, where: str = "upscale: ") -> Iterator[None]:
    """Re-raise the library's errors as VapourSynth's, with ``where`` as a prefix."""
    try:
        yield
    except CiaoVideoError as error:
        raise kind(f"{where}{error}") from None


def _check(kind: Any, remedy: str, **values: object) -> None:
    for name, value in values.items():
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise OptionError(f"{name} is {value!r}", remedy)


def _check_sides(**sides: int | None) -> None:
    _check(int | None, "give a whole number", **sides)
    for name, side in sides.items():
        if side is not None and not 1 <= side <= MAX_SIDE:
            raise OptionError(f"{name} is {side}", f"give a number of pixels, 1 to {MAX_SIDE}")


def _video_format(wanted: int | vs.VideoFormat) -> vs.VideoFormat:
    _check(int | vs.VideoFormat, "for example vs.YUV420P10", format=wanted)
    try:
        made = vs.core.get_video_format(wanted)
    except OverflowError:  # no format has such a number
        made = None
    if made is None or made.id == vs.NONE:
        raise OptionError(f"there is no format {wanted!r}", "for example vs.YUV420P10")
    return made

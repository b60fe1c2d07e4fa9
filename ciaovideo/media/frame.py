"""Frames and files as plain data: pictures with time and colour, without FFmpeg's types."""

import queue
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import torch
from torch import Tensor

from ciaovideo.color import ColorSpec
from ciaovideo.media.hdr import Hdr10
from ciaovideo.media.margins import NO_MARGINS, Margins
from ciaovideo.media.side_data import StreamMarks


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture: its planes as integer samples, and its time.

    planes: one tensor (h_p, w_p) per component, uint8 or uint16, in FFmpeg's order of the layout
    (Y, U, V; or G, B, R). ``pts`` counts ticks of ``time_base`` seconds; ``duration`` likewise,
    0 if unknown. ``color`` is how to interpret the samples, if differently from the rest of the
    video.
    """

    planes: tuple[Tensor, ...]
    pts: int
    time_base: Fraction
    duration: int = 0
    color: ColorSpec | None = None

    @property
    def time(self) -> Fraction:
        """When the picture appears, in seconds."""
        return self.pts * self.time_base

    @property
    def end(self) -> Fraction:
        """When the picture disappears, in seconds; its ``time`` if the duration is unknown."""
        return (self.pts + self.duration) * self.time_base


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """One stream of a file, as the container describes it."""

    index: int
    kind: str  # "video", "audio", "subtitle", "data", "attachment"
    codec: str
    language: str = ""
    title: str = ""
    becomes: str = ""  # the codec in the output, empty for a copy

    @property
    def name(self) -> str:
        """Its name in findings: its kind and its index in the file."""
        return f"{self.kind} {self.index}"

    def __str__(self) -> str:
        language = f" ({self.language})" if self.language else ""
        becomes = f", becomes {self.becomes}" if self.becomes else ""
        return f"{self.name}: {self.codec or 'unknown'}{language}{becomes}"


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """The facts of a video before its frames are processed, and of its other streams.

    ``pix_fmt`` is the planar layout of the reader's frames, ``coded_pix_fmt`` the decoder's.
    ``sar`` is the sample aspect ratio or None when unset. ``frame_rate`` and ``frame_count`` are
    estimates: good for progress and rate control, never for times. ``rotation`` in degrees
    counter-clockwise and ``display_matrix`` (nine fixed-point numbers, or empty) are how a player
    turns the picture; frames are returned as stored. ``index`` is the stream's index in the file;
    ``streams`` are all streams, including this one. ``interlaced`` means that frames keep both
    fields, which the user forced; ``field_order`` ("tff", "bff" or empty) is the one shown first.
    ``marks`` is the side data of the stream. ``cut`` is what the reader removes from each picture;
    ``height`` and ``width`` are those of the rest.
    """

    path: str
    height: int
    width: int
    pix_fmt: str
    color: ColorSpec
    codec: str
    time_base: Fraction
    sar: Fraction | None = None
    frame_rate: Fraction | None = None
    frame_count: int = 0
    duration_s: float | None = None
    interlaced: bool = False
    field_order: str = ""
    rotation: float = 0.0
    display_matrix: tuple[int, ...] = ()
    coded_pix_fmt: str = ""
    index: int = 0
    hdr10: Hdr10 | None = None
    marks: StreamMarks = field(default=StreamMarks())
    streams: tuple[StreamInfo, ...] = field(default=())
    cut: Margins = NO_MARGINS

    @property
    def stored_size(self) -> tuple[int, int]:
        """The (height, width) of the pictures before the crop."""
        top, bottom, left, right = self.cut
        return self.height + top + bottom, self.width + left + right


class PlanePool:
    """A fixed number of reused picture buffers: decoded planes are copied into them.

    A plane that shares memory with the decoder would pin the decoder's own buffers, and fresh
    memory for every frame costs page faults; ``pinned`` buffers let a GPU copy while others work.
    ``acquire`` blocks while all buffers are in use, which bounds the memory of a whole run.
    Safe to use from several threads.
    """

    def __init__(self, count: int, *, pinned: bool = False) -> None:
        self._free: queue.SimpleQueue[tuple[Tensor, ...]] = queue.SimpleQueue()
        self._pinned = pinned
        for _ in range(count):
            self._free.put(())

    def acquire(self, shapes: Sequence[tuple[int, int]], dtype: torch.dtype) -> tuple[Tensor, ...]:
        """Planes of these shapes (h_p, w_p) with undefined contents."""
        planes = self._free.get()
        if [(tuple(plane.shape), plane.dtype) for plane in planes] == [
            (tuple(shape), dtype) for shape in shapes
        ]:
            return planes
        return tuple(torch.empty(shape, dtype=dtype, pin_memory=self._pinned) for shape in shapes)

    def release(self, planes: tuple[Tensor, ...]) -> None:
        """Return planes that are no longer read."""
        self._free.put(planes)

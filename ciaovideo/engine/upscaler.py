"""Network and engine as one object, for scripts and plug-ins."""

from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ciaovideo.engine.engine import Engine, choose_device
from ciaovideo.engine.model_choice import load_network, model_name, settled
from ciaovideo.engine.picture import Picture
from ciaovideo.engine.precision import choose_precision
from ciaovideo.engine.renderer import Renderer
from ciaovideo.engine.workers import WorkerPool, shared_pool, usual_workers
from ciaovideo.errors import OptionError
from ciaovideo.options import EngineOptions, ModelOptions, Precision, SizeOptions

INTEGER_PEAKS = {torch.uint8: 255, torch.uint16: 65535}
ARRAY_KINDS = (np.uint8, np.uint16, np.float16, np.float32, np.float64)


class Upscaler:
    """Enlarges pictures: a tensor (B, 3, H, W) in [0, 1], numpy (H, W, 3) or (B, H, W, 3), Picture.

    Options have the same names as in ``upscale``: ``scale`` any number from 1 to 30, or ``size`` as
    (height, width) or "1920x1080", or one of the sides. numpy arrays may be uint8, uint16 or float
    in [0, 1]. The result has the same kind, dtype and device; integers are rounded and clamped,
    floats are not. ``restore`` is a number from 0, faithful, to 1; a picture does not state its
    codec, so ``"auto"`` is 0. A ``consistent`` result, reduced again by anti-aliased bicubic,
    equals the picture within 1e-4 before it is rounded.

    One object may be used from several threads. Objects that agree in network, device, precision,
    tile, ``deterministic``, ``consistent`` and ``workers`` share one copy of the weights and the
    threads that ``submit`` uses: as many as keep the device busy, where ``workers`` is None.
    """

    def __init__(
        self,
        model: str = "auto",
        *,
        weights: str | Path | None = None,
        restore: float | Literal["auto"] = "auto",
        scale: float | None = None,
        size: str | tuple[int, int] | None = None,
        width: int | None = None,
        height: int | None = None,
        device: str = "auto",
        precision: Precision = "auto",
        tile: int = 0,
        workers: int | None = 1,
        deterministic: bool = False,
        consistent: bool = False,
    ) -> None:
        text = f"{size[1]}x{size[0]}" if isinstance(size, tuple) else size
        self.size = SizeOptions(scale=scale, size=text, width=width, height=height)
        options = ModelOptions(
            model=model, weights=None if weights is None else Path(weights), restore=restore
        )
        engine_options = EngineOptions(
            device=device,
            precision=precision,
            tile=tile,
            deterministic=deterministic,
            consistent=consistent,
        )
        self._pool = _pool(options, engine_options, workers)
        self.model = model_name(options, device)
        self.engine = self._pool.engine
        self.workers = self.engine.workers

    def out_size(self, height: int, width: int, *, even: bool = False) -> tuple[int, int]:
        """The exact (height, width) that a picture of this height and width becomes.

        ``even`` rounds sides that were not asked for exactly to even ones, as 4:2:0 needs.
        """
        return self.size.resolve(height, width, even=even)

    def __call__[T: (Tensor, np.ndarray[Any, Any], Picture)](self, picture: T) -> T:
        """The picture enlarged; raises OptionError for an unsupported shape or dtype."""
        if isinstance(picture, Picture):
            return self._picture(picture)
        if isinstance(picture, Tensor):
            return self._tensor(picture)
        return self._array(picture)

    def submit[T: (Tensor, np.ndarray[Any, Any], Picture)](self, picture: T) -> Future[T]:
        """The picture enlarged by one of ``workers`` threads, while the caller continues.

        Waits while ``workers + 1`` pictures are unfinished, to bound memory. Pictures must be in
        CPU memory, and must not be changed until they are done.
        """
        planes = picture.planes if isinstance(picture, Picture) else (picture,)
        if any(isinstance(plane, Tensor) and plane.device.type != "cpu" for plane in planes):
            raise OptionError("only pictures in CPU memory can be submitted", "call the upscaler")
        return self._pool.submit(lambda: self(picture))

    def _picture(self, picture: Picture) -> Picture:
        out_format = picture.out_format or picture.format
        height, width = picture.planes[0].shape
        even = any(out_format.layout.even_sides)
        out_size = picture.out_size or self.out_size(height, width, even=even)
        renderer = Renderer(self.engine, picture.format, out_format)
        return Picture(renderer.render(picture.planes, out_size), out_format)

    def _tensor(self, picture: Tensor) -> Tensor:
        if picture.ndim != 4 or picture.shape[1] != 3 or not picture.is_floating_point():
            raise OptionError(
                f"unsupported tensor {tuple(picture.shape)} of {picture.dtype}",
                "give floats in [0, 1] of shape (B, 3, H, W)",
            )
        sr = self.engine(picture, self.out_size(picture.shape[2], picture.shape[3]))
        return sr.to(picture.device, picture.dtype)

    def _array(self, picture: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        if picture.ndim not in (3, 4) or picture.shape[-1] != 3 or 0 in picture.shape[-3:]:
            raise OptionError(
                f"unsupported array {picture.shape}", "pass (H, W, 3) or (B, H, W, 3)"
            )
        kind = picture.dtype.newbyteorder("=")
        if kind not in ARRAY_KINDS:
            raise OptionError(f"unsupported dtype {picture.dtype}", "pass uint8, uint16 or float")
        given = torch.from_numpy(np.require(picture, kind, ["C", "W"]))
        peak = INTEGER_PEAKS.get(given.dtype, 1)
        lr = given.view(-1, *picture.shape[-3:]).permute(0, 3, 1, 2).float() / peak
        sr = self._tensor(lr).permute(0, 2, 3, 1)
        if peak != 1:
            sr = (sr * peak).round_().clamp_(0, peak)
        made: np.ndarray[Any, Any] = sr.cpu().numpy().astype(picture.dtype)
        return made.reshape(*picture.shape[:-3], *made.shape[1:])


def _pool(model: ModelOptions, options: EngineOptions, workers: int | None) -> WorkerPool:
    """The pool for these options: a live one, or a new one."""
    device = choose_device(options.device)
    count = usual_workers(device) if workers is None else workers
    restore = settled(model, options.device).restore
    key: tuple[object, ...] = (model_name(model, options.device), restore)
    if model.weights is not None:
        with suppress(OSError, ValueError):  # loading will report the fault
            about = model.weights.stat()
            key = (model.weights.resolve(), about.st_mtime_ns, about.st_size, restore)
    precision = choose_precision(options.precision, device)
    key = (*key, device, precision, options.tile, options.deterministic, options.consistent, count)
    return shared_pool(
        key, lambda: WorkerPool(Engine(load_network(model, options.device)[1], options), count)
    )

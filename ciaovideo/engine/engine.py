"""One batch of LR tensors to HR tensors of any size, in tiles that fit into memory."""

import copy
import logging
import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from ciaovideo.engine.deterministic import TILE, deterministic_kernels
from ciaovideo.engine.flags import exact_products
from ciaovideo.engine.memory import (
    FLOAT_BYTES,
    MIN_SIDE,
    SHARE,
    fit_side,
    free_memory,
    is_exhaustion,
)
from ciaovideo.engine.precision import choose_precision, set_precision
from ciaovideo.engine.tiled import Tiling, enlarge
from ciaovideo.errors import (
    BackendError,
    MemoryExhaustedError,
    NonFiniteError,
    UnsupportedScaleError,
)
from ciaovideo.grid import View
from ciaovideo.models.networks.consistent import Consistent
from ciaovideo.models.protocols import Footprint, Network, Scales
from ciaovideo.ops.dispatch import FailedTwins
from ciaovideo.options import EngineOptions, Precision
from ciaovideo.tiling import Rect, Tile, plan_tiles

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EnginePlan:
    """How frames of one size are computed: tile side in LR px (0: whole), bytes at the peak."""

    tile: int
    tiles: int
    bytes: int


class Engine:
    """Runs a network on one device: lr (B, 3, h, w) in [0, 1] -> sr (B, 3, H, W), fp32, unclamped.

    Safe to call from several threads at once; ``share`` tells how many, so that each plans with its
    part of the memory. ``fallbacks`` lists deviations from the plan.
    """

    def __init__(self, network: Network, options: EngineOptions = EngineOptions()) -> None:
        self.device = choose_device(options.device)
        self.precision: Precision = choose_precision(options.precision, self.device)
        if next(network.parameters(), None) is None:
            self.precision = "fp32"  # there is nothing to cast
        self.options = options
        self.workers = 1
        self.fallbacks: list[str] = []
        self.failed_twins = FailedTwins(self._fell_back)
        network = Consistent(network) if options.consistent else network
        self._exact = network.to(self.device).to(memory_format=torch.channels_last).eval()
        self._exact.requires_grad_(False)
        self._network = self._exact
        if self.precision != "fp32":
            self._network = copy.deepcopy(self._exact)
            set_precision(self._network, self.precision)
        if self.device.type == "cuda":
            # Other threads read the weights in CUDA streams that do not wait for this one.
            torch.cuda.synchronize(self.device)
        self._plans: dict[tuple[int, ...], EnginePlan] = {}

    def share(self, workers: int) -> None:
        """Plan from now on for this many threads that call at once."""
        if workers != self.workers:
            self.workers = workers
            self._plans.clear()

    def plan(self, batch: int, lr_size: tuple[int, int], out_size: tuple[int, int]) -> EnginePlan:
        """Tiles for a batch of this size, fitted to the memory that was free at the first call."""
        check_scale(self._network.scales, lr_size, out_size)
        key = (batch, *lr_size, *out_size)
        if key not in self._plans:
            side, view = self.fixed_tile, View(lr_size, out_size)
            if not side:
                room = int(free_memory(self.device) * SHARE / self.workers)
                reach = self._network.reach(view)
                halo = reach.within(lr_size) + reach.alignment - 1
                side = fit_side(lr_size, _area(view), self._footprint(batch, view), halo, room)
            self._plans[key] = self._with_side(side, batch, view)
        return self._plans[key]

    @property
    def network(self) -> Network:
        """The network, in fp32."""
        return self._exact

    @property
    def fixed_tile(self) -> int:
        """The side of tiles in LR px if it is independent of free memory, else 0."""
        return self.options.tile or (TILE if self.options.deterministic else 0)

    def reach(self, lr_size: tuple[int, int], out_size: tuple[int, int]) -> int:
        """The distance in LR px within which a colour depends on the input, at these sizes."""
        view = View(lr_size, out_size)
        if self._network.passes_at(view):
            return max(lr_size)
        return self._network.reach(view).within(lr_size)

    def __call__(self, lr: Tensor, out_size: tuple[int, int], part: Rect | None = None) -> Tensor:
        """The batch at exactly ``out_size`` (height, width), or a ``part`` of it in output px.

        Raises UnsupportedScaleError, MemoryExhaustedError, NonFiniteError.
        """
        sr, finite = self.start(lr, out_size, part)
        return sr if bool(finite) else self.exact(lr, out_size, part)

    def start(
        self, lr: Tensor, out_size: tuple[int, int], part: Rect | None = None
    ) -> tuple[Tensor, Tensor]:
        """The result of a call, and whether it is finite, (); does not wait for the GPU.

        Check the second later, and replace a result that is not finite by that of ``exact``.
        """
        lr = lr.to(self.device, torch.float32)
        with self._computing():
            sr = self._run(self._network, lr, out_size, part or Rect(0, 0, *out_size))
            return sr, sr.sum().isfinite()

    def exact(self, lr: Tensor, out_size: tuple[int, int], part: Rect | None = None) -> Tensor:
        """The same in fp32, after a value was not finite; raises NonFiniteError if one still is.

        The cause may be the input or the weights.
        """
        lr = lr.to(self.device, torch.float32)
        with self._computing():
            return self._run_exact(lr, out_size, part or Rect(0, 0, *out_size))

    @contextmanager
    def _computing(self) -> Iterator[None]:
        with ExitStack() as stack:
            stack.enter_context(self.failed_twins.noted())
            if self.options.deterministic:
                stack.enter_context(deterministic_kernels())
            if self.device.type == "cuda":
                stack.enter_context(exact_products())
            yield

    @torch.inference_mode()
    def _run(self, network: Network, lr: Tensor, out_size: tuple[int, int], part: Rect) -> Tensor:
        view = View((lr.shape[-2], lr.shape[-1]), out_size)
        while True:
            plan = self.plan(len(lr), view.lr_size, out_size)
            try:
                return enlarge(network, lr, Tiling(view, plan.tile), part)
            except (RuntimeError, MemoryError) as error:
                if not is_exhaustion(error):
                    raise
                problem = error
            self._step_down(plan, len(lr), view, problem)

    def _run_exact(self, lr: Tensor, out_size: tuple[int, int], part: Rect) -> Tensor:
        if not bool(lr.sum().isfinite()):
            raise NonFiniteError("the input contains NaN or Inf", "clean it first")
        if self.precision == "fp32":
            raise NonFiniteError("the network produced NaN or Inf", "check its weights")
        self._fell_back(f"{self.precision} overflowed: such frames are computed again in fp32")
        sr = self._run(self._exact, lr, out_size, part)
        if not bool(sr.sum().isfinite()):
            raise NonFiniteError(
                "the network produced NaN or Inf, in fp32 too", "check its weights"
            )
        return sr

    def _step_down(self, plan: EnginePlan, batch: int, view: View, problem: BaseException) -> None:
        """Replace a plan by one of half the side; raises MemoryExhaustedError at the smallest."""
        if self.options.deterministic:  # another tile would change the last bits
            raise MemoryExhaustedError(
                f"memory ran out with tiles of {plan.tile} px", "ask for smaller tiles"
            ) from problem
        longest = max(view.lr_size)
        before = min(plan.tile or longest, longest)  # the user's tile may be larger
        side = math.ceil(before / 2)
        if side < MIN_SIDE:
            raise MemoryExhaustedError(
                f"memory ran out at the smallest tile ({before} px)",
                "free memory, or use a smaller network",
            ) from problem
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        self._fell_back(f"memory ran out: continuing with tiles of {side} px")
        self._plans[(batch, *view.lr_size, *view.out_size)] = self._with_side(side, batch, view)

    def _with_side(self, side: int, batch: int, view: View) -> EnginePlan:
        reach = self._network.reach(view)
        halo = reach.within(view.lr_size)
        tiles = list(plan_tiles(*view.lr_size, side=side, halo=halo, alignment=reach.alignment))
        largest = max(tiles, key=lambda tile: tile.read.height * tile.read.width)
        return EnginePlan(
            side, len(tiles), _peak(largest, self._footprint(batch, view), _area(view))
        )

    def _footprint(self, batch: int, view: View) -> Footprint:
        per = self._network.footprint(view)
        return Footprint(per.lr_pixel * batch, per.out_pixel * batch, per.fixed * batch)

    def _fell_back(self, text: str) -> None:
        if text not in self.fallbacks:
            self.fallbacks.append(text)
            log.warning("%s", text)


def choose_device(name: str) -> torch.device:
    """The device of this name; raises BackendError where it is missing."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there[device.type]:
        raise BackendError(f"this machine has no device {name}", "use auto or cpu")
    return device


def check_scale(scales: Scales, lr_size: tuple[int, int], out_size: tuple[int, int]) -> None:
    """Raise UnsupportedScaleError if a size divided by the input's is none of these scales."""
    for limits in (Scales(), scales):
        if not limits.hold(lr_size, out_size):
            (height, width), (out_height, out_width) = lr_size, out_size
            raise UnsupportedScaleError(
                f"{width}x{height} to {out_width}x{out_height} px is outside {limits} times",
                f"ask for a scale of {limits}",
            )


def _area(view: View) -> float:
    """Output pixels per LR pixel."""
    return math.prod(view.out_size) / math.prod(view.lr_size)


def _peak(tile: Tile, per: Footprint, area: float) -> int:
    read = tile.read.height * tile.read.width * per.lr_pixel
    out = int(tile.core.height * tile.core.width * area * per.out_pixel)
    return FLOAT_BYTES * (read + out + per.fixed)

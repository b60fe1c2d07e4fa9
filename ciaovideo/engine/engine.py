"""One batch of LR tensors to HR tensors of any size, in tiles that fit into memory."""

import copy
import logging
import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ciaovideo.engine.memory import (
    FLOAT_BYTES,
    MIN_SIDE,
    SHARE,
    fit_side,
    free_memory,
    is_exhaustion,
)
from ciaovideo.engine.precision import choose_precision, set_precision
from ciaovideo.errors import (
    BackendError,
    MemoryExhaustedError,
    NonFiniteError,
    UnsupportedScaleError,
)
from ciaovideo.grid import Axis, View, nearest_index
from ciaovideo.models.implicit import ImplicitSR
from ciaovideo.models.protocols import Footprint
from ciaovideo.options import MAX_SCALE, EngineOptions, Precision
from ciaovideo.tiling import Tile, plan_tiles

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EnginePlan:
    """How frames of one size are computed: tile side in LR px (0: whole), bytes at the peak."""

    tile: int
    tiles: int
    bytes: int


class Engine:
    """Runs a network on one device: lr (B, 3, h, w) in [0, 1] -> sr (B, 3, H, W), fp32, unclamped.

    Safe to call from several threads at once; ``share`` says how many will, so that each plans
    with its part of the memory. What had to be changed on the way is said in ``notices``.
    """

    def __init__(self, network: ImplicitSR, options: EngineOptions = EngineOptions()) -> None:
        self.device = choose_device(options.device)
        self.precision: Precision = choose_precision(options.precision, self.device)
        self.options = options
        self.workers = 1
        self.notices: list[str] = []
        self._exact = network.to(self.device).to(memory_format=torch.channels_last).eval()
        self._exact.requires_grad_(False)
        self._network = self._exact
        if self.device.type == "cuda":
            torch.backends.cudnn.allow_tf32 = False  # fp32 means fp32; bf16 is there for speed
        if self.precision != "fp32":
            self._network = copy.deepcopy(self._exact)
            set_precision(self._network, self.precision)
        if self.device.type == "cuda":
            # Other threads read the weights in streams that wait for nobody.
            torch.cuda.synchronize(self.device)
        self._plans: dict[tuple[int, ...], EnginePlan] = {}

    def share(self, workers: int) -> None:
        """Plan from now on for this many threads that call at once."""
        self.workers = workers
        self._plans.clear()

    def plan(self, batch: int, lr_size: tuple[int, int], out_size: tuple[int, int]) -> EnginePlan:
        """Tiles for a batch of this size, fitted to what was free when it was first asked."""
        check_scale(lr_size, out_size)
        key = (batch, *lr_size, *out_size)
        if key not in self._plans:
            side = self.options.tile
            per = self._footprint(batch)
            area = math.prod(out_size) / math.prod(lr_size)
            if not side:
                room = int(free_memory(self.device) * SHARE / self.workers)
                side = fit_side(lr_size, area, per, self._network.halo, room)
            self._plans[key] = self._with_side(side, batch, lr_size, area)
        return self._plans[key]

    def __call__(self, lr: Tensor, out_size: tuple[int, int]) -> Tensor:
        """The batch at exactly ``out_size`` (height, width).

        Raises UnsupportedScaleError, MemoryExhaustedError, NonFiniteError.
        """
        lr = lr.to(self.device, torch.float32)
        sr = self._run(self._network, lr, out_size)
        if not bool(sr.sum().isfinite()):
            sr = self._run_exact(lr, out_size)
        return sr

    @torch.inference_mode()
    def _run(self, network: ImplicitSR, lr: Tensor, out_size: tuple[int, int]) -> Tensor:
        lr_size = (lr.shape[-2], lr.shape[-1])
        while True:
            plan = self.plan(len(lr), lr_size, out_size)
            try:
                return self._compute(network, lr, out_size, plan.tile)
            except (RuntimeError, MemoryError) as error:
                if not is_exhaustion(error):
                    raise
                problem = error
            self._step_down(plan, (len(lr), *lr_size, *out_size), problem)

    def _compute(
        self, network: ImplicitSR, lr: Tensor, out_size: tuple[int, int], side: int
    ) -> Tensor:
        height, width = lr.shape[-2:]
        view = View((height, width), out_size)
        tiles = list(
            plan_tiles(height, width, side=side, halo=network.halo, alignment=network.alignment)
        )
        if len(tiles) == 1:
            return network.decode(network.encode(lr, view), view.rows, view.columns)
        sr = lr.new_empty(*lr.shape[:2], *out_size)
        owner_y = nearest_index(view.rows.coord, height)
        owner_x = nearest_index(view.columns.coord, width)
        for tile in tiles:
            part = replace(view, origin=(tile.read.top, tile.read.left))
            latent = network.encode(lr[(..., *tile.read.slices)], part)
            rows = owned(view.rows, owner_y, tile.core.top, tile.core.bottom, tile.read.top)
            columns = owned(view.columns, owner_x, tile.core.left, tile.core.right, tile.read.left)
            sr[..., rows[0] : rows[1], columns[0] : columns[1]] = network.decode(
                latent, rows[2], columns[2]
            )
        return sr

    def _run_exact(self, lr: Tensor, out_size: tuple[int, int]) -> Tensor:
        """The same in fp32, after a value was not finite; input and weights being finite."""
        if not bool(lr.sum().isfinite()):
            raise NonFiniteError("the picture itself holds values that are no numbers", "mend it")
        if self.precision == "fp32":
            raise NonFiniteError("the network made values that are no numbers", "check its weights")
        self._notice(f"{self.precision} overflowed: such frames are computed again in fp32")
        sr = self._run(self._exact, lr, out_size)
        if not bool(sr.sum().isfinite()):
            raise NonFiniteError(
                "the network made values that are no numbers, in fp32 too", "check the weights"
            )
        return sr

    def _step_down(self, plan: EnginePlan, key: tuple[int, ...], problem: BaseException) -> None:
        """Replace a plan by one of half the side; raises MemoryExhaustedError at the least."""
        batch, height, width, out_height, out_width = key
        side = math.ceil((plan.tile or max(height, width)) / 2)
        if side < MIN_SIDE or plan.tiles >= height * width:
            raise MemoryExhaustedError(
                f"memory ran out at the smallest tile ({plan.tile or max(height, width)} px)",
                "free memory, or use a smaller network",
            ) from problem
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        self._notice(f"memory ran out: going on with tiles of {side} px")
        area = out_height * out_width / (height * width)
        self._plans[key] = self._with_side(side, batch, (height, width), area)

    def _with_side(
        self, side: int, batch: int, lr_size: tuple[int, int], area: float
    ) -> EnginePlan:
        tiles = list(plan_tiles(*lr_size, side=side, halo=self._network.halo))
        per = self._footprint(batch)
        largest = max(tiles, key=lambda tile: tile.read.height * tile.read.width)
        return EnginePlan(side, len(tiles), _peak(largest, per, area))

    def _footprint(self, batch: int) -> Footprint:
        per = self._network.footprint
        return Footprint(per.lr_pixel * batch, per.out_pixel * batch, per.fixed * batch)

    def _notice(self, text: str) -> None:
        if text not in self.notices:
            self.notices.append(text)
            log.warning("%s", text)


def owned(axis: Axis, owner: Tensor, start: int, stop: int, origin: int) -> tuple[int, int, Axis]:
    """The output samples whose nearest LR sample lies in [start, stop): first, end, their axis."""
    first, end = torch.searchsorted(owner, torch.tensor([start, stop])).tolist()
    return first, end, axis.part(first, end, origin)


def choose_device(name: str) -> torch.device:
    """The device of this name; raises BackendError where it is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there[device.type]:
        raise BackendError(f"there is no device {name} on this machine", "use auto or cpu")
    return device


def check_scale(lr_size: tuple[int, int], out_size: tuple[int, int]) -> None:
    """Raise UnsupportedScaleError for a size outside 1 to 30 times the input's."""
    for new, old in zip(out_size, lr_size, strict=True):
        if not old <= new <= old * MAX_SCALE:
            raise UnsupportedScaleError(
                f"{old} to {new} px is outside 1 to {MAX_SCALE:g} times", "ask for a size between"
            )


def _peak(tile: Tile, per: Footprint, area: float) -> int:
    read = tile.read.height * tile.read.width * per.lr_pixel
    out = int(tile.core.height * tile.core.width * area * per.out_pixel)
    return FLOAT_BYTES * (read + out + per.fixed)

"""Options for the network, and for where and how it runs."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ciaovideo.config import check_word, opt
from ciaovideo.errors import OptionError

Precision = Literal["auto", "fp32", "bf16", "fp16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """Network. The weights that compute the picture."""

    model: str = opt(
        "auto",
        "name of bundled weights, or auto for the best on this device; bicubic and lanczos use no"
        " network, for comparison",
        "NAME",
    )
    weights: Path | None = opt(None, "a file of weights instead of bundled ones", "FILE")
    restore: float | Literal["auto"] = opt(
        "auto",
        "0 enlarges faithfully, 0.5 also removes codec artefacts, 1 repairs worn film and tape; any"
        " number between. auto: 0 to 0.5, by the video's quantiser",
        "R",
    )

    def __post_init__(self) -> None:
        if self.restore != "auto" and not 0 <= self.restore <= 1:
            raise OptionError(f"restore {self.restore} is outside 0 to 1", "1 restores most")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """Computing. Where and how the network runs; the picture does not depend on tile or batch."""

    device: str = opt("auto", "auto, cpu, cuda, cuda:N or mps", "DEV")
    precision: Precision = opt("auto", "arithmetic of the network: auto, fp32, bf16 or fp16")
    tile: int = opt(0, "side of the tiles that a frame is computed in; 0 fits them to memory", "PX")
    batch: int = opt(0, "frames computed at once; 0 chooses by device and frame size", "N")
    deterministic: bool = opt(
        False,
        "the same bits in every run on one machine: kernels sum in a fixed order, and tiles are 512"
        " px, or the given side, regardless of free memory",
    )
    consistent: bool = opt(
        False,
        "correct pictures so that, reduced again by anti-aliased bicubic, they equal the source to"
        " 1/40 of a step of 8 bits, before they are rounded; its noise and blocks stay",
    )

    def __post_init__(self) -> None:
        check_word("precision", self.precision, Precision)
        for name in ("tile", "batch"):
            if getattr(self, name) < 0:
                raise OptionError(f"{name} {getattr(self, name)} is negative", "0 means automatic")
        if not re.fullmatch(r"auto|cpu|mps|cuda(:[0-9]{1,3})?", self.device):
            raise OptionError(
                f"no device is called {self.device!r}", "auto, cpu, cuda, cuda:N or mps"
            )

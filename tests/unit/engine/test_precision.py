"""Precision: what stays in fp32, and that bf16 costs less than a hundredth of a decibel."""

import pytest
import torch

from ciaovideo.engine.engine import Engine
from ciaovideo.engine.precision import choose_precision, set_precision
from ciaovideo.errors import PrecisionError
from ciaovideo.models.weights import list_models, load_bundled
from ciaovideo.options import EngineOptions
from tests.networks import small_implicit
from tests.street import scene

COST_DB = 0.01


def test_tables_of_coordinates_stay_in_fp32() -> None:
    network = small_implicit()
    set_precision(network, "bf16")
    kinds = {name: weight.dtype for name, weight in network.named_parameters()}
    kept = {name for name, kind in kinds.items() if kind == torch.float32}
    assert kept == {"decoder.basis.mix.weight"}


def test_auto_is_what_the_device_has() -> None:
    assert choose_precision("auto", torch.device("cpu")) in ("bf16", "fp32")
    assert choose_precision("auto", torch.device("mps")) == "fp32"
    with pytest.raises(PrecisionError):
        choose_precision("fp16", torch.device("cpu"))


@pytest.mark.parametrize(("capability", "best"), [((7, 5), "fp32"), ((8, 0), "bf16")], ids=str)
def test_a_gpu_that_only_emulates_bf16_computes_in_fp32(
    capability: tuple[int, int], best: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda *_, **__: True)  # as torch answers
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda _: capability)
    assert choose_precision("auto", torch.device("cuda", 1)) == best


@pytest.mark.parametrize("name", list_models())
@pytest.mark.heavy
def test_bf16_costs_less_than_a_hundredth_of_a_decibel(name: str) -> None:
    """Noise of rounding against the error that the network makes anyway, on a picture of ours."""
    hr = torch.from_numpy(scene(96, 120, 0)).permute(2, 0, 1).unsqueeze(0).float().clamp(0, 1)
    scale = (load_bundled(name).scales.only or (2.0,))[0]
    size = (round(96 / scale), round(120 / scale))
    lr = torch.nn.functional.interpolate(hr, size, mode="bicubic", antialias=True).clamp(0, 1)

    def error(precision: str) -> float:
        options = EngineOptions(device="cpu", precision=precision)  # type: ignore[arg-type]
        sr = Engine(load_bundled(name), options)(lr, (96, 120)).clamp(0, 1)
        return float((sr - hr).square().mean())

    decibels = 10 * torch.log10(torch.tensor(error("bf16") / error("fp32")))
    assert abs(float(decibels)) < COST_DB

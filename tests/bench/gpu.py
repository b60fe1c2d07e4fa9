"""Everything that can only be learnt on a GPU, in one run of some minutes.

``python -m tests.bench.gpu FOLDER`` writes gpu.json and gpu.md there: the tests marked gpu, the
error of the fast path against the reference path in fp32, its speed and the reference's, the share
of the matrix rate that the same GPU was measured to reach, and the encoder as it is, as a CUDA
graph and by torch.compile. It needs torch, Triton, numpy and pytest, and neither PyAV nor weights:
networks are random. What ``--minutes`` leave no time for is left out, and said so; what is known is
written after each step. ``--tiny`` rehearses it on any machine.
"""

import argparse
import copy
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from unittest.mock import patch

import torch
from torch import Tensor

from ciaovideo.bench.floor import SIDE, flop_per_pixel, matrix_rate
from ciaovideo.bench.harness import machine, measure
from ciaovideo.engine.engine import Engine
from ciaovideo.engine.precision import set_precision
from ciaovideo.grid import View
from ciaovideo.models.networks.implicit import ImplicitSR
from ciaovideo.models.parts.blocks import QUERY_BLOCK
from ciaovideo.ops.flops import count_flops
from ciaovideo.options import EngineOptions, Precision
from ciaovideo.train.recipe import read_recipe

ROOT = Path(__file__).resolve().parents[2]
Size = tuple[int, int]
FALLBACKS: list[str] = []  # of the engines made here


@dataclass(frozen=True)
class Case:
    """A recipe's network and the sizes (height, width)."""

    name: str
    lr_size: Size
    out_size: Size


CASES = (
    Case("ciaosr-edsr", (540, 960), (1080, 1920)),
    Case("ciaosr-video", (1080, 1920), (2160, 3840)),
    Case("ciaosr-video-lm", (1080, 1920), (2160, 3840)),
    Case("ciaosr-fast", (1080, 1920), (2160, 3840)),
)
TINY = tuple(Case(case.name, (20, 24), (40, 48)) for case in CASES)


def network(name: str) -> ImplicitSR:
    """The network of a recipe with random weights."""
    torch.manual_seed(0)
    return read_recipe(name).network.build_implicit()


@contextmanager
def without_kernels() -> Iterator[None]:
    """The definitions in plain torch."""
    with patch("ciaovideo.ops.dispatch.fused_twin", lambda *_: None):
        yield


class Deadline:
    """When a run has to be over."""

    def __init__(self, minutes: float) -> None:
        self._end = time.monotonic() + 60 * minutes

    def left_s(self) -> float:
        """Seconds until then, never below zero."""
        return max(0.0, self._end - time.monotonic())


def speed(name: str, work: Callable[[], object], device: torch.device) -> float:
    """Median seconds of one run."""
    return measure(name, lambda: (work(), 1)[1], least_s=1.0, device=device).wall_s


def network_as_run(engine: Engine) -> ImplicitSR:
    """The engine's network in the engine's precision."""
    net = copy.deepcopy(engine.network)
    assert isinstance(net, ImplicitSR)
    if engine.precision != "fp32":
        set_precision(net, engine.precision)
    return net


def encoders(engine: Engine, lr: Tensor) -> dict[str, float | str]:
    """Seconds of the encoder launched layer by layer, replayed as one CUDA graph, and compiled.

    Launches cost a GPU nothing as long as it has enough to do, so whether a graph or a compiler
    is worth its trouble is for these figures to say; the engine uses neither.
    """
    net = network_as_run(engine)
    lr = lr.to(next(net.parameters()).dtype)
    found: dict[str, float | str] = {}
    with torch.inference_mode():
        expected = net.encoder(lr)
        found["plain"] = speed("plain", lambda: net.encoder(lr), engine.device)
        if engine.device.type != "cuda":
            return found | {"graph": "no: not a GPU", "compiled": "no: not a GPU"}
        for name, make in (("graph", as_graph), ("compiled", as_compiled)):
            try:
                work = make(net.encoder, lr)
                error = (work() - expected).abs().max().item()
                found[name] = speed(name, work, engine.device)
                found[f"{name}_error"] = error
            except Exception as problem:
                found[name] = f"{type(problem).__name__}: {problem}"[:300]
    return found


def as_graph(encoder: Callable[[Tensor], Tensor], lr: Tensor) -> Callable[[], Tensor]:
    """The encoder's launches on this picture recorded as one, with the copy that each frame needs.

    https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs: warmed up in another CUDA
    stream, then captured over tensors that stay where they are.
    """
    held, side = lr.clone(), torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            encoder(held)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        made = encoder(held)

    def replay() -> Tensor:
        held.copy_(lr)
        graph.replay()
        return made

    return replay


def as_compiled(encoder: Callable[[Tensor], Tensor], lr: Tensor) -> Callable[[], Tensor]:
    """The encoder as torch.compile makes it, without graphs."""
    compiled = torch.compile(encoder)
    return lambda: compiled(lr)


def stages(engine: Engine, lr: Tensor, case: Case) -> dict[str, float]:
    """Seconds of the halves of a network: encoder, all work per LR pixel, decoder."""
    net, view = network_as_run(engine), View(case.lr_size, case.out_size)
    with torch.inference_mode():
        kind = next(net.parameters()).dtype
        latent = net.encode(lr, view)
        return {
            "encoder": speed("encoder", lambda: net.encoder(lr.to(kind)), engine.device),
            "encode": speed("encode", lambda: net.encode(lr, view), engine.device),
            "decode": speed(
                "decode", lambda: net.decode(latent, view.rows, view.columns), engine.device
            ),
        }


def decoder_work(case: Case) -> float:
    """Operations of the decoder per frame, counted at a smaller size on a processor."""
    net = network(case.name).eval()
    factors = [out / lr for out, lr in zip(case.out_size, case.lr_size, strict=True)]
    view = View((SIDE, SIDE), (round(SIDE * factors[0]), round(SIDE * factors[1])))
    with torch.inference_mode():
        latent = net.encode(torch.zeros(1, 3, SIDE, SIDE), view)
        flop = count_flops(lambda: net.decode(latent, view.rows, view.columns))
    return flop / SIDE**2 * case.lr_size[0] * case.lr_size[1]


def run_case(case: Case, device: str, rate: float, deadline: Deadline) -> dict[str, object]:
    """One network: reference in fp32, fast path in fp32 and bf16, with and without kernels."""
    lr = torch.rand(1, 3, *case.lr_size)
    factors = case.out_size[0] / case.lr_size[0], case.out_size[1] / case.lr_size[1]
    flop = flop_per_pixel(network(case.name), factors) * case.lr_size[0] * case.lr_size[1]
    decoder_flop = decoder_work(case)
    figures: dict[str, object] = {"case": case.name, "lr": case.lr_size, "out": case.out_size}
    rows: list[dict[str, object]] = []
    exact: Tensor | None = None
    ways: tuple[tuple[Precision, bool], ...] = (
        *(("fp32", False), ("fp32", True), ("bf16", False), ("bf16", True)),
    )
    for precision, fused in ways:
        if not deadline.left_s():
            rows.append({"precision": precision, "kernels": fused, "problem": "no time was left"})
            continue
        with ExitStack() as stack:
            if not fused:
                stack.enter_context(without_kernels())
            engine = Engine(network(case.name), EngineOptions(device=device, precision=precision))
            engine.fallbacks = FALLBACKS
            lr = lr.to(engine.device)
            row: dict[str, object] = {"precision": precision, "kernels": fused}
            rows.append(row)
            try:
                sr = engine(lr, case.out_size)
                exact = sr if exact is None else exact
                took = speed(case.name, lambda: engine(lr, case.out_size), engine.device)  # noqa: B023
                row |= {"frames_s": 1 / took, "max_error": (sr - exact).abs().max().item()}
                row |= {"psnr_db": -10 * (sr - exact).square().mean().clamp(1e-20).log10().item()}
                halves = stages(engine, lr, case)
                row |= {"share": flop / took / rate, "seconds": halves}
                row |= {"decoder_share": decoder_flop / halves["decode"] / rate}
                if (precision, fused) == ways[-1]:
                    figures["encoders"] = encoders(engine, lr)
            except Exception as problem:
                row["problem"] = f"{type(problem).__name__}: {problem}"[:500]
        if engine.device.type == "cuda":
            row["peak_mb"] = torch.cuda.max_memory_allocated() >> 20
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
    return figures | {"ways": rows}


def query_blocks(case: Case, device: str) -> dict[int, float]:
    """Frames a second of the fast path by how many queries are decoded at once."""
    found = {}
    for block in (1 << 15, 1 << 17, 1 << 19):
        with patch.dict(QUERY_BLOCK, {"cuda": block, "cpu": block}):
            engine = Engine(network(case.name), EngineOptions(device=device, precision="bf16"))
            engine.fallbacks = FALLBACKS
            lr = torch.rand(1, 3, *case.lr_size, device=engine.device)
            found[block] = 1 / speed("block", lambda: engine(lr, case.out_size), engine.device)  # noqa: B023
    return found


def gpu_tests(seconds: float) -> str:
    """What the tests marked gpu print; the project's pytest plug-ins may be missing here."""
    if seconds < 1:
        return "no time was left"
    files = ["tests/unit/ops/test_fused.py", "tests/unit/test_color.py", "tests/unit/engine"]
    if not all(map(importlib.util.find_spec, ("hypothesis", "safetensors"))):
        files = files[:1]
    words = [sys.executable, "-m", "pytest", "-c", "/dev/null", "--rootdir", str(ROOT)]
    words += [
        "--import-mode=importlib",
        "-p",
        "no:cacheprovider",
        "-m",
        "gpu",
        "-q",
        "-s",
        "-W",
        "ignore",
        *files,
    ]
    try:
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired as late:
        return f"cut short after {late.timeout:.0f} s: {str(late.stdout)[-12_000:]}"
    return done.stdout[-12_000:] + done.stderr[-2_000:]


def markdown(report: dict[str, object]) -> str:
    """The figures as tables."""
    lines = [", ".join(f"{k} {v}" for k, v in report["machine"].items())]  # type: ignore[attr-defined]
    lines += [f"bf16 matrix product: {report['matrix_tflop_s']:.3g} TFLOP/s", ""]
    lines += ["| case | precision | kernels | frames/s | share | of decoder | max error | PSNR |"]
    lines += ["|---|---|---|---|---|---|---|---|"]
    for case in report["cases"]:  # type: ignore[attr-defined]
        for row in case["ways"]:
            if "problem" in row:
                figures = row["problem"].replace("\n", " ")
            else:
                figures = f"{row['frames_s']:.2f} | {row['share']:.1%} | {row['decoder_share']:.1%}"
                figures += f" | {row['max_error']:.1e}"
                figures += f" | {row['psnr_db']:.1f} dB"
            lines.append(f"| {case['case']} | {row['precision']} | {row['kernels']} | {figures} |")
    lines += ["", "| encoder, ms | plain | CUDA graph | torch.compile |", "|---|---|---|---|"]
    for case in report["cases"]:  # type: ignore[attr-defined]
        if times := case.get("encoders"):
            ms = (times[name] for name in ("plain", "graph", "compiled"))
            figures = " | ".join(t if isinstance(t, str) else f"{t * 1e3:.3f}" for t in ms)
            lines.append(f"| {case['case']} | {figures} |".replace("\n", " "))
    lines += ["", *report["fallbacks"]]  # type: ignore[misc]
    return "\n".join([*lines, "", "```", str(report["tests"]), "```", ""])


def main() -> None:
    """Write what is known after each step, so that a run cut short is not lost."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--minutes", type=float, default=8.0, help="no step begins later")
    arguments = parser.parse_args()
    if not (torch.cuda.is_available() or arguments.tiny):
        parser.error("there is no GPU here; --tiny rehearses the run without one")
    deadline = Deadline(arguments.minutes)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    began = time.perf_counter()
    rate = matrix_rate(torch.device(device), torch.bfloat16)
    report: dict[str, object] = {"machine": machine(), "matrix_tflop_s": rate / 1e12}
    report |= {"cases": (made := []), "tests": "not run yet"}

    def write() -> None:
        report["fallbacks"] = list(dict.fromkeys(FALLBACKS))
        report["seconds"] = time.perf_counter() - began
        (arguments.folder / "gpu.json").write_text(json.dumps(report, indent=2))
        (arguments.folder / "gpu.md").write_text(markdown(report))

    cases = TINY if arguments.tiny else CASES
    for case in cases:
        made.append(run_case(case, device, rate, deadline) | {"asked": asdict(case)})
        write()
    report["tests"] = gpu_tests(min(240.0, deadline.left_s()))
    write()
    if deadline.left_s():
        report["query_blocks"] = query_blocks(cases[0], device)
        write()
    print(markdown(report))


if __name__ == "__main__":
    main()

"""Fingerprint of a resumable run."""

import dataclasses
import hashlib
import json
import os
import platform
import re
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import torch

from ciaovideo.engine.engine import Engine
from ciaovideo.errors import OptionError
from ciaovideo.media.sequence.numbered import source_files
from ciaovideo.media.write.encoder import codec_versions
from ciaovideo.options import ModelOptions, UpscaleOptions
from ciaovideo.pipeline.plan import UpscalePlan
from ciaovideo.storage.claims import ledger_path
from ciaovideo.storage.endpoints import reads_once
from ciaovideo.storage.ledger import Fingerprint, Ledger

CPU = Path("/proc/cpuinfo")
ENDS = 1 << 20  # bytes of a source, at its beginning and its end, that are hashed


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerAccess:
    """How a run uses segments: ``mixed`` with other machines, ``read`` loads existing ones."""

    mixed: bool = False
    read: bool = True


def reproducible(source: Path, options: UpscaleOptions) -> UpscaleOptions:
    """The options for reproducible bits, if the run is resumable; raises OptionError."""
    if not options.resume:
        return options
    if reads_once(source):
        raise OptionError(f"{source} is a pipe: it cannot be read again to resume", "name a file")
    if options.encode.via_ffmpeg is not None:
        raise OptionError("a run with a system ffmpeg cannot be resumed", "choose a codec instead")
    return replace(options, engine=replace(options.engine, deterministic=True))


def find_ledger(
    plan: UpscalePlan,
    engine: Engine,
    options: UpscaleOptions,
    access: LedgerAccess,
) -> Ledger | None:
    """The ledger of a planned run, with an earlier run's segments; raises StaleLedgerError.

    None for a run that is not resumable.
    """
    if not options.resume:
        return None
    fingerprint = Fingerprint(
        {
            **_source(plan.source),
            "network": f"{plan.model} {_digest(engine.network)}",
            "set of options": _options(options),
            "set of versions": f"{_versions()} {codec_versions()}",
            "machine": f"{_processors(plan)} {plan.precision}",
        },
        given=frozenset({"network", "set of options"}),
        mixed=frozenset({"machine"} if access.mixed else ()),
    )
    path = ledger_path(plan.output)
    return Ledger(path, fingerprint, read=access.read, length=options.segment)


def _source(path: Path) -> dict[str, str]:
    """The identity of a source, without reading all of it."""
    files = source_files(path)
    found = [file.stat() for file in files]
    digest = hashlib.sha256()
    if len(files) > 1:
        digest.update(
            repr(
                [(file.name, one.st_size) for file, one in zip(files, found, strict=True)]
            ).encode()
        )
    with files[0].open("rb") as first, files[-1].open("rb") as last:
        digest.update(first.read(ENDS))
        last.seek(max(0, found[-1].st_size - ENDS))
        digest.update(last.read(ENDS))
    return {
        "source": f"{sum(one.st_size for one in found)} {digest.hexdigest()}",
        "time of the source's last change": str(int(max(one.st_mtime for one in found))),
    }


def _processors(plan: UpscalePlan) -> str:
    """The processors that compute and encode.

    The number of cores determines how encoders divide pictures. The number of threads per frame
    determines the order of floating-point sums.
    """
    model = platform.machine()
    with suppress(OSError):
        model = next(re.finditer("(?m)^model name.*", CPU.read_text()), [model])[0]
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    known = f"{model} {torch.backends.cpu.get_cpu_capability()} {cores}"
    if plan.device.startswith("cuda"):
        return f"cuda {torch.cuda.get_device_name(plan.device)} {known}"
    threads = max(1, torch.get_num_threads() // plan.workers)
    return f"{plan.device} {known} {threads}"


def _digest(network: torch.nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _options(options: UpscaleOptions) -> str:
    """The options that change the bits, without network and device, which are hashed separately."""
    engine = replace(options.engine, device="auto")
    same = replace(options, model=ModelOptions(), engine=engine, overwrite=False)
    return json.dumps(dataclasses.asdict(same), default=str, sort_keys=True)


def _versions() -> str:
    return " ".join(f"{name} {version(name)}" for name in ("ciaovideo", "torch", "av"))

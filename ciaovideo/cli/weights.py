"""``ciaovideo weights``: lists bundled weights, converts files from and for others, averages."""

import dataclasses
import json
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from ciaovideo.errors import (
    CorruptWeightsError,
    EncodeError,
    MismatchedWeightsError,
    OptionError,
    OutputExistsError,
)

if TYPE_CHECKING:
    from ciaovideo.models.spec import NetworkSpec
    from ciaovideo.models.weights import WeightsEntry

SUFFIX = ".safetensors"
WITHOUT_NOTES = "`weights import` writes it beside the weights; other files have none"
PUBLISHED_WINDOW = 160  # the published program cuts pictures into 192 px that overlap by 32


def build_parser(prog: str) -> ArgumentParser:
    """list, show, verify, import, export or mean."""
    parser = ArgumentParser(prog=prog, description="Manage files of weights.", allow_abbrev=False)
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="list the bundled weights")
    show = actions.add_parser("show", help="print all facts of one")
    show.add_argument("name", help="name of bundled weights, or an imported file")
    show.add_argument("--json", action="store_true", help="print it as JSON")
    actions.add_parser("verify", help="check every bundled file against the manifest, and load it")
    _add_import(actions.add_parser("import", help="convert a published checkpoint"))
    export = actions.add_parser("export", help="write weights for other programs")
    export.add_argument("name", help="name of bundled weights, or a .safetensors file")
    export.add_argument(
        "out",
        type=Path,
        help=".safetensors: tensors with the description of their network, for this program; "
        ".pth: the layout of the published CiaoSR program, for networks that it supports",
    )
    _add_writing(export)
    mean = actions.add_parser("mean", help="average weights that were trained from common ones")
    mean.description = (
        "Write the weighted mean of several files of one network. It is often better than each of "
        "them if they were trained from common weights. Fewer residual blocks count as more that "
        "change nothing."
    )
    mean.add_argument("out", type=Path, metavar="OUT", help=f"{SUFFIX} file to write")
    mean.add_argument(
        "weights",
        nargs="+",
        metavar="WEIGHTS=SHARE",
        help=f"name of bundled weights or a {SUFFIX} file, and its share relative to the others",
    )
    _add_writing(mean)
    return parser


def _add_writing(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--half", action="store_true", help=f"store {SUFFIX} in fp16, as bundled weights are"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")


def _add_import(parser: ArgumentParser) -> None:
    parser.description = (
        "Read a published checkpoint of CiaoSR, LIIF or LTE (with EDSR, RDN or SwinIR; layouts "
        "state_dict or model.sd) without executing any code in it. Writes OUT, for --weights, and "
        "beside it a .toml on its origin, in the form of the manifest."
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the checkpoint")
    parser.add_argument(
        "out",
        type=Path,
        nargs="?",
        metavar="OUT",
        help=f"file to write (default: FILE with the ending {SUFFIX})",
    )
    parser.add_argument(
        "--window",
        type=int,
        default=PUBLISHED_WINDOW,
        metavar="PX",
        help="window of CiaoSR's cross-scale attention; 0 attends to the whole frame, which needs "
        "memory for large pictures (default: %(default)s, as published)",
    )
    parser.add_argument(
        "--no-residual",
        action="store_true",
        help="the network does not add the bilinear enlargement, as the published real-world ones "
        "of CiaoSR; LIIF never does",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")


def run(arguments: Namespace) -> int:
    """Run the action; raises WeightsError for an invalid file."""
    match arguments.action:
        case "list":
            return _list()
        case "show":
            return _show(arguments.name, as_json=arguments.json)
        case "verify":
            return _verify()
        case "import":
            return _import(arguments)
        case "mean":
            return _mean(arguments)
    return _export(arguments)


def _list() -> int:
    from ciaovideo.models.weights import read_manifest

    for name, entry in read_manifest().items():
        family = f" (of {entry.family})" if entry.family else ""
        print(f"{name}: {entry.summary}{family}")
    return 0


def _show(name: str, *, as_json: bool) -> int:
    from ciaovideo.models.weights import find_members, read_entries

    if name.endswith(SUFFIX):
        notes = Path(name).with_suffix(".toml")
        entries = list(read_entries(notes, WITHOUT_NOTES).values())[:1]
        if not entries:
            raise CorruptWeightsError(f"{notes} is empty", WITHOUT_NOTES)
    else:
        entries = find_members(name)
    tables = [dataclasses.asdict(entry) for entry in entries]
    whole = json.dumps(tables[0] if len(tables) == 1 else tables, default=str, indent=2)
    print(whole if as_json else "\n\n".join(map(describe, entries)))
    return 0


def _verify() -> int:
    from ciaovideo.models.weights import load_bundled, read_manifest

    for name, entry in read_manifest().items():
        network = load_bundled(name)
        count = sum(weight.numel() for weight in network.parameters())
        if not all(bool(weight.isfinite().all()) for weight in network.parameters()):
            raise CorruptWeightsError(f"{entry.path} contains NaN or Inf")
        print(f"{name}: {entry.path.name} matches the manifest, {count} weights")
    return 0


def _import(arguments: Namespace) -> int:
    import torch

    from ciaovideo.models.decoders import DECODERS
    from ciaovideo.models.foreign import Unsaid, read_foreign
    from ciaovideo.models.protocols import Scales
    from ciaovideo.models.weights import WeightsEntry, entry_text, file_sha256, save
    from ciaovideo.storage.atomic import replacing

    source: Path = arguments.file
    out: Path = arguments.out or source.with_suffix(SUFFIX)
    _check_output(source, out, (SUFFIX,), overwrite=arguments.overwrite)
    if arguments.window < 0:
        raise OptionError(
            f"window must be 0 px or more, got {arguments.window}", "0 means the whole frame"
        )
    unsaid = Unsaid(arguments.window or None, not arguments.no_residual)
    spec, tensors = read_foreign(source, unsaid)
    count = sum(tensor.numel() for tensor in tensors.values())
    network = f"{DECODERS[spec.decoder].__name__} with {spec.encoder}, {count} weights"
    try:
        with replacing(out) as part:
            save(part, spec, tensors, torch.float32)
        entry = WeightsEntry(
            name=out.stem,
            path=out,
            sha256=file_sha256(out),
            summary=f"{network}, imported from {source.name}",
            recipe=f"unknown; {source.name} has SHA-256 {file_sha256(source)}",
            data="unknown",
            licence="that of the imported file",
            steps=0,
            scales=Scales(1.0, 4.0),
            devices=("cuda",),
            psnr={},
        )
        with replacing(out.with_suffix(".toml")) as part:
            part.write_text(entry_text(entry), encoding="utf-8")
    except OSError as cause:
        raise _unwritten(out, cause) from cause
    print(f"wrote {out}: {network}; use it with --weights {out}")
    return 0


def _export(arguments: Namespace) -> int:
    import torch

    from ciaovideo.models.foreign.ciaosr import to_published
    from ciaovideo.models.weights import read_tensors, save
    from ciaovideo.storage.atomic import replacing

    out: Path = arguments.out
    source = _file_of(arguments.name)
    _check_output(source, out, (SUFFIX, ".pth"), overwrite=arguments.overwrite)
    if arguments.half and out.suffix == ".pth":
        raise OptionError("--half has no effect on .pth files", f"leave it out, or write {SUFFIX}")
    spec, tensors = read_tensors(source)
    content = to_published(spec, tensors) if out.suffix == ".pth" else None
    try:
        with replacing(out) as part:
            if content is None:
                save(part, spec, tensors, torch.float16 if arguments.half else torch.float32)
            else:
                torch.save(content, part)
    except (OSError, RuntimeError) as cause:  # torch's writer: RuntimeError
        raise _unwritten(out, cause) from cause
    print(f"wrote {out}")
    return 0


def _mean(arguments: Namespace) -> int:
    import torch

    from ciaovideo.models.means import weighted_mean
    from ciaovideo.models.weights import load_file, read_tensors, save
    from ciaovideo.storage.atomic import replacing

    out: Path = arguments.out
    parts = [_part(text) for text in arguments.weights]
    for source, _ in parts:
        _check_output(source, out, (SUFFIX,), overwrite=arguments.overwrite)
    specs = [read_tensors(source)[0] for source, _ in parts]
    for (source, _), spec in zip(parts, specs, strict=True):
        if _without_depth(spec) != _without_depth(specs[0]):
            raise MismatchedWeightsError(
                f"{source} is of another network than {parts[0][0]}", "name weights of one network"
            )
    networks = [load_file(source) for source, _ in parts]
    made = weighted_mean(networks, [share for _, share in parts])
    spec = specs[next(at for at, network in enumerate(networks) if network is made)]
    try:
        with replacing(out) as part:
            dtype = torch.float16 if arguments.half else torch.float32
            save(part, spec, made.state_dict(), dtype)
    except OSError as cause:
        raise _unwritten(out, cause) from cause
    print(f"wrote {out}: mean of {len(parts)}")
    return 0


def _part(text: str) -> tuple[Path, float]:
    """A file of weights and its share, by its words on the command line."""
    name, _, number = text.rpartition("=")
    try:
        share = float(number)
    except ValueError as cause:
        raise OptionError(
            f"{text} has no share", "write WEIGHTS=SHARE, such as ciaosr-fast=0.15"
        ) from cause
    return _file_of(name), share


def _without_depth(spec: "NetworkSpec") -> "NetworkSpec":
    """The specification without its number of residual blocks, in which weights may differ."""
    options = {key: value for key, value in spec.encoder_options.items() if key != "blocks"}
    return dataclasses.replace(spec, encoder_options=options)


def _file_of(name: str) -> Path:
    """The file of bundled weights, or the one that is named itself."""
    from ciaovideo.models.weights import find_weights

    return Path(name) if name.endswith(SUFFIX) else find_weights(name).path


def _check_output(source: Path, out: Path, suffixes: tuple[str, ...], *, overwrite: bool) -> None:
    if out.suffix not in suffixes:
        raise OptionError(
            f"{out} has no suffix for weights", f"end its name in {' or '.join(suffixes)}"
        )
    if out.exists() and source.exists() and out.samefile(source):
        raise OutputExistsError(f"{out} is the input itself", "name another output")
    if out.exists() and not overwrite:
        raise OutputExistsError(f"{out} already exists", "choose another name, or give --overwrite")


def _unwritten(out: Path, cause: Exception) -> EncodeError:
    return EncodeError(f"{out} cannot be written ({cause})", "name another folder, or make room")


def describe(entry: "WeightsEntry") -> str:
    """An entry of the manifest as lines of text."""
    rows = {
        "file": entry.path,
        "sha256": entry.sha256,
        "summary": entry.summary,
        "recipe": f"{entry.recipe}, {entry.steps} steps, scales {entry.scales}",
        "data": entry.data,
        "licence": entry.licence,
        "meant for": ", ".join(entry.devices),
    }
    for dataset, scores in entry.psnr.items():
        figures = (f"{scale} {psnr:.2f}" for scale, psnr in scores.items())
        rows[dataset] = f"{', '.join(figures)} dB"
    return "\n".join(f"{name:10} {text}" for name, text in rows.items())

"""The architecture as tests: floors, homes of packages, limits, documentation, names."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "ciaovideo"
SOURCES = sorted(PACKAGE.rglob("*.py"))
PLUGINS = sorted((ROOT / "plugins").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

# A part may import itself and what stands on lower floors: no neighbour, nothing above.
FLOORS = (
    ("errors",),
    ("config", "registry", "findings"),
    ("options",),
    ("grid", "tiling", "storage"),
    ("ops",),
    ("color",),  # its fused twins are in ops
    ("models", "media", "metrics", "plot"),
    ("engine", "data"),
    ("pipeline", "train", "evaluate"),
    ("bench",),  # it measures whole runs, so it stands above the pipeline
    ("jobs",),
    ("cli",),
    ("__init__", "__main__"),
)
FLOOR = {part: number for number, parts in enumerate(FLOORS) for part in parts}

# Where a package may be imported at all; a part, or one file of a part. No one else knows of it.
HOME = {
    "PIL": {"data", "evaluate", "cli", "plot", "train"},
    "argparse": {"cli"},
    "av": {"media"},
    "dask": {"jobs/cluster"},
    "distributed": {"jobs/cluster"},
    "ffmpeg": {"media/ffmpeg/program"},
    "safetensors": {"models/tensor_file"},
    "tqdm": {"cli", "train"},
    "triton": {"ops"},
    "vapoursynth": set[str](),
}
# These answer `--help`: torch would cost seconds. In cli/, functions may import it.
WITHOUT_TORCH = {"errors", "findings", "config", "registry", "options", "__init__", "__main__"}

FILE_LINES = 500
FUNCTION_LINES = 60
POSITIONAL = 5

BANNED_MODULES = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}
BANNED_NAMES = BANNED_MODULES | {"ret", "inp", "tmp", "lst"}

type Function = ast.FunctionDef | ast.AsyncFunctionDef


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported anywhere, functions included, by its dotted name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            assert node.module is not None
            if node.module == "ciaovideo":  # parts, or public names
                yield from (f"ciaovideo.{alias.name}" for alias in node.names)
            else:
                yield node.module


def part_imported(name: str) -> str:
    """The part that a dotted name of ours lies in; public names lie in ``__init__``."""
    part = name.partition(".")[2].partition(".")[0]
    return part if (PACKAGE / part).is_dir() or (PACKAGE / f"{part}.py").is_file() else "__init__"


def functions(tree: ast.AST) -> Iterator[Function]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def decorators(node: Function) -> set[str]:
    return {ast.unparse(decorator).partition("(")[0] for decorator in node.decorator_list}


def undocumented(tree: ast.Module) -> Iterator[str]:
    """Public modules, classes, functions and methods without a docstring.

    Free of the duty: what the data model or ``forward`` of a network defines, since the class says
    it; what overrides a documented method; the setter beside a documented property.
    """
    if not ast.get_docstring(tree):
        yield "the module"
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            if not ast.get_docstring(node):
                yield node.name
            yield from _undocumented_in(node.body, f"{node.name}.")
    yield from _undocumented_in(tree.body, "")


def _undocumented_in(body: list[ast.stmt], prefix: str) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            free = {"override", "overload", f"{node.name}.setter"} & decorators(node)
            public = not node.name.startswith("_") and node.name != "forward"
            if public and not free and not ast.get_docstring(node):
                yield prefix + node.name


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


every_source = pytest.mark.parametrize("path", SOURCES, ids=relative)
every_shipped_file = pytest.mark.parametrize("path", SOURCES + PLUGINS, ids=relative)
every_file = pytest.mark.parametrize("path", SOURCES + PLUGINS + TESTS, ids=relative)


@every_source
def test_imports_point_down(path: Path) -> None:
    here = part_of(path)
    assert here in FLOOR, f"{here} has no floor: enter it in FLOORS"
    for name in imported(parsed(path)):
        if name.partition(".")[0] == "ciaovideo":
            there = part_imported(name)
            assert there == here or FLOOR[there] < FLOOR[here], f"{here} reaches up to {there}"


@every_source
def test_packages_stay_in_their_home(path: Path) -> None:
    here = part_of(path)
    file = str(path.relative_to(PACKAGE).with_suffix(""))
    for name in imported(parsed(path)):
        root = name.partition(".")[0]
        assert {here, file} & HOME.get(root, {here}), f"{root} belongs in {HOME[root]} only"
        assert root != "torch" or here not in WITHOUT_TORCH, f"{here} has to do without torch"


@pytest.mark.parametrize("path", sorted((PACKAGE / "cli").rglob("*.py")), ids=relative)
def test_commands_import_torch_late(path: Path) -> None:
    at_import = ast.Module([node for node in parsed(path).body if not late(node)], [])
    roots = {name.partition(".")[0] for name in imported(at_import)}
    assert not roots & {"torch", "numpy", "av", "PIL"}
    parts = {part_imported(name) for name in imported(at_import) if name.startswith("ciaovideo.")}
    assert parts <= WITHOUT_TORCH | {"cli"}, "import it inside the function that needs it"


def late(node: ast.stmt) -> bool:
    """Code that does not run at import: functions, classes' methods, blocks for type checkers."""
    if isinstance(node, ast.If):
        return ast.unparse(node.test).endswith("TYPE_CHECKING")
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)


@pytest.mark.parametrize("path", PLUGINS, ids=relative)
def test_plugins_see_public_names_only(path: Path) -> None:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ciaovideo"):
            assert node.module in ("ciaovideo", "ciaovideo.errors", "ciaovideo.options")
            assert not any(alias.name.startswith("_") for alias in node.names)
        elif isinstance(node, ast.Import):
            assert not any(alias.name.startswith("ciaovideo.") for alias in node.names)


@every_file
def test_a_file_is_short_enough_to_be_read(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= FILE_LINES


@every_file
def test_a_function_is_short_enough_to_be_read(path: Path) -> None:
    for function in functions(parsed(path)):
        lines = (function.end_lineno or 0) - function.lineno + 1
        assert lines <= FUNCTION_LINES, f"{function.name} has {lines} lines"


@every_shipped_file
def test_a_function_takes_few_positional_parameters(path: Path) -> None:
    for function in functions(parsed(path)):
        if "triton.jit" in decorators(function):
            continue  # a kernel takes pointers, strides and block sizes, and no objects
        names = [arg.arg for arg in (*function.args.posonlyargs, *function.args.args)]
        if names and names[0] in ("self", "cls", "ctx"):
            names = names[1:]
        assert len(names) <= POSITIONAL, f"{function.name}: make them keywords, or a config"


@every_shipped_file
def test_every_public_name_is_documented(path: Path) -> None:
    assert not list(undocumented(parsed(path)))


@every_file
def test_no_bare_except(path: Path) -> None:
    for node in ast.walk(parsed(path)):
        assert not (isinstance(node, ast.ExceptHandler) and node.type is None), node.lineno


@every_shipped_file
def test_only_the_command_line_prints(path: Path) -> None:
    if path.is_relative_to(PACKAGE / "cli"):
        return
    calls = (node.func for node in ast.walk(parsed(path)) if isinstance(node, ast.Call))
    assert "print" not in {call.id for call in calls if isinstance(call, ast.Name)}


@every_shipped_file
def test_the_library_does_not_speak_of_flags(path: Path) -> None:
    if path.is_relative_to(PACKAGE / "cli"):
        return
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            assert not re.search(r"(?<![\w-])--[a-z]{2,}", node.value.replace("``--help``", "")), (
                f"line {node.lineno}: only cli/ knows that there are flags"
            )


@every_file
def test_work_left_to_do_has_a_number(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\b(TODO|FIXME|XXX)\b(?! ?\(#\d+\))", text) or path == Path(__file__)


@every_file
def test_names_mean_something(path: Path) -> None:
    assert not BANNED_MODULES & {path.stem, path.parent.name}
    for node in ast.walk(parsed(path)):
        match node:
            case ast.Name(id=name) | ast.arg(arg=name) | ast.alias(asname=str(name)):
                words = {name}
            case ast.FunctionDef(name=name):
                words = {name}
            case ast.ClassDef(name=name):
                words = {word.lower() for word in re.findall(r"[A-Z]?[a-z]+", name)}
            case _:
                continue
        assert not words & BANNED_NAMES, f"line {getattr(node, 'lineno', '?')}: {name}"


def loaded_by(script: str) -> set[str]:
    """The top-level packages that a fresh interpreter holds after a script."""
    script += "\nimport sys; print('\\n'.join({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines())


@pytest.mark.parametrize(
    "script",
    [
        "import ciaovideo",
        "import ciaovideo.options, ciaovideo.registry",
        """
import sys
sys.argv = ["ciaovideo", "--help"]
from ciaovideo.cli.main import main
try:
    main()
except SystemExit as done:
    assert not done.code
""",
    ],
    ids=["import", "options", "help"],
)
def test_what_must_be_quick_loads_nothing_heavy(script: str) -> None:
    assert not loaded_by(script) & {"torch", "av", "numpy", "PIL", "triton", "vapoursynth"}


def test_public_names_are_there() -> None:
    import ciaovideo

    assert ciaovideo.__all__
    for name in ciaovideo.__all__:
        assert getattr(ciaovideo, name) is not None
        assert name in dir(ciaovideo)

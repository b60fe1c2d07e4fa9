"""The architecture as tests: floors, homes of packages, limits, documentation, names."""

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
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
    ("allocation", "config", "registry", "findings", "notation"),
    ("options",),
    ("grid", "tiling", "storage", "charts"),
    ("ops",),
    ("color",),  # its fused twins are in ops
    ("models", "media", "metrics", "pages", "grain"),
    ("engine", "data"),
    ("pipeline", "train", "evaluate"),
    ("bench", "report"),  # they look at whole runs, so they stand above the pipeline
    ("jobs",),
    ("cli",),
    ("__init__", "__main__"),
)
FLOOR = {part: number for number, parts in enumerate(FLOORS) for part in parts}

# Where a package may be imported at all; a part, or one file of a part. No one else knows of it.
HOME = {
    "PIL": {"data", "evaluate"},
    "argparse": {"cli"},
    "av": {"media"},
    "dask": {"jobs/workers/cluster"},
    "distributed": {"jobs/workers/cluster"},
    "ffmpeg": {"media/ffmpeg/program"},
    "jinja2": {"pages"},
    "matplotlib": {"charts", "pages/inline", "train/report/curves"},
    "safetensors": {"models/tensor_file"},
    "tqdm": {"cli", "train"},
    "triton": {"ops"},
    "vapoursynth": set[str](),
}
# These answer `--help`: torch would cost seconds. In cli/, functions may import it.
WITHOUT_TORCH = {
    *("errors", "allocation", "findings", "config", "registry", "notation", "options", "storage"),
    *("__init__", "__main__"),
}

FILE_LINES = 400
FUNCTION_LINES = 50
FOLDER_FILES = 12
TEST_FILE_LINES = 500  # a table of cases is read row by row
POSITIONAL = 5

BANNED_MODULES = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}
BANNED_NAMES = BANNED_MODULES | {"ret", "inp", "tmp", "lst"}

type Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(text_of(path), str(path))


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Everything in a file, by breadth; each file is walked once for all tests."""
    return tuple(ast.walk(parsed(path)))


@cache
def functions(path: Path) -> tuple[Function, ...]:
    return tuple(
        node for node in nodes(path) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def at(path: Path, node: ast.AST | None = None) -> str:
    """Where an offender is, as editors open it."""
    place = str(path.relative_to(ROOT))
    return f"{place}:{getattr(node, 'lineno', 1)}"


def refuse(offenders: Iterable[str], hint: str = "") -> None:
    """Fail with the whole list, which pytest would cut."""
    found = list(offenders)
    assert not found, "\n".join([hint, *found])


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(found: Iterable[ast.AST]) -> Iterator[str]:
    """Every module that these nodes import, by its dotted name."""
    for node in found:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module == "ciaovideo":  # parts, or public names
                yield from (f"ciaovideo.{alias.name}" for alias in node.names)
            else:
                yield node.module or ""


def part_imported(name: str) -> str:
    """The part that a dotted name of ours lies in; public names lie in ``__init__``."""
    part = name.partition(".")[2].partition(".")[0]
    return part if (PACKAGE / part).is_dir() or (PACKAGE / f"{part}.py").is_file() else "__init__"


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


def test_every_part_has_a_floor() -> None:
    refuse({part_of(path) for path in SOURCES} - set(FLOOR), "enter it in FLOORS")


def test_imports_point_down() -> None:
    wrong = []
    for path in SOURCES:
        here = part_of(path)
        for name in imported(nodes(path)):
            if name.partition(".")[0] == "ciaovideo":
                there = part_imported(name)
                if there != here and FLOOR[there] >= FLOOR[here]:
                    wrong.append(f"{at(path)}: {here} reaches up to {there}")
    refuse(wrong)


def test_packages_stay_in_their_home() -> None:
    wrong = []
    for path in SOURCES:
        here, file = part_of(path), str(path.relative_to(PACKAGE).with_suffix("").as_posix())
        for name in imported(nodes(path)):
            root = name.partition(".")[0]
            if not {here, file} & HOME.get(root, {here}):
                wrong.append(f"{at(path)}: {root} belongs in {HOME[root]} only")
            if root == "torch" and here in WITHOUT_TORCH:
                wrong.append(f"{at(path)}: {here} has to do without torch")
    refuse(wrong)


def test_commands_import_torch_late() -> None:
    wrong = []
    for path in sorted((PACKAGE / "cli").rglob("*.py")):
        at_import = ast.Module([node for node in parsed(path).body if not late(node)], [])
        names = list(imported(ast.walk(at_import)))
        heavy = {name.partition(".")[0] for name in names} & {"torch", "numpy", "av", "PIL"}
        parts = {part_imported(name) for name in names if name.startswith("ciaovideo.")}
        for name in heavy | (parts - WITHOUT_TORCH - {"cli"}):
            wrong.append(f"{at(path)}: import {name} inside the function that needs it")
    refuse(wrong)


def late(node: ast.stmt) -> bool:
    """Code that does not run at import: functions, classes' methods, blocks for type checkers."""
    if isinstance(node, ast.If):
        return ast.unparse(node.test).endswith("TYPE_CHECKING")
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)


def test_plugins_see_public_names_only() -> None:
    wrong = []
    for path in PLUGINS:
        for node in nodes(path):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ciaovideo"):
                public = node.module in ("ciaovideo", "ciaovideo.errors", "ciaovideo.options")
                if not public or any(alias.name.startswith("_") for alias in node.names):
                    wrong.append(at(path, node))
            elif isinstance(node, ast.Import) and any(
                alias.name.startswith("ciaovideo.") for alias in node.names
            ):
                wrong.append(at(path, node))
    refuse(wrong)


def test_a_file_is_short_enough_to_be_read() -> None:
    wrong = []
    for most, paths in ((FILE_LINES, SOURCES + PLUGINS), (TEST_FILE_LINES, TESTS)):
        lines = {at(path): len(text_of(path).splitlines()) for path in paths}
        wrong += [f"{file} {count}" for file, count in lines.items() if count > most]
    refuse(wrong)


def test_tests_share_modules_of_their_own() -> None:
    """What two test modules use stands beside them: a test module may change for itself."""
    refuse(
        f"{at(path)} {name}"
        for path in TESTS
        for name in imported(nodes(path))
        if re.search(r"^tests\..*\btest_", name)
    )


def test_a_folder_is_small_enough_to_be_seen() -> None:
    folders = Counter(path.parent for path in SOURCES + PLUGINS)
    named = {folder.relative_to(ROOT).as_posix(): count for folder, count in folders.items()}
    wrong = {folder: count for folder, count in named.items() if count > FOLDER_FILES}
    refuse(f"{folder} {count}" for folder, count in wrong.items())


@pytest.mark.heavy
def test_a_function_is_short_enough_to_be_read() -> None:
    lines = {
        f"{at(path, function)} {function.name}": (function.end_lineno or 0) - function.lineno + 1
        for path in SOURCES + PLUGINS + TESTS
        for function in functions(path)
    }
    refuse(f"{place} {count}" for place, count in lines.items() if count > FUNCTION_LINES)


def test_a_function_takes_few_positional_parameters() -> None:
    wrong = []
    for path in SOURCES + PLUGINS:
        for function in functions(path):
            if "triton.jit" in decorators(function):
                continue  # a kernel takes pointers, strides and block sizes, and no objects
            names = [arg.arg for arg in (*function.args.posonlyargs, *function.args.args)]
            if names and names[0] in ("self", "cls", "ctx"):
                names = names[1:]
            if len(names) > POSITIONAL:
                wrong.append(f"{at(path, function)} {function.name}")
    refuse(wrong, "make them keywords, or a config")


def test_every_public_name_is_documented() -> None:
    refuse(
        f"{at(path)} {name}" for path in SOURCES + PLUGINS for name in undocumented(parsed(path))
    )


def test_no_bare_except() -> None:
    refuse(
        at(path, node)
        for path in SOURCES + PLUGINS + TESTS
        for node in nodes(path)
        if isinstance(node, ast.ExceptHandler) and node.type is None
    )


def outside_cli() -> list[Path]:
    """The files that neither print nor know that there are flags."""
    return [path for path in SOURCES + PLUGINS if not path.is_relative_to(PACKAGE / "cli")]


def test_only_the_command_line_prints() -> None:
    refuse(
        at(path, node)
        for path in outside_cli()
        for node in nodes(path)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    )


def test_the_library_does_not_speak_of_flags() -> None:
    flag = re.compile(r"(?<![\w-])--[a-z]{2,}")
    refuse(
        at(path, node)
        for path in outside_cli()
        for node in nodes(path)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and flag.search(node.value.replace("``--help``", ""))
    )


def test_work_left_to_do_has_a_number() -> None:
    left = re.compile(r"\b(TODO|FIXME|XXX)\b(?! ?\(#\d+\))")
    files = [path for path in SOURCES + PLUGINS + TESTS if path != Path(__file__)]
    refuse(at(path) for path in files if left.search(text_of(path)))


def test_names_mean_something() -> None:
    wrong = []
    for path in SOURCES + PLUGINS + TESTS:
        if BANNED_MODULES & {path.stem, path.parent.name}:
            wrong.append(at(path))
        for node in nodes(path):
            match node:
                case ast.Name(id=name) | ast.arg(arg=name) | ast.alias(asname=str(name)):
                    words = {name}
                case ast.FunctionDef(name=name):
                    words = {name}
                case ast.ClassDef(name=name):
                    words = {word.lower() for word in re.findall(r"[A-Z]?[a-z]+", name)}
                case _:
                    continue
            if words & BANNED_NAMES:
                wrong.append(f"{at(path, node)} {name}")
    refuse(wrong)


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

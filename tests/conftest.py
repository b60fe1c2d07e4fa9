"""For every test: a restored random state, honest skips, and the shared data where there is one."""

import os
import signal
from pathlib import Path
from typing import Any

# Before torch is imported by anything. One thread to a process: the pictures are small, tests run
# side by side, and sums are the same on every number of cores. Idle threads, where a test asks for
# more, sleep instead of spinning.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("SVT_LOG", "1")
# Triton's own functions are interpreted, too, only if it is told so before anyone imports it.
if not Path("/dev/nvidiactl").exists():
    os.environ.setdefault("TRITON_INTERPRET", "1")

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # begun in the background by a shell
    signal.signal(signal.SIGINT, signal.default_int_handler)  # processes under test inherit it
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:  # begun by nohup, which they inherit as well
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

import importlib
import importlib.util
import random
import sys
from collections.abc import Callable, Iterator

import pytest

from tests import clips, processes, skips

ROOT = Path(__file__).resolve().parents[1]
REQUIRED = frozenset(filter(None, os.environ.get("CIAOVIDEO_REQUIRE", "").split(",")))

if importlib.util.find_spec("hypothesis"):  # a GPU machine with little installed has none
    import hypothesis

    # Machines that run tests are busy ones: a slow example is not a wrong one. The examples are the
    # same in every run and on every machine, but where CI looks for new ones.
    hypothesis.settings.register_profile(
        "house",
        deadline=None,
        derandomize=not os.environ.get("CIAOVIDEO_NEW_EXAMPLES"),
        database=None,  # a checkout need not be writable
        max_examples=60,
        print_blob=True,
    )
    hypothesis.settings.load_profile("house")


def _cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def _vapoursynth() -> bool:
    return importlib.util.find_spec("vapoursynth") is not None


NEEDS = {"gpu": _cuda, "vapoursynth": _vapoursynth}


def pytest_configure(config: pytest.Config) -> None:
    """A folder for clips; workers of pytest-xdist get that of the process that starts them."""
    if not hasattr(config, "workerinput"):
        clips.open_folder()


def pytest_unconfigure(config: pytest.Config) -> None:
    """The folder ends with the process that began it, and each one's zygote with it."""
    processes.own.close()
    if not hasattr(config, "workerinput"):
        clips.close_folder()


def pytest_addoption(parser: pytest.Parser) -> None:
    """--shuffle=SEED and --again=RUN.xml."""
    parser.addoption(
        "--shuffle", type=int, metavar="SEED", help="run the tests in an order drawn with this seed"
    )
    parser.addoption(
        "--again", type=Path, metavar="RUN.xml", help="run what that run skipped (its --junitxml)"
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Every order has to do; workers of pytest-xdist need to agree on one."""
    before = config.getoption("--again")
    if before is not None:
        wanted = skips.skipped(before)
        chosen = [item for item in items if {(place := _place(item)), (place[0], "")} & set(wanted)]
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = chosen
    seed = config.getoption("--shuffle")
    if seed is not None:
        random.Random(seed).shuffle(items)


def _place(item: pytest.Item) -> tuple[str, str]:
    """Module and name, as junit has them."""
    return item.nodeid.partition("::")[0].removesuffix(".py").replace("/", "."), item.name


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this machine cannot run; fail instead where CIAOVIDEO_REQUIRE names it."""
    for marker, available in NEEDS.items():
        if item.get_closest_marker(marker) and not available():
            if marker in REQUIRED:
                pytest.fail(f"CIAOVIDEO_REQUIRE names {marker}, and there is none", pytrace=False)
            pytest.skip(f"no {marker} here")


@pytest.fixture(autouse=True)
def _priority() -> Iterator[None]:
    """Undo what SVT-AV1 does to all threads of a superuser's process that opens it by itself."""
    from ciaovideo.media.scheduling import ordinary_priority

    with ordinary_priority():
        yield


@pytest.fixture(autouse=True)
def _random_state() -> Iterator[None]:
    """Give back the random state of each library that the session has loaded."""
    torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
    python_state = random.getstate()
    numpy_state = numpy.random.get_state() if numpy else None
    torch_state = torch.get_rng_state() if torch else None
    yield
    random.setstate(python_state)
    if numpy and numpy_state is not None:
        numpy.random.set_state(numpy_state)
    if torch and torch_state is not None:
        torch.set_rng_state(torch_state)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of large test data beside the project, where a machine has one."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("no folder shared/ beside the project: its test data are not here")
    return folder


@pytest.fixture
def forked_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers of a batch in this process need not import torch: they are forked."""
    zygote = processes.own()
    if zygote is not None:
        spawn = processes.spawning_by(zygote)
        monkeypatch.setattr("multiprocessing.util.spawnv_passfds", spawn)


@pytest.fixture
def no_pyav(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without PyAV: what needs it is forgotten here, and cannot be imported again."""
    names = ("ciaovideo.media", "ciaovideo.evaluate.clips")
    for name in names:  # all of them before any is forgotten: the second imports the first
        parent, _, child = name.rpartition(".")
        importlib.import_module(name)
        package = importlib.import_module(parent)
        monkeypatch.setattr(package, child, getattr(package, child))  # to be put back as well
    for module in [module for module in sys.modules if module.startswith(names)]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "av", None)


@pytest.fixture
def openings(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], int]:
    """Counts how often a file was opened through PyAV since the test began."""
    import av

    opened: list[Path] = []
    really: Any = av.open

    def open_and_count(file: Any, mode: str = "r", *words: Any, **named: Any) -> Any:
        if mode == "r" and isinstance(file, str | Path):
            opened.append(Path(file).resolve())
        return really(file, mode, *words, **named)

    monkeypatch.setattr(av, "open", open_and_count)
    return lambda path: opened.count(path.resolve())


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of this test compute on one thread, as they do on a machine of one core."""
    monkeypatch.setattr("torch.get_num_threads", lambda: 1)

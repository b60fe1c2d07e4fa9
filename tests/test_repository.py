"""The repository as tests: what lies at its root, what is written nowhere, what users read."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.documents import DOCUMENTS, ROOT, commands, lines, text_of
from tests.model_cards import cards

TOP_LEVEL = {
    "ciaovideo",
    "plugins",
    "weights",
    "tests",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "Makefile",
    "constraints.txt",
}

SOURCES = sorted((ROOT / "ciaovideo").rglob("*.py"))


def tracked() -> list[str]:
    """What git holds or would hold, as paths from the root."""
    if shutil.which("git") is None:
        pytest.skip("no git on this system")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("git knows no repository here, or does not trust its owner")
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def test_the_root_holds_what_was_agreed_and_no_more() -> None:
    top = {name.partition("/")[0] for name in tracked()}
    visible = {name for name in top if not name.startswith(".")}
    assert visible <= TOP_LEVEL
    assert visible >= TOP_LEVEL - {"plugins"}  # a folder is there once something is in it


def test_no_address_of_a_package_index_is_written_down() -> None:
    names = tracked()
    assert "uv.lock" not in {Path(name).name for name in names}
    address = re.compile(
        rb"pypi[.]org|pythonhosted[.]org|download[.]pytorch[.]org|npmjs[.]org|conda[.]anaconda[.]org"
        rb"|deb[.]debian[.]org|index-url|tool[.]uv[.]index"
    )
    for name in names:
        if (ROOT / name) != Path(__file__):
            found = address.search((ROOT / name).read_bytes())
            assert found is None, f"{name} names {found}"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_command_is_understood(name: str) -> None:
    from ciaovideo.cli.main import parse_args

    for words in commands(name):
        try:
            parse_args(words)
        except SystemExit as done:  # --help and --version leave with 0
            if done.code:
                pytest.fail(f"not understood: ciaovideo {shlex.join(words)}")


def test_the_documents_show_commands() -> None:
    assert len(commands("README.md")) >= 10
    assert sum(len(commands(name)) for name in DOCUMENTS) >= 40


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_script_that_is_named_is_there_and_knows_its_options(name: str) -> None:
    for line in lines(name):
        found = re.search(r"python (?:-m (tests[.\w]+)|(tests/[/\w]+[.]py))(.*)", line)
        if found:
            path = ROOT / (found[2] or f"{found[1].replace('.', '/')}.py")
            source = path.read_text(encoding="utf-8")
            for option in re.findall(r"(--[a-z-]+)", found[3]):
                assert f'"{option}"' in source, f"{path} has no {option}"


@pytest.mark.parametrize("name", [*DOCUMENTS, ".github/CONTRIBUTING.md", ".github/CHANGELOG.md"])
def test_every_link_leads_somewhere(name: str) -> None:
    for place in re.findall(r"\]\(([^)]+)\)", text_of(name)):
        if place.startswith("https://"):
            continue
        path, _, part = place.partition("#")
        target = ((ROOT / name).parent / path).resolve() if path else ROOT / name
        assert target.is_relative_to(ROOT)
        assert target.exists(), f"{name} leads to {place}"
        if part:
            headings = re.findall(r"^#+ (.*)", target.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings}
            assert part in anchors, f"{name}: no heading for #{part}"


def test_the_table_of_encoders_is_that_of_the_containers() -> None:
    from ciaovideo.media.containers import CONTAINERS

    rows = re.findall(r"^\| (`[.].*`) \| (.*) \| (.*) \|$", text_of(DOCUMENTS[1]), re.MULTILINE)
    shown = {names: (re.sub(r" \(.*?\)", "", held), chosen) for names, held, chosen in rows}
    files = [container for container in CONTAINERS.values() if not container.bare]
    assert len(shown) == len(files)
    for container in files:
        held, chosen = shown[", ".join(f"`{suffix}`" for suffix in container.suffixes)]
        assert {*held.split(", ")} == container.codecs - {"ffmpeg"}
        automatic = [name for _, _, name in container.automatic if name in container.codecs]
        assert chosen.split(", ") == automatic


def test_the_readme_is_short() -> None:
    assert len(text_of("README.md").splitlines()) <= 200


def test_users_are_told_of_no_folder_that_they_do_not_have() -> None:
    """Tests may look for large data beside the checkout; what is read and installed may not."""
    for name in tracked():
        if name in DOCUMENTS or name.startswith(("ciaovideo/", "plugins/", "weights/")):
            assert b"../shared" not in (ROOT / name).read_bytes(), name


def test_the_model_cards_are_those_of_the_manifest() -> None:
    assert text_of("weights/README.md") == cards(), "run: python -m tests.model_cards"


def test_make_has_the_targets_that_the_readme_names() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    assert {"demo", "test", "check", "lint", "types"} <= targets
    readme = text_of("README.md")
    assert set(re.findall(r"^(?:\$ )?make (\w+)", readme, re.MULTILINE)) <= targets


def test_the_way_of_a_frame_names_what_is_there() -> None:
    """Each name stands in the file that the page names after it, one or more in a row."""
    text = (ROOT / ".github/docs/design.md").read_text(encoding="utf-8")
    files = [path.relative_to(ROOT / "ciaovideo").as_posix() for path in SOURCES]
    for name, listed in re.findall(r"`(\w+)(?:\.\w+)?`s?\s\((`[^)]*\.py`)", text):
        named = re.findall(r"`([\w/]+\.py)`", listed)
        found = [file for file in files if file.endswith(tuple(f"/{one}" for one in named))]
        found += [file for file in files if file in named]
        assert found, f"{listed} is not there"
        defined = re.compile(rf"^(class|def) {name}\b", re.MULTILINE)
        places = [(ROOT / "ciaovideo" / file).read_text(encoding="utf-8") for file in found]
        assert any(map(defined.search, places)), f"{name} is not in {listed}"

"""The repository as tests: what lies at its root, what is written nowhere, what the README says."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
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


def readme_commands() -> list[str]:
    """The lines of README.md's shell blocks that call us, continued lines joined."""
    readme = ROOT / "README.md"
    if not readme.is_file():
        return []
    text = readme.read_text(encoding="utf-8")
    blocks = re.findall(r"^```(?:console|sh|bash|shell)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    plain = (line.strip().removeprefix("$ ").removeprefix(".venv/bin/") for line in lines)
    return [line for line in plain if line.startswith("ciaovideo ")]


def test_the_readme_shows_the_command() -> None:
    assert len(readme_commands()) >= 3


@pytest.mark.parametrize("line", readme_commands())
def test_every_command_in_the_readme_is_understood(line: str) -> None:
    from ciaovideo.cli.main import parse_args

    words = shlex.split(line, comments=True)[1:]
    for sign in ("|", "||", ">", "2>", "&&", ";"):
        if sign in words:
            words = words[: words.index(sign)]
    try:
        parse_args(words)
    except SystemExit as done:  # --help and --version leave with 0
        if done.code:
            pytest.fail(f"not understood: {line}")


def test_make_has_the_targets_that_the_readme_names() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    assert {"demo", "test", "check", "lint", "types"} <= targets
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^(?:\$ )?make (\w+)", readme, re.MULTILINE)) <= targets

"""What users read: the documents, and the commands and scripts in them."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = (
    "README.md",
    ".github/docs/command.md",
    "ciaovideo/evaluate/README.md",
    "ciaovideo/jobs/README.md",
    "ciaovideo/train/README.md",
    "plugins/vapoursynth/README.md",
    "tests/bench/README.md",
    "weights/README.md",
)
SIGNS = frozenset("|&;<>()$`\"'*")  # what makes a line one for a shell


def text_of(name: str) -> str:
    """A document, by its path from the root."""
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name: str, language: str) -> list[str]:
    """The fenced blocks of a language in a document."""
    return re.findall(rf"^```{language}\n(.*?)^```", text_of(name), re.DOTALL | re.MULTILINE)


def lines(name: str) -> list[str]:
    """The lines of a document's shell blocks, continued ones joined, and commands in its tables."""
    text = "".join(blocks(name, "sh")).replace("\\\n", " ")
    shown = [line.strip().removeprefix(".venv/bin/") for line in text.splitlines()]
    return [*shown, *re.findall(r"^\|.*`(ciaovideo [^`]+)`", text_of(name), re.MULTILINE)]


def commands(name: str) -> list[list[str]]:
    """The words of every call of ours in a document, up to where a shell goes on with others."""
    found = []
    for line in lines(name):
        for call in re.findall(r"(?:^|[|] )((?:torchrun .*-m )?ciaovideo .*)", line):
            words = shlex.split(call, comments=True)
            words = words[words.index("ciaovideo") + 1 :]
            ends = [words.index(sign) for sign in ("|", "||", ">", ";") if sign in words]
            found.append(words[: min(ends, default=len(words))])
    return found


def plain_commands(name: str) -> list[str]:
    """Those calls of ours that need no shell, each once."""
    own = [line for line in lines(name) if line.startswith("ciaovideo ")]
    quoted = [line for line in own if not SIGNS & set(re.sub(r'"[^"]*"', "", line))]
    return list(dict.fromkeys(line for line in quoted if not line.endswith("|")))


def shell_blocks(name: str) -> list[str]:
    """The blocks that call us and need a shell."""
    return [
        block
        for block in blocks(name, "sh")
        if re.search(r"ciaovideo .*[|]|[|] ciaovideo|^ +.*ciaovideo|^ffmpeg", block, re.MULTILINE)
    ]

"""What a run reports to its user: chosen, guessed, changed, lost, damaged.

Every part adds a ``Finding`` to a list. The console and JSON print that list, and ``strict`` is a
set of kinds.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction


class Kind(StrEnum):
    """What sort of thing was found, from harmless to grave."""

    CHOSEN = "chosen"  # decided for the user where nothing was asked: a codec, a deinterlacer
    FELL_BACK = "fell back"  # a slower or plainer way took over: fp32, smaller tiles
    GUESSED = "guessed"  # the source does not say: a colour matrix, a frame rate
    CHANGED = "changed"  # carried over in another form: moved times, converted subtitles
    LOST = "lost"  # in the source, and not in the output
    DAMAGED = "damaged"  # the source itself is broken there
    WRONG = "wrong"  # the output is not what it should be; only verification finds it


STRICT = frozenset({Kind.GUESSED, Kind.LOST, Kind.DAMAGED})
"""Kinds that a strict run refuses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was found.

    ``subject`` names what it is about in a word or two (``"audio 2"``, ``"color"``, ``"frame
    1200"``), ``text`` says it in one sentence, and ``at`` is the time in the source in seconds,
    exactly, where there is one.
    """

    kind: Kind
    subject: str
    text: str
    at: Fraction | None = None

    def __str__(self) -> str:
        return self.text

    def plain(self) -> dict[str, str | float | None]:
        """The finding in JSON's types; ``time`` is in seconds, or None."""
        time = None if self.at is None else float(self.at)
        return {"kind": self.kind.value, "subject": self.subject, "text": self.text, "time": time}


def strict_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings that a strict run refuses, in order."""
    return tuple(finding for finding in findings if finding.kind in STRICT)


def thing_of(subject: str) -> str:
    """What a subject is about, without its number: findings of many files are counted by that."""
    return re.sub(r" \d+$", "", subject)


def without_repeats(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Each finding once, where it came first."""
    return tuple(dict.fromkeys(findings))

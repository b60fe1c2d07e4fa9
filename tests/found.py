"""Findings as tests compare them: by kind and subject, for their English may change."""

from collections.abc import Iterable

from ciaovideo.findings import STRICT, Finding, Kind


def by_kind(findings: Iterable[Finding]) -> list[tuple[Kind, str]]:
    """Kind and subject of each, in order."""
    return [(finding.kind, finding.subject) for finding in findings]


def losses_of(findings: Iterable[Finding]) -> list[str]:
    """Subjects of those that a strict run refuses."""
    return [finding.subject for finding in findings if finding.kind in STRICT]

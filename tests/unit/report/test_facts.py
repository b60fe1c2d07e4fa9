"""Facts of a report that come from findings alone."""

from ciaovideo.findings import Finding, Kind
from ciaovideo.report.facts import Fact, Outcome, only_told


def finding(kind: Kind, subject: str, text: str) -> Finding:
    return Finding(kind=kind, subject=subject, text=text)


def test_a_loss_that_neither_file_describes_is_a_fact() -> None:
    """What both describe, or a tag of, has one already."""
    size = Fact(part="video", name="size", source="1", output="2", outcome=Outcome.CHANGED)
    tag = Fact(
        part="metadata", name="metadata: reel", source="A", output="none", outcome=Outcome.LOST
    )
    told = [
        finding(Kind.LOST, "side data", "captions"),
        finding(Kind.LOST, "side data", "user data"),
        finding(Kind.LOST, "metadata", "reel"),
        finding(Kind.LOST, "video", "something of the size"),
        finding(Kind.CHANGED, "times", "moved"),
    ]
    (lost,) = only_told([size, tag], told)
    assert (lost.name, lost.outcome, lost.why) == (
        "side data",
        Outcome.LOST,
        "captions; user data",
    )

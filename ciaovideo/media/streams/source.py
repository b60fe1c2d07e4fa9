"""Opens a file's other streams once: to plan them, then to copy them."""

from typing import Self

from av.container import InputContainer

from ciaovideo.findings import Finding
from ciaovideo.media.containers import Container
from ciaovideo.media.read.probe import SourceFacts
from ciaovideo.media.selection import Selection
from ciaovideo.media.streams.copier import StreamCopier
from ciaovideo.media.streams.plan import StreamPlan, plan_streams
from ciaovideo.media.video_stream import open_source
from ciaovideo.options import SoundPolicy


class StreamSource:
    """The streams beside the main video of a probed file. A context manager.

    Planning reads no packet, so that the first copier starts at the beginning of the file. A second
    copier opens the file again.
    """

    def __init__(self, facts: SourceFacts) -> None:
        self.facts = facts
        self._copier: StreamCopier | None = None  # the newest
        self._opened: InputContainer | None = open_source(facts.path, facts.opening)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._opened is not None:
            self._opened.close()

    def plan(self, container: Container, selection: Selection, sound: SoundPolicy) -> StreamPlan:
        """The plan for a container; see ``plan_streams``."""
        return plan_streams(self.facts, container, selection, sound=sound, opened=self._opened)

    def copier(self, plan: StreamPlan) -> StreamCopier:
        """A copier for a plan, which closes the file that it reads."""
        opened, self._opened = self._opened, None
        self._copier = StreamCopier(plan, opened)
        return self._copier

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Findings of the newest copier."""
        return self._copier.findings if self._copier else ()

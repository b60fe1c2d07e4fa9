"""A file's other streams: plans them, then copies them."""

from contextlib import nullcontext
from typing import Self

from av.container import InputContainer

from ciaovideo.findings import Finding
from ciaovideo.media.containers import Container
from ciaovideo.media.read.probe import Probed
from ciaovideo.media.selection import Selection
from ciaovideo.media.streams.copier import StreamCopier
from ciaovideo.media.streams.plan import StreamPlan, plan_streams
from ciaovideo.options import SoundPolicy


class StreamSource:
    """The streams beside the main video of a probed file. A context manager.

    The file is still open from the probe. Planning reads no packet of it, and closes it, because
    its decoder keeps pictures. A copier opens the file again.
    """

    def __init__(self, probed: Probed) -> None:
        self.facts = probed.facts
        self._copier: StreamCopier | None = None  # the newest
        self._opened: InputContainer | None = probed.container

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._opened is not None:
            self._opened.close()

    def plan(self, container: Container, selection: Selection, sound: SoundPolicy) -> StreamPlan:
        """The plan for a container; see ``plan_streams``."""
        opened, self._opened = self._opened, None
        with opened or nullcontext():
            return plan_streams(self.facts, container, selection, sound=sound, opened=opened)

    def copier(self, plan: StreamPlan) -> StreamCopier:
        """A copier for a plan, which closes the file that it reads."""
        self._copier = StreamCopier(plan)
        return self._copier

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Findings of the newest copier."""
        return self._copier.findings if self._copier else ()

"""Streams that nobody saw before a run began, found while it goes on.

Before a run a large file without a header is looked at in places. The rest is read when the run
has begun, beside it: that takes seconds, so that hours of work are not refused at their end.
"""

import threading
from pathlib import Path

from ciaovideo.errors import EncodeError
from ciaovideo.media.formats.elementary import look_inside
from ciaovideo.media.video_stream import AS_LONG_AS_IT_TAKES, PROBED, remuxed


class LateStreams:
    """A look at all of a file, in a thread of its own, for streams other than the ``known`` ones.

    A file that cannot be read there has none: whoever reads it for its packets will say so.
    """

    def __init__(self, path: Path, demuxer: str, known: frozenset[int]) -> None:
        self._path, self._demuxer, self._known = path, demuxer, known
        self._first: dict[int, int] = {}
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def require_none(self, before: int | None = None, *, wait: bool = False) -> None:
        """Raise EncodeError if a stream was found that begins before a byte (None: anywhere).

        ``wait`` until all was looked at.
        """
        if wait:
            self._thread.join()
        if self._thread.is_alive():
            return
        for number, at in sorted(self._first.items()):
            if before is None or at <= before:
                words = ("-probesize", str(at + PROBED), "-analyzeduration", AS_LONG_AS_IT_TAKES)
                raise EncodeError(
                    f"a stream of {self._path} (number {number:#x}) begins {at} bytes after its"
                    " beginning, where nobody looked before the start, and would be lost",
                    f"make a file that names all its streams first: {remuxed(self._path, *words)}",
                )

    def _look(self) -> None:
        try:
            inside = look_inside(self._path, self._demuxer)
        except OSError:
            return
        if inside:
            self._first = {n: at for n, at in inside.first.items() if n not in self._known}

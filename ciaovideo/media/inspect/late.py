"""Streams that begin past the probed part of a file, found during the run.

A large file without a header is probed in places before a run. A thread reads the rest during the
first seconds of the run, so that a late stream does not fail it after hours.
"""

import threading
from pathlib import Path

from ciaovideo.errors import EncodeError
from ciaovideo.media.ffmpeg.remedies import remuxed
from ciaovideo.media.formats.elementary import look_inside
from ciaovideo.media.source.opening import NO_TIME_LIMIT, PROBED


class LateStreams:
    """Scans a whole file in a thread for streams other than the ``known`` ones.

    A read error ends the scan without a stream: the reader of the packets reports it.
    """

    def __init__(self, path: Path, demuxer: str, known: frozenset[int]) -> None:
        self._path, self._demuxer, self._known = path, demuxer, known
        self._first: dict[int, int] = {}
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def require_none(self, before: int | None = None, *, wait: bool = False) -> None:
        """Raise EncodeError if a stream was found that begins before a byte (None: anywhere).

        ``wait`` until the scan is complete.
        """
        if wait:
            self._thread.join()
        if self._thread.is_alive():
            return
        for number, at in sorted(self._first.items()):
            if before is None or at <= before:
                words = ("-probesize", str(at + PROBED), "-analyzeduration", NO_TIME_LIMIT)
                raise EncodeError(
                    f"a stream of {self._path} (number {number:#x}) begins {at} bytes into the"
                    " file, past the part probed before the start, and would be lost",
                    f"make a file with all streams in its header: {remuxed(self._path, *words)}",
                )

    def _look(self) -> None:
        try:
            inside = look_inside(self._path, self._demuxer)
        except OSError:
            return
        if inside:
            self._first = {n: at for n, at in inside.first.items() if n not in self._known}

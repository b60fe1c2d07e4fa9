"""The VapourSynth filter of ciaovideo: clip in, larger clip out.

>>> from vsciaovideo import upscale
>>> clip = upscale(clip, 2.5)  # doctest: +SKIP

``filter.py`` is the filter, ``frames.py`` knows what formats and frame properties mean. All else
is the library's: the network, colour, tiles, threads.
"""

import os

# Before torch is imported: idle OpenMP threads sleep instead of spinning beside the host's own.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from vsciaovideo.filter import upscale

__all__ = ["upscale"]

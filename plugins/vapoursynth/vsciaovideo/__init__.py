"""The VapourSynth filter of ciaovideo: clip in, larger clip out.

>>> from vsciaovideo import upscale
>>> clip = upscale(clip, 2.5)  # doctest: +SKIP

``filter.py`` is the filter, ``frames.py`` translates formats and frame properties. Network, colour,
tiles and threads are the library's.
"""

import os

# Before torch is imported: idle OpenMP threads sleep instead of spinning beside the host's own.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from vsciaovideo.filter import upscale

__all__ = ["upscale"]

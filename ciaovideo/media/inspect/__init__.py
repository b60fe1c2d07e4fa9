"""Files examined without the reader.

For verification: ``scan`` (streams and packet times), ``thumbnails``, ``metadata``. Before a run:
``quantisers``, ``borders`` (what an automatic crop cuts off), ``jumps`` (of the clock that
``clocks`` finds), ``truncation``. During it: ``late`` (streams that begin late). For estimates:
``sizes``.
"""

"""The streams beside the main video: which are kept, and how.

``source.StreamSource`` keeps the source open. ``plan`` decides to copy, convert or drop each
stream, by a ``trial`` in memory; ``beginning`` computes the common offset, ``languages`` the
language codes. ``copier`` copies the packets or converts them (``targets``), with ``text`` and
``sound``.
"""

"""The streams beside the main video: which are kept, and how.

``source.StreamSource`` holds the source open. ``plan`` decides what becomes of each stream, by a
``trial`` in memory, with ``beginning`` for the common offset and ``languages`` for their codes.
``copier`` carries them over: as copies or conversions (``targets``), of ``text`` and of ``sound``.
"""

"""Files on disk: names that may be written, outputs that appear whole, and work that is kept.

Nothing here knows tensors or PyAV. ``endpoints`` tells files from pipes and devices, ``atomic``
writes whole or not at all, ``claims`` finds out who else writes.

A resumable run takes this way: the pipeline makes its fingerprint (``pipeline/fingerprint``),
``claims.ledger_path`` names the folder beside the output, ``ledger.Ledger`` reads which segments
are there and refuses those of another fingerprint; ``missing()`` are the frames to make. Each
finished segment is a file of coded packets (``segments``), written whole, synced, and digested.
``segments.Joiner`` hands their packets to the muxer in order. The folder is deleted once the output
is verified.
"""

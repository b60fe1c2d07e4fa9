"""Files on disk: outputs that appear whole or not at all, and segments kept for a resumed run.

Nothing here knows tensors or PyAV. ``endpoints`` distinguishes files from pipes and devices,
``atomic`` writes a file whole or not at all, and several files together, ``claims`` finds other
writers of an output.

A resumable run uses them in this order. The pipeline makes its fingerprint
(``pipeline/fingerprint``). ``claims.ledger_path`` names the folder beside the output.
``ledger.Ledger`` reads the segments there and refuses those of another fingerprint; ``missing()``
lists the frames to make. Each finished segment is a file of coded packets (``segments``), written
whole, with a digest, and synced. ``segments.Joiner`` hands their packets to the muxer in order. The
folder is deleted once the output is verified.
"""

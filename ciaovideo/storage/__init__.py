"""Files on disk: names that may be written, outputs that appear whole, and work that is kept.

Nothing here knows tensors or PyAV. ``endpoints`` tells files from pipes and devices, ``atomic``
writes whole or not at all, ``claims`` finds out who else writes, ``segments`` keeps coded packets,
``ledger`` the segments of one output.
"""

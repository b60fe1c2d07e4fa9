"""Operators that are worth a fused twin.

``<operator>.py`` holds the definition in plain torch, which runs anywhere and is what the twin
beside it, ``<operator>_triton.py`` of the same signature, has to equal; the definition asks
``dispatch`` for the twin, and nobody else does. Two twins have their definitions elsewhere:
``color_signals`` and ``color_codes`` are the two directions of ``color/convert.py``, on the floor
above, since triton is imported here alone.
"""

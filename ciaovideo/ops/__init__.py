"""Operators with faster forms: fused Triton twins on GPUs, joint oneDNN operators on CPUs.

``<operator>.py`` holds the definition in plain torch, which runs anywhere. The twin beside it,
``<operator>_triton.py`` of the same signature, must equal it; only the definition asks ``dispatch``
for the twin. Two twins have their definitions elsewhere: ``color_signals`` and ``color_codes`` are
the two directions of ``color/convert.py``, on the floor above, since only this folder imports
triton. ``convolution.py`` and ``linear.py`` have no twins: they use oneDNN's joint operators.
"""

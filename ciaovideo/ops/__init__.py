"""Operators that are worth a fused twin.

The file named after an operator holds its definition in plain torch, which runs anywhere and is
what a twin (``<operator>_triton.py``, the same signature) has to equal.
"""

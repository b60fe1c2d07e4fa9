"""Attention of queries over codes, of pixels over places.

``local`` and ``separable`` serve decoders, with any weights and with weights that factor by axis;
``patch`` is non-local attention.
"""

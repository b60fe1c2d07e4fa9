"""Measuring as the literature does, and printing the result beside what it published.

``protocol.py`` holds one function for each kind of published table, which states colour, border,
cropping and how the LR pictures are made; ``baselines.py`` what needs no network; ``report.py``
the result as text, Markdown and JSON; ``published.toml`` figures from papers, by picture set.

Anything that maps ``lr`` (1, 3, h, w) in [0, 1] and an exact output size to ``sr`` can be measured:
an ``Engine`` is such a thing.
"""

"""Benchmarks of the literature, and their printed tables for comparison.

``protocol.py`` has one function per kind of published table: colour, border, cropping, and how LR
is made. ``clips.py`` measures videos with a known truth, ``coded.py`` the same after a codec,
``equivariance.py`` equivariance over scales, ``cost.py`` weights and time; ``measuring.py`` chooses
one. ``suites/`` are comparisons of many networks, ``baselines.py`` is interpolation. ``report.py``
prints text, Markdown and JSON. ``page.py`` fills ``templates/page.html``, with crops from
``crops.py``. ``published/`` holds the figures of papers.

A method is any callable from ``lr`` (1, 3, h, w) in [0, 1] and an exact output size to ``sr``. An
``Engine`` is one.
"""

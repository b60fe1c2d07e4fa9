"""Benchmarks of the literature, and their printed tables for comparison.

``protocol.py`` has one function per kind of published table: colour, border, cropping, and how LR
is made. ``clips.py`` does the same for videos with a known truth, ``cost.py`` for weights and time.
``baselines.py`` needs no network. ``report.py`` prints text, Markdown and JSON. ``page.py`` fills
``templates/page.html``, with crops from ``crops.py``. ``published/``
holds the figures of papers.

A method is any callable from ``lr`` (1, 3, h, w) in [0, 1] and an exact output size to ``sr``. An
``Engine`` is one.
"""

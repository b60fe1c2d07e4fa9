"""Measuring as the literature does, and printing the result beside what it published.

``protocol.py`` holds one function for each kind of published table, which states colour, border,
cropping and how the LR pictures are made; ``clips.py`` the same for a video with a known truth, and
``cost.py`` for weights and time; ``baselines.py`` what needs no network. ``report.py`` prints text,
Markdown and JSON; ``html.py`` makes one page of it (``page.html``, with ``charts.py`` and
``crops.py``) that needs nothing else to be shown. ``published/`` has the figures of papers.

Anything that maps ``lr`` (1, 3, h, w) in [0, 1] and an exact output size to ``sr`` can be measured:
an ``Engine`` is such a thing.
"""

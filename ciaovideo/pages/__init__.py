"""Self-contained pages: what every HTML report of ours shares.

``page.py`` fills a template of another part, whose ``{% extends "pages/frame.html" %}`` gives it
our look, and whose pictures and charts come from ``pages/parts.html``. ``inline.py`` draws charts
as SVG. Nothing here knows what is reported; pictures arrive as coded files.
"""

"""Self-contained pages: the shared parts of all HTML reports.

``page.py`` fills a template of another part, whose ``{% extends "pages/frame.html" %}`` gives it
our style, and whose pictures and charts come from ``pages/parts.html``. ``inline.py`` draws charts
as SVG. Nothing here knows the subject of a report; pictures arrive as coded files.
"""

"""Pages for archives: the preservation report on a finished file, the preview before a run.

``preservation.py`` collects a report on a finished file: ``facts.py`` compares every stream, tag,
colour value and time of the source with the output's, ``fidelity.py`` compares all pictures of
both. ``page.py`` and ``templates/`` make a page of it.

``preview.py`` enlarges a few frames of a film before the run, ``preview_page.py`` makes their page.

This part stands above the pipeline and reads its plans and verification.
"""

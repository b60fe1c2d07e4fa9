"""What archives keep beside an enlarged film, and what they look at before they begin.

``preservation.py`` gathers a report on a finished file: ``facts.py`` sets every stream, tag, colour
value and time of the source beside the output's, ``fidelity.py`` reads all pictures of both once
more. ``page.py`` and ``templates/`` make a page of it.

``preview.py`` makes a few frames of a film that is still to be enlarged, ``preview_page.py`` the
page of them.

It stands on the pipeline, whose plans and verification it reads.
"""

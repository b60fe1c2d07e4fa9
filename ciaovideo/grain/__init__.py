"""Grain of film: measured in a source, and added to an enlarged picture as far as it lacks it.

Grain is taken for noise that is another in every frame. Its strength is told for ``BANDS`` of luma
and for three octaves of detail (``octaves``), since film has more of it in middle tones, and since
networks remove its finest part first. ``measure`` finds it in pairs of frames, ``noise`` makes more
of it, at a size that goes with the picture, and ``adding`` puts that over finished planes.

Luma here is in steps of 8 bits, black 0 and white 255, whatever the depth and range.
"""
